// Model folders with a few bytes changed, by the hundred: each loads and encodes, or is refused with one of the
// contracted kinds. A trap would end the test process. launch/fuzz runs the same with more seeds.

import Foundation
import FuzzTargets
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiModels

@Suite struct MutationTests {
    private static let alphabet = Array("{}[]\":,.0123456789-eEtruefalsn \\u/".utf8)

    /// Seeds a file: few in a normal run, TUTTI_FUZZ_SEEDS many in the long form.
    private static var seeds: UInt64 {
        ProcessInfo.processInfo.environment["TUTTI_FUZZ_SEEDS"].flatMap { UInt64($0) } ?? 60
    }

    /// Loads and encodes the golden folder once a seed, with `file` mutated; `header` bytes alone where given.
    private func mutate(_ model: String, _ file: String, onlyHeader: Bool = false) throws -> (loaded: Int, refused: Int)
    {
        try GoldenModels.with(model) { path in
            let original = try MappedFile(path: path + "/" + file).contents
            let texts = Array(try GoldenModels.texts().prefix(3))
            var (loaded, refused) = (0, 0)
            for seed in 0..<Self.seeds {
                var mutator = Mutator(seed &* 7919 &+ UInt64(file.utf8.count))
                let bytes: [UInt8]
                if onlyHeader {
                    let length = 8 + original.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
                    bytes = mutator.mutate(Array(original[..<length]), alphabet: Self.alphabet) + original[length...]
                } else {
                    bytes = mutator.mutate(original, alphabet: Self.alphabet)
                }
                try AtomicWrite.file(path: path + "/" + file, bytes: bytes)
                do {
                    let model = try SentenceEncoder.load(path)
                    _ = try model.encode(texts)
                    loaded += 1
                } catch let error as TuttiError {
                    let kinds: [TuttiError.Kind] = [.data, .missingFile, .diverged]
                    #expect(kinds.contains(error.kind), "seed \(seed) of \(file): \(error)")
                    refused += 1
                }
            }
            return (loaded, refused)
        }
    }

    @Test(
        .timeLimit(.minutes(5)),
        arguments: [
            "config.json", "modules.json", "tokenizer.json", "tokenizer_config.json", "sentence_bert_config.json",
            "config_sentence_transformers.json", "1_Pooling/config.json",
        ])
    func jsonFiles(_ file: String) throws {
        let (loaded, refused) = try mutate("bert-mean-normalize", file)
        #expect(loaded + refused == Int(Self.seeds) && refused > 0)
    }

    @Test(.timeLimit(.minutes(5))) func mpnetAndDense() throws {
        #expect(try mutate("mpnet-mean-normalize", "config.json").refused > 0)
        #expect(try mutate("bert-dense", "2_Dense/config.json").refused > 0)
    }

    @Test(.timeLimit(.minutes(5))) func headersOfWeights() throws {
        let (loaded, refused) = try mutate("bert-mean-normalize", "model.safetensors", onlyHeader: true)
        #expect(loaded + refused == Int(Self.seeds) && refused > loaded)
    }
}
