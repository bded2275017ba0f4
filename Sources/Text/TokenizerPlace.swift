// Typed reading of tokenizer files: each accessor answers with a value or with an error that names file and key.

import TuttiFormats
import TuttiGround

/// The file that is being read, for error messages.
struct TokenizerPlace {
    let path: String

    /// An error at `key` of the file.
    func error(key: String, _ problem: String, hint: String? = nil) -> TuttiError {
        TuttiError(.data, "read tokenizer", "\(path): \(key)", problem, hint: hint)
    }

    /// The refusal of a component that is not known.
    func unknown(_ what: String, _ name: String, known: [String]) -> TuttiError {
        TuttiError(
            .data, "read tokenizer", path, "\(what) '\(name)' is not known",
            hint: "Known: \(known.joined(separator: ", ")).")
    }

    /// The refusal of tokens that are too many or too long to be searched.
    func tooLarge(_ key: String) -> TuttiError {
        error(key: key, "the tokens have more than \(ByteTrie.nodeLimit) different beginnings, which is the limit")
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
