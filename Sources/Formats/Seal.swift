// The digest that a JSON file of ours carries over everything else in it, and the number of its format.
//
// A checkpoint's counters decide which batch comes next: one changed digit would train on without a word. So the file
// that lists the digests of all others carries one of its own, over its members in canonical form (keys sorted, numbers
// in their shortest form, no blanks).

import TuttiGround

private let sealKey = "digest"

/// Adds the digest of everything in `object` to it.
package func seal(_ object: inout JSONObject) { object[sealKey] = .string(canonicalDigest(object)) }

/// Whether the digest that `object` carries is that of everything else in it.
package func sealIsWhole(_ object: JSONObject) -> Bool { object[sealKey]?.string == canonicalDigest(object) }

/// Hexadecimal SHA-256 of the members of `object` but the digest itself.
private func canonicalDigest(_ object: JSONObject) -> String {
    var rest = object
    rest[sealKey] = nil
    return hexadecimalDigest(ofText: JSONValue.object(rest).serialized(sortKeys: true))
}

/// Refuses a file of a format that this version does not know; one without a number is of format 1.
package func checkFormat(
    _ object: JSONObject, knownFormat: Int, operation: String, source: String
) throws(TuttiError) {
    guard let format = object["format"]?.int, format > knownFormat else { return }
    throw TuttiError(
        .data, operation, source,
        "is of format \(format), but this version (\(tuttiVersion)) reads formats up to \(knownFormat)",
        hint: "A newer version wrote it: go on with that one, or pass --overwrite to start anew.")
}
