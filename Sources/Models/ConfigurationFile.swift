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

    /// An error about what stands at the problem's path.
    func error(_ flaw: OptionProblem) -> TuttiError { error(flaw.path, flaw.problem, hint: flaw.hint) }

    /// The value at `key`, or nil when the key is missing or null.
    func value<Value: OptionValue>(
        _ key: String, as _: Value.Type = Value.self, check: OptionCheck<Value>? = nil
    ) throws(TuttiError) -> Value? {
        guard let json = object[key], !json.isNull else { return nil }
        do throws(OptionProblem) {
            let value = try Value(option: json)
            if let problem = check?.problem(value) { throw OptionProblem(problem) }
            return value
        } catch let flaw {
            throw error(flaw.inside(key))
        }
    }

    /// The value at `key`, which must be there.
    func required<Value: OptionValue>(
        _ key: String, as _: Value.Type = Value.self, check: OptionCheck<Value>? = nil
    ) throws(TuttiError) -> Value {
        guard let value = try value(key, as: Value.self, check: check) else {
            throw error(key, "is missing", hint: "It takes \(Value.words).")
        }
        return value
    }
}
