// The leaves of a JSON value under one name each.

import TuttiGround

extension JSONValue {
    /// Every member that is not an object under the path to it, in order; an empty object is a leaf.
    ///
    /// - Parameters:
    ///   - separator: stands between the names of a path.
    ///   - entersArrays: whether the members of arrays that hold objects are leaves too, with their places as names.
    func leaves(separator: String, entersArrays: Bool) -> JSONObject {
        var leaves = JSONObject()
        func add(_ value: JSONValue, _ path: String) {
            func member(_ key: String) -> String { path.isEmpty ? key : path + separator + key }
            if let object = value.object, !object.isEmpty {
                for (key, inner) in object { add(inner, member(key)) }
            } else if entersArrays, let array = value.array, array.contains(where: { $0.object != nil }) {
                for (place, inner) in array.enumerated() { add(inner, member("\(place)")) }
            } else {
                leaves[path] = value
            }
        }
        add(self, "")
        return leaves
    }
}
