// A mining run that is stopped goes on where it was, and never takes over what other inputs gave.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiEvaluation
import TuttiFormats
import TuttiGround

/// What stops a run in these tests.
private struct Stop: Error {}

/// Counts what a run tells; used by rank zero's thread alone.
private final class Told: @unchecked Sendable {
    var events: [MiningProgress] = []
}

@Suite(.serialized) struct MiningResumeTests {
    private let goldens = MiningGoldens()

    private func golden(_ name: String) throws -> JSONValue {
        try #require(goldens.cases.first { $0["name"]?.string == name })
    }

    /// Stopped after every chunk in turn, each time on another number of ranks: nothing is computed twice.
    @Test func goesOnAfterEveryChunk() throws {
        let golden = try golden("triplet corpus")
        try withTemporaryDirectory { folder in
            _ = try goldens.mine(golden, output: folder + "/whole.csv", world: 1, adjust: { $0.chunkSize = 4 })
            let output = folder + "/parts.csv"
            var stops = 0
            var encoded: [Int: Date] = [:]
            while true {
                let told = Told()
                let allowed = stops
                do {
                    _ = try goldens.mine(
                        golden, output: output, world: [2, 1, 4][stops % 3],
                        observe: { event in
                            told.events.append(event)
                            if told.events.count > allowed { throw Stop() }
                        }, adjust: { $0.chunkSize = 4 })
                    break
                } catch {
                    stops += 1
                    #expect(!FileManager.default.fileExists(atPath: output))
                    // A chunk that was kept is not written again.
                    for number in 0..<8 {
                        let path = output + ".work/documents-0000\(number).npy"
                        guard FileManager.default.fileExists(atPath: path) else { continue }
                        let date = try #require(
                            try FileManager.default.attributesOfItem(atPath: path)[.modificationDate] as? Date)
                        #expect(encoded[number] ?? date == date)
                        encoded[number] = date
                    }
                }
                try #require(stops < 30)
            }
            #expect(stops >= 8 && encoded.count == 7, "\(stops) stops, \(encoded.count) chunks")
            #expect(
                FileManager.default.contents(atPath: output)
                    == FileManager.default.contents(atPath: folder + "/whole.csv"))
        }
    }

    @Test func aFinishedRunIsLeftAlone() throws {
        let golden = try golden("tuple scores")
        try withTemporaryDirectory { folder in
            let output = folder + "/mined.jsonl"
            let first = try goldens.mine(golden, output: output, world: 1)
            let told = Told()
            let again = try goldens.mine(golden, output: output, world: 2, observe: { told.events.append($0) })
            #expect(!first.wasFinished && again.wasFinished && told.events.isEmpty)
            #expect(again.statistics == first.statistics && again.statistics["rows"]?.int == 18)
            // The output is gone: it is made again from what is kept.
            try FileManager.default.removeItem(atPath: output)
            let restored = try goldens.mine(golden, output: output, world: 1, observe: { told.events.append($0) })
            #expect(!restored.wasFinished && told.events.isEmpty)
            #expect(FileManager.default.fileExists(atPath: output))
        }
    }

    /// Other options, data or weights in the same output are refused; with overwriting only what differs is computed.
    @Test func anotherRunIsRefused() throws {
        let golden = try golden("triplet corpus")
        try withTemporaryDirectory { folder in
            let output = folder + "/mined.csv"
            func run(
                overwrites: Bool, digest: String = "1", _ adjust: (inout MiningOptions) -> Void
            ) throws -> [MiningProgress] {
                let told = Told()
                _ = try goldens.mine(
                    golden, output: output, world: 2, overwrites: overwrites, modelDigest: digest,
                    observe: { told.events.append($0) }, adjust: adjust)
                return told.events
            }
            func bytes() -> Data? { FileManager.default.contents(atPath: output) }
            #expect(try run(overwrites: false) { _ in }.count == 2)
            let before = bytes()
            for (digest, seed) in [("1", UInt64(7)), ("2", 42)] {  // other weights under the same name, too
                let failure = #expect(throws: TuttiError.self) {
                    try run(overwrites: false, digest: digest) { $0.seed = seed }
                }
                #expect(failure?.kind == .usage && failure?.description.contains("another run") == true)
            }
            #expect(bytes() == before)
            #expect(try run(overwrites: true) { $0.minimumScore = 0.9 }.isEmpty, "only another selection")
            #expect(bytes() != before)
            #expect(try run(overwrites: true, digest: "2") { _ in }.count == 2)
            #expect(bytes() == before)
            try FileManager.default.removeItem(atPath: output + ".work")
            let failure = #expect(throws: TuttiError.self) { try run(overwrites: false) { _ in } }
            #expect(failure?.kind == .usage && failure?.description.contains("was not written by this") == true)
        }
    }

    /// A kept file that is not as it was written is named, with the way out; then the run goes on.
    @Test func damagedFilesAreNamed() throws {
        let golden = try golden("triplet corpus")
        try withTemporaryDirectory { folder in
            let output = folder + "/mined.csv"
            func mine(stops: Bool = false) throws {
                _ = try goldens.mine(
                    golden, output: output, world: 2,
                    observe: { event in
                        if stops, case .queries = event { throw Stop() }
                    }, adjust: { $0.chunkSize = 9 })
            }
            #expect(throws: TuttiError.self) { try mine(stops: true) }
            let whole = try NumPy.read(path: output + ".work/documents-00000.npy")
            for path in ["documents-00001.npy", "queries-00000.npy", "candidates-00000.safetensors"] {
                let path = output + ".work/" + path
                // Of the queries a row too few; of the others half the bytes. Candidates are only read at the end.
                if path.contains("queries") {
                    try NumPy.write(
                        path: path, floats: Array(whole.floats.prefix(whole.columns)), rows: 1, columns: whole.columns)
                    try FileManager.default.removeItem(atPath: output + ".work/candidates-00000.safetensors")
                } else {
                    let bytes = try #require(FileManager.default.contents(atPath: path))
                    try bytes.prefix(bytes.count / 2).write(to: URL(fileURLWithPath: path))
                }
                let failure = #expect(throws: TuttiError.self) { try mine() }
                #expect(
                    failure?.kind == .data && failure?.description.contains(path) == true,
                    "\(failure?.description ?? "")")
                #expect(failure?.description.contains("Remove this file") == true)
                try FileManager.default.removeItem(atPath: path)
                if path.contains("queries") { #expect(throws: TuttiError.self) { try mine(stops: true) } }
            }
            try mine()
            #expect(FileManager.default.fileExists(atPath: output))
        }
    }
}
