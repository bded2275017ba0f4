// A JSON configuration file of a model folder whose values are asked for by key and type.
//
// Why: every wrong value must be reported with its file and key, what was found and what was expected; asking through this
// type makes that the only way to ask.

import Foundation
import TuttiFormats
import TuttiGround

/// A JSON object read from a file of a model folder.
struct ConfigurationFile: Sendable {
    /// Where it was read.
    let path: String
    /// Its members in file order.
    var object: JSONObject

    /// Reads the file at `path`.
    ///
    /// Throws: `.missingFile`; `.data` for malformed JSON or anything but an object.
    init(path: String) throws(TuttiError) {
        let value = try JSONValue.parse(file: path)
        guard let object = value.object else {
            throw TuttiError(
                .data, "read model configuration", path, "holds \(value.kindName) where an object is needed")
        }
        self.path = path
        self.object = object
    }

    /// Wraps members that belong to `path`.
    init(path: String, object: JSONObject) {
        self.path = path
        self.object = object
    }

    /// Reads `name` in `folder` if it is there.
    static func ifPresent(_ name: String, in folder: String) throws(TuttiError) -> ConfigurationFile? {
        let path = folder + "/" + name
        return FileManager.default.fileExists(atPath: path) ? try ConfigurationFile(path: path) : nil
    }

    /// An error about the value of `key`.
    func error(_ key: String, _ problem: String, hint: String? = nil) -> TuttiError {
        TuttiError(.data, "read model configuration", "\(path): \(key)", problem, hint: hint)
    }

    /// The integer at `key`, or nil when the key is missing or null.
    func int(_ key: String) throws(TuttiError) -> Int? {
        guard let value = object[key], !value.isNull else { return nil }
        guard let number = value.int else { throw mismatch(key, value, "an integer") }
        return number
    }

    /// The integer at `key`, at least `minimum`.
    func requiredInt(_ key: String, atLeast minimum: Int = 1) throws(TuttiError) -> Int {
        guard let number = try int(key) else { throw error(key, "is missing") }
        guard number >= minimum else { throw error(key, "is \(number), which must be at least \(minimum)") }
        return number
    }

    /// The number at `key`, or nil when the key is missing or null.
    func double(_ key: String) throws(TuttiError) -> Double? {
        guard let value = object[key], !value.isNull else { return nil }
        guard let number = value.double else { throw mismatch(key, value, "a number") }
        return number
    }

    /// The truth value at `key`, or nil when the key is missing or null.
    func bool(_ key: String) throws(TuttiError) -> Bool? {
        guard let value = object[key], !value.isNull else { return nil }
        guard let truth = value.bool else { throw mismatch(key, value, "true or false") }
        return truth
    }

    /// The string at `key`, or nil when the key is missing or null.
    func string(_ key: String) throws(TuttiError) -> String? {
        guard let value = object[key], !value.isNull else { return nil }
        guard let text = value.string else { throw mismatch(key, value, "a string") }
        return text
    }

    /// An error for a value of another type.
    func mismatch(_ key: String, _ value: JSONValue, _ expected: String) -> TuttiError {
        error(key, "holds \(value.kindName) where \(expected) is needed")
    }
}
