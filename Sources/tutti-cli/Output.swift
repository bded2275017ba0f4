// Standard output and standard error, written without traps: a closed pipe or a full disk is an error, not a crash.
// Control characters are escaped, since names and texts from files are printed; only the progress bar sends them.

import Foundation
import TuttiFormats
import TuttiGround
import TuttiReports

/// Writes complete texts to the standard streams.
enum Output {
    /// Writes a line to standard output.
    ///
    /// - Throws: exit 75 if it cannot be written (a full disk, a closed pipe).
    static func line(_ text: String) throws(TuttiError) { try write(text + "\n") }

    /// Writes a text to standard output; see `line`.
    static func write(_ text: String) throws(TuttiError) {
        guard StandardStream.output.put(text.printable) else {
            throw TuttiError(
                .retryable, "print", "standard output", "cannot be written: \(String(cString: strerror(errno)))")
        }
    }

    /// Writes the members of an object, a line each, those of inner objects indented.
    static func show(_ object: JSONObject, indent: String = "") throws(TuttiError) {
        for (key, value) in object {
            switch value {
            case .object(let inner):
                try line("\(indent)\(key):")
                try show(inner, indent: indent + "  ")
            case .string(let text): try line("\(indent)\(key): \(text)")
            case .array(let items):
                let texts = items.map { $0.string ?? $0.serialized() }
                try line("\(indent)\(key): \(texts.joined(separator: ", "))")
            default: try line("\(indent)\(key): \(value.serialized())")
            }
        }
    }

    /// Creates a folder and those above it.
    ///
    /// - Throws: exit 75 if it cannot be created.
    static func makeFolder(_ path: String) throws(TuttiError) {
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw TuttiError(.retryable, "create a folder", path, error.localizedDescription)
        }
    }

    /// Prints a line to standard error, replacing a bar on the terminal.
    static func say(_ text: String) {
        StandardStream.error.put((Terminal.current == nil ? "" : Terminal.erasure) + text.printable + "\n")
    }

    /// Shows progress or a notice; a closed pipe does not end the work.
    static func show(_ text: String, on descriptor: Int32) {
        StandardStream(descriptor: descriptor).put(text.printable)
    }
}
