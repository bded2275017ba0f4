// A family's settings, read from config.json by the family's own list of options.
//
// What: every key of a family is read with its type, and a wrong value is refused with file and key. Values that change
// the mathematics in a way that no encoder here computes (relative position types, a decoder, cross attention) are
// refused, not ignored: by the list, or by the plan; and so is a key that the family does not know.

import TuttiEncoders
import TuttiFormats
import TuttiGround

/// Reads a family's settings from config.json.
enum EncoderSettings {
    /// Keys that may be overridden although a config.json leaves them out: those of its family.
    static func keys(_ file: ConfigurationFile) -> [String] {
        func names<Family: EncoderFamily>(_: Family.Type) -> [String] { Family.options.names }
        return EncoderFamilies.all.first { $0.reads(file.object) }.map { names($0) } ?? []
    }

    /// The settings that `file` gives, of sizes that the weights beside it can have.
    ///
    /// Throws: `.data` naming file and key.
    static func read(_ file: ConfigurationFile, weights: TensorFile) throws(TuttiError) -> any EncoderFamily {
        func settings<Family: EncoderFamily>(_: Family.Type) throws(TuttiError) -> any EncoderFamily {
            var settings = Family()
            try Family.options.read(file.object, into: &settings) { file.error($0, $1, hint: $2) }
            do throws(OptionProblem) { try Family.checkKeys(of: file.object) } catch let flaw { throw file.error(flaw) }
            return settings
        }
        guard try file.value("model_type", as: String.self) != nil else {
            throw file.error("model_type", "is missing, so the architecture is unknown")
        }
        let family = try known(file) { () throws(TuttiError) in try EncoderFamilies.reading(file.object) }
        let read = try settings(family)
        try ModelSizes(weights).check(read.sizes, file)
        return read
    }

    /// The result of `body`; its error names the file that is at fault.
    static func known<Result>(
        _ file: ConfigurationFile, _ body: () throws(TuttiError) -> Result
    ) throws(TuttiError) -> Result {
        do { return try body() } catch { throw file.error(error.subject, error.problem, hint: error.hint) }
    }
}
