// Tokenizer files of Unigram with a few bytes changed, by the hundred: each loads and encodes, or is refused as bad data. A
// trap would end the test process. launch/fuzz runs the same with more seeds.

import Foundation
import FuzzTargets
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiText

@Suite struct UnigramMutationTests {
    private static let json = Array("{}[]\":,.0123456789-eEtruefalsn \\u/\u{2581}".utf8)
    /// Wire tags of pieces, small lengths, and bytes that make numbers long.
    private static let wire: [UInt8] = [0x0A, 0x12, 0x15, 0x18, 0x1A, 0x00, 0x01, 0x02, 0x7F, 0x80, 0xFF, 0x25]
    private static let texts = [
        "the cello\u{301} and  ﬁne", "\u{FDFA} ꙮ 각\u{11A8} <s> <mask> 123", "", "a\u{200B}\u{E33}\r\n",
        "İ``''\u{2581}\u{2581}x",
        String(repeating: "ab", count: 300),
    ]

    private static var seeds: UInt64 {
        ProcessInfo.processInfo.environment["TUTTI_FUZZ_SEEDS"].flatMap { UInt64($0) } ?? 60
    }

    /// Loads and encodes the folder once a seed, `file` changed by `mutate`.
    private func run(
        _ files: [String: [UInt8]], _ file: String, _ mutate: (inout Mutator, [UInt8]) -> [UInt8]
    ) throws -> (loaded: Int, refused: Int) {
        try withTemporaryDirectory { folder in
            for (name, bytes) in files { try AtomicWrite.file(path: folder + "/" + name, bytes: bytes) }
            let original = try #require(files[file])
            var (loaded, refused) = (0, 0)
            for seed in 0..<Self.seeds {
                var mutator = Mutator(seed &* 104_729 &+ UInt64(file.utf8.count))
                try AtomicWrite.file(path: folder + "/" + file, bytes: mutate(&mutator, original))
                do {
                    let tokenizer = try Tokenizer.load(directory: folder)
                    for text in Self.texts { _ = tokenizer.encode(text, maximumLength: 128) }
                    loaded += 1
                } catch let error as TuttiError {
                    #expect([.data, .missingFile].contains(error.kind), "seed \(seed) of \(file): \(error)")
                    refused += 1
                }
            }
            return (loaded, refused)
        }
    }

    @Test(.timeLimit(.minutes(10)), arguments: UnigramGoldenTests.names) func tokenizerFiles(_ name: String) throws {
        let path = Goldens.path("unigram") + "/\(name)/tokenizer.json"
        let (loaded, refused) = try run(["tokenizer.json": try MappedFile(path: path).contents], "tokenizer.json") {
            $0.mutate($1, alphabet: Self.json)
        }
        #expect(loaded + refused == Int(Self.seeds) && refused > 0)
    }

    @Test(
        .timeLimit(.minutes(10)),
        arguments: [
            ("xlm-roberta", "plain.model"), ("camembert", "plain.model"), ("albert", "bert.model"), ("t5", "t5.model"),
            ("deberta-v2", "deberta.model"), ("umt5", "bytes.model"), ("llama", "llama.model"),
        ])
    func sentencePieceModels(_ family: String, _ asset: String) throws {
        let files = [
            "config.json": Array(#"{"model_type":"\#(family)"}"#.utf8),
            "spiece.model": try SentencePieceTests.asset(asset),
        ]
        let (loaded, refused) = try run(files, "spiece.model") { $0.mutate($1, alphabet: Self.wire) }
        #expect(loaded + refused == Int(Self.seeds) && refused > 0 && loaded > 0)
    }

    /// Character maps of which bytes of the table are changed, their length kept: all of them load.
    @Test(.timeLimit(.minutes(10))) func characterMaps() throws {
        let path = Goldens.path("unigram") + "/xlm-roberta/tokenizer.json"
        let text = try MappedFile(path: path).contents
        let document = try JSONValue.parse(text, source: path)
        let packed = try #require(document["normalizer"]?["precompiled_charsmap"]?.string)
        let map = Array(try #require(Data(base64Encoded: packed)))
        let size = (0..<4).reduce(0) { $0 | Int(map[$1]) << (8 * $1) }
        let (loaded, refused) = try run(["tokenizer.json": text], "tokenizer.json") { mutator, _ in
            var bytes = map
            for _ in 0..<Int.random(in: 1...200, using: &mutator) {
                bytes[Int.random(in: 4..<4 + size, using: &mutator)] = UInt8.random(in: 0...255, using: &mutator)
            }
            var changed = document.object ?? JSONObject()
            changed["normalizer"] = .object([
                "type": .string("Precompiled"), "precompiled_charsmap": .string(Data(bytes).base64EncodedString()),
            ])
            return Array(JSONValue.object(changed).serialized().utf8)
        }
        #expect(loaded == Int(Self.seeds) && refused == 0)
    }
}
