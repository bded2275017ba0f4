// Parsers of files that others make, each with the inputs that its damaged ones are made from.
//
// A target takes bytes: it reads them and uses what it has read, or refuses them with an error of the kind `data`. Any
// other error, a trap, a fault that a sanitizer reports, or an input that takes seconds is a finding. launch/fuzz runs
// every target some hundred thousand times; FuzzTests replays the corpus and a short form.
//
// Adding a target = one entry in FormatTargets, ColumnarTargets or TextTargets.

import Foundation
import TuttiGround

/// One parser and its corpus.
package struct FuzzTarget: Sendable, CustomStringConvertible {
    /// Its name on the command line.
    package let name: String
    /// Whole and sound inputs, read once.
    package let corpus: @Sendable () throws -> [[UInt8]]
    /// Bytes that its format gives a meaning to.
    package let alphabet: [UInt8]
    /// Another input from one of the corpus.
    package let mutate: @Sendable (inout Mutator, [UInt8], _ alphabet: [UInt8]) -> [UInt8]
    /// Reads an input and uses it; a refusal is a `TuttiError` of the kind `data`.
    package let use: @Sendable ([UInt8], FuzzFolder) throws -> Void

    package var description: String { name }

    package init(
        _ name: String, alphabet: [UInt8], corpus: @escaping @Sendable () throws -> [[UInt8]],
        mutate: @escaping @Sendable (inout Mutator, [UInt8], [UInt8]) -> [UInt8] = { $0.mutate($1, alphabet: $2) },
        use: @escaping @Sendable ([UInt8], FuzzFolder) throws -> Void
    ) {
        (self.name, self.alphabet, self.corpus, self.mutate, self.use) = (name, alphabet, corpus, mutate, use)
    }

    /// Every target.
    package static let all: [FuzzTarget] = formatTargets + columnarTargets + textTargets

    /// The input of a seed: one of the corpus, changed.
    package func input(seed: UInt64, of corpus: [[UInt8]]) -> [UInt8] {
        var mutator = Mutator(seed &* 0x9E37_79B9 &+ UInt64(name.utf8.count))
        let original = corpus[Int(seed % UInt64(corpus.count))]
        return mutate(&mutator, original, alphabet)
    }

    /// Whether the input is used (true) or refused as bad data (false).
    ///
    /// Throws: any other error, which is a finding.
    package func isUsed(_ input: [UInt8], in folder: FuzzFolder) throws -> Bool {
        do {
            try use(input, folder)
            return true
        } catch let error as TuttiError where error.kind == .data {
            return false
        }
    }

    /// The bytes of a file of Tests/Golden.
    static func golden(_ path: String) throws -> [UInt8] {
        Array(try Data(contentsOf: URL(fileURLWithPath: golden + "/" + path)))
    }

    /// The inputs of Tests/Golden/fuzz/NAME that once were findings.
    package func findings() throws -> [[UInt8]] {
        let folder = "fuzz/" + name
        guard FileManager.default.fileExists(atPath: Self.golden + "/" + folder) else { return [] }
        return try Self.names(in: folder).map { try Self.golden(folder + "/" + $0) }
    }

    /// The names in a folder of Tests/Golden, sorted.
    static func names(in folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: golden + "/" + folder).sorted()
    }

    private static let golden = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Golden").path
}

/// A folder in memory for the files of one input after another.
package final class FuzzFolder: Sendable {
    /// Its path.
    package let path: String

    /// A new folder, in shared memory if there is some.
    package init() throws {
        let parent = FileManager.default.isWritableFile(atPath: "/dev/shm") ? "/dev/shm" : NSTemporaryDirectory()
        path = "\(parent)/tutti-fuzz-\(ProcessInfo.processInfo.processIdentifier)-\(UInt32.random(in: 0...(.max)))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Writes a file and returns its path.
    package func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        let file = path + "/" + name
        try Data(bytes).write(to: URL(fileURLWithPath: file))
        return file
    }
}
