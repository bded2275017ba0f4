// A model folder that holds an adapter, in place of an encoder: where its base model is.

import Foundation
import TuttiFormats
import TuttiGround

/// What a folder says of its adapter.
package struct AdapterFolder: Sendable {
    /// The folder.
    let path: String
    /// adapter_config.json.
    let configurationFile: ConfigurationFile
    /// Its settings.
    let configuration: AdapterConfiguration
    /// The folder of the base model.
    let basePath: String

    /// Reads adapter_config.json of `path`; nil where there is none.
    ///
    /// Throws: `.data` naming file and key for another kind of adapter; `.missingFile` for a base model that is not there.
    init?(_ path: String) throws(TuttiError) {
        guard let file = try ConfigurationFile.ifPresent(ModelAdapter.configurationName, in: path) else { return nil }
        self.path = path
        configurationFile = file
        do throws(OptionProblem) {
            configuration = try AdapterConfiguration(file.object, isSaved: true)
        } catch let flaw { throw file.error(flaw) }
        let base = try file.required("base_model_name_or_path", as: String.self)
        do {
            basePath = try ModelHub.resolve(base)
        } catch {
            throw Self.missing(base, in: path, error)
        }
        if FileManager.default.fileExists(atPath: basePath + "/" + ModelAdapter.configurationName) {
            throw file.error(
                "base_model_name_or_path", "'\(base)' is a model with an adapter itself; a model has one at most",
                hint: "Merge that adapter first: tutti export --merge.")
        }
    }

    /// The base model of the adapter in `path`, as its file names it; nil where there is no adapter.
    ///
    /// Throws: `.data` for a file that cannot be read.
    static func baseName(in path: String) throws(TuttiError) -> String? {
        try ConfigurationFile.ifPresent(ModelAdapter.configurationName, in: path)?
            .required("base_model_name_or_path", as: String.self)
    }

    /// The error about the base model of the adapter in `path`, which could not be found.
    static func missing(_ base: String, in path: String, _ error: TuttiError) -> TuttiError {
        var error = error
        error.operation = "find the base model of the adapter"
        error.subject = "\(path)/\(ModelAdapter.configurationName): base_model_name_or_path"
        error.problem = "'\(base)': \(error.problem)"
        return error
    }

    /// The adapter's weights.
    ///
    /// Throws: `.missingFile`; `.data` for anything malformed.
    func openWeights() throws(TuttiError) -> TensorFile {
        let (safe, torch) = (path + "/" + ModelAdapter.weightsName, path + "/adapter_model.bin")
        if !FileManager.default.fileExists(atPath: safe), FileManager.default.fileExists(atPath: torch) {
            return try TensorFile(torch: torch)
        }
        return try TensorFile(path: safe)
    }

    /// Whether the folder has a tokenizer of its own.
    var hasTokenizer: Bool {
        ["tokenizer.json", "tokenizer_config.json", "vocab.txt"].contains {
            FileManager.default.fileExists(atPath: path + "/" + $0)
        }
    }
}
