// The folder of a first module, read without its weights: of the one first module of most models, or of each that a
// Router chooses among.
//
//   config.json                the transformer's architecture; other modules have other settings, or none
//   sentence_bert_config.json  max_seq_length, do_lower_case (older layout; other names for other families)
//
// Reference: sentence_transformers/base/modules/transformer.py (_load_config).

import TuttiFormats
import TuttiGround

/// What the folder of a first module says, weights apart.
package struct InputDirectory: Sendable {
    /// The folder.
    package let path: String
    /// The adapter that it holds, in place of an encoder.
    let adapter: AdapterFolder?
    /// What stands before the names of its parameters, and the folder that it is saved in: "" for the model's only first
    /// module, which is saved in the root.
    package let scope: String
    /// Its kind.
    package let input: InputModule
    /// config.json, with overrides applied, or the settings of another module; empty where there are none.
    package let configuration: JSONObject
    /// The bytes of that file as found.
    package let configurationBytes: [UInt8]
    /// True when overrides changed config.json.
    package let isOverridden: Bool
    /// max_seq_length of the older layout, if it is given.
    package let maximumLength: Int?
    /// do_lower_case of the older layout.
    package let lowercases: Bool
    /// The layers of the folder's transformer that are kept; nil = all.
    let keptLayers: [Int]?
    /// What takes the place of files where a run made the module.
    let made: MadeInput?

    /// The file that a message about the architecture names.
    package var configurationPath: String { encoderPath + "/" + (input.settingsName ?? "config.json") }
    /// The folder of config.json and weights: with an adapter, that of the base model.
    var encoderPath: String { adapter?.basePath ?? path }
    /// The folder of the tokenizer.
    var tokenizerPath: String { adapter?.hasTokenizer == false ? encoderPath : path }
    /// config.json, to be asked by key.
    var configurationFile: ConfigurationFile { ConfigurationFile(path: configurationPath, object: configuration) }

    /// The folder that it is saved in; empty for the root.
    var savedFolder: String { scope.isEmpty ? input.folder : scope }

    /// Names that sentence-transformers gave to sentence_bert_config.json over the years.
    static let settingsNames = [
        "sentence_bert_config.json", "sentence_roberta_config.json", "sentence_distilbert_config.json",
        "sentence_camembert_config.json", "sentence_albert_config.json", "sentence_xlm-roberta_config.json",
        "sentence_xlnet_config.json",
    ]

    /// Reads the folder `path`; `overrides` replaces members of config.json, and of the layers those of `keptLayers` are
    /// kept; `needsLayers` where a module reads all of them.
    ///
    /// Throws: `.missingFile` naming what is not there; `.data` naming file and key; `.usage` for an unknown override.
    init(
        _ input: InputModule, path: String, scope: String, overrides: JSONObject?, keptLayers: [Int]? = nil,
        needsLayers: Bool = false
    ) throws(TuttiError) {
        self.input = input
        self.path = path
        self.scope = scope
        let adapter = input == .transformer ? try AdapterFolder(path) : nil
        self.adapter = adapter
        self.keptLayers = keptLayers
        made = nil
        let encoderPath = adapter?.basePath ?? path
        var configuration = ConfigurationFile(path: encoderPath, object: JSONObject())
        if let name = input.settingsName {
            let configurationPath = encoderPath + "/" + name
            configurationBytes = try MappedFile(path: configurationPath).contents
            configuration = try ConfigurationFile(path: configurationPath)
            var isChanged = false
            if input.hasConfiguration {
                isChanged = try InputDirectory.apply(overrides, to: &configuration)
                if needsLayers, configuration.object["output_hidden_states"] != .bool(true) {
                    configuration.object.set("output_hidden_states", .bool(true))
                    isChanged = true
                }
                if let keptLayers { isChanged = try InputDirectory.keep(keptLayers, in: &configuration) || isChanged }
            }
            isOverridden = isChanged
        } else {
            configurationBytes = []
            isOverridden = false
        }
        self.configuration = configuration.object

        var maximumLength: Int?
        var lowercases = false
        if input == .wordEmbeddings { maximumLength = try configuration.value("max_seq_length", check: .atLeast(1)) }
        for name in InputDirectory.settingsNames where input != .wordEmbeddings {
            guard let file = try ConfigurationFile.ifPresent(name, in: path) else { continue }
            maximumLength = try file.value("max_seq_length", check: .atLeast(1))
            lowercases = try file.value("do_lower_case") ?? false
            break
        }
        self.maximumLength = maximumLength
        self.lowercases = lowercases
    }

    /// A module that a run made; `settings` is what its file would say.
    init(_ input: InputModule, made: MadeInput, settings: JSONObject, maximumLength: Int?) {
        self.input = input
        path = made.source
        scope = ""
        configuration = settings
        configurationBytes = settings.isEmpty ? [] : Array(JSONValue.object(settings).serialized(indent: 4).utf8)
        isOverridden = false
        keptLayers = nil
        adapter = nil
        self.made = made
        self.maximumLength = maximumLength
        lowercases = false
    }

    /// Replaces members of config.json; true when anything changed.
    private static func apply(_ overrides: JSONObject?, to file: inout ConfigurationFile) throws(TuttiError) -> Bool {
        guard let overrides else { return false }
        let before = file.object
        let known = file.object.keys + EncoderSettings.keys(file).filter { !file.object.contains(key: $0) }
        let names = Set(known)
        for (key, value) in overrides {
            guard names.contains(key) else {
                throw TuttiError(
                    .usage, "override model configuration", "config_overrides.\(key)", "is not a key of \(file.path)",
                    hint: nearestName(to: key, among: known).map { "Did you mean '\($0)'?" })
            }
            file.object.set(key, value)
        }
        return file.object != before
    }
}
