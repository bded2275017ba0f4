// A family's settings, read from config.json by the family's own list of keys.
//
// What: every key of a family is read with its type, and a wrong value is refused with file and key. Values that change
// the mathematics in a way that no encoder here computes (relative position types, a decoder, cross attention) are
// refused, not ignored.

import TuttiEncoders
import TuttiFormats
import TuttiGround

/// Reads a family's settings from config.json.
enum EncoderSettings {
    /// Keys that may be overridden although a config.json leaves them out: those of its family.
    static func keys(_ file: ConfigurationFile) -> [String] {
        func names<Family: EncoderFamily>(_ family: Family.Type) -> [String] { family.keys.map(\.name) }
        let type = file.object["model_type"]?.string
        guard let family = EncoderFamilies.all.first(where: { type.map($0.modelTypes.contains) ?? false }) else {
            return []
        }
        return names(family)
    }

    /// The settings that `file` gives, of an encoder or of what is to be a decoder.
    ///
    /// Throws: `.data` naming file and key.
    static func read(_ file: ConfigurationFile, isDecoder: Bool = false) throws(TuttiError) -> any EncoderFamily {
        guard let modelType = try file.string("model_type") else {
            throw file.error("model_type", "is missing, so the architecture is unknown")
        }
        let family = try known(file) { () throws(TuttiError) in try EncoderFamilies.named(modelType) }
        return try settings(of: family, file, isDecoder: isDecoder)
    }

    private static func settings<Family: EncoderFamily>(
        of _: Family.Type, _ file: ConfigurationFile, isDecoder: Bool
    ) throws(TuttiError) -> any EncoderFamily {
        var settings = Family()
        for key in Family.keys {
            switch key.setting {
            case .integer(let path, let isRequired):
                let number = isRequired ? try file.requiredInt(key.name) : try file.int(key.name)
                if let number { settings[keyPath: path] = number }
            case .number(let path):
                if let number = try file.double(key.name) { settings[keyPath: path] = Float(number) }
            case .activation(let path):
                guard let name = try file.string(key.name) else { continue }
                settings[keyPath: path] = try known(file, as: key.name) { () throws(TuttiError) in
                    try Activations.named(name)
                }
            case .only(let value):
                guard let found = try file.string(key.name), found != value else { continue }
                throw file.error(key.name, "is '\(found)', where only '\(value)' can be computed")
            case .refused(let reason, let isDecoders):
                guard !(isDecoder && isDecoders), try file.bool(key.name) ?? false else { continue }
                throw file.error(key.name, "is true, where \(reason)")
            }
        }
        return settings
    }

    /// The result of `body`; its error names the file that is at fault.
    static func known<Result>(
        _ file: ConfigurationFile, as key: String? = nil, _ body: () throws(TuttiError) -> Result
    ) throws(TuttiError) -> Result {
        do { return try body() } catch { throw file.error(key ?? error.subject, error.problem, hint: error.hint) }
    }
}
