// Typed reading of tokenizer files: each accessor returns a value or throws an error that names file and key.

import TuttiFormats
import TuttiGround

/// The file being read, for error messages.
struct TokenizerPlace {
    let path: String

    /// An error at `key` of the file.
    func error(key: String, _ problem: String, hint: String? = nil) -> TuttiError {
        TuttiError(.data, "read tokenizer", "\(path): \(key)", problem, hint: hint)
    }

    /// The error for an unknown component.
    func unknown(_ what: String, _ name: String, known: [String]) -> TuttiError {
        TuttiError(
            .data, "read tokenizer", path, "unknown \(what) '\(name)'",
            hint: "Known: \(known.joined(separator: ", ")).")
    }

    /// The error for too many or too long tokens.
    func tooLarge(_ key: String) -> TuttiError {
        error(key: key, "the tokens have more than \(ByteTrie.nodeLimit) distinct prefixes, which is the limit")
    }

    func string(_ value: JSONValue, _ key: String) throws(TuttiError) -> String {
        guard let string = value[key]?.string else { throw expected("a string", value, key) }
        return string
    }

    func array(_ value: JSONValue, _ key: String) throws(TuttiError) -> [JSONValue] {
        guard let array = value[key]?.array else { throw expected("an array", value, key) }
        return array
    }

    func object(_ value: JSONValue, _ key: String) throws(TuttiError) -> JSONObject {
        guard let object = value[key]?.object else { throw expected("an object", value, key) }
        return object
    }

    func bool(_ value: JSONValue, _ key: String, default fallback: Bool) throws(TuttiError) -> Bool {
        try optionalBool(value, key) ?? fallback
    }

    func optionalBool(_ value: JSONValue, _ key: String) throws(TuttiError) -> Bool? {
        guard let member = value[key], !member.isNull else { return nil }
        guard let bool = member.bool else { throw expected("true or false", value, key) }
        return bool
    }

    private func expected(_ what: String, _ value: JSONValue, _ key: String) -> TuttiError {
        error(key: key, "expected \(what), found \(value[key]?.kindName ?? "nothing")")
    }
}
