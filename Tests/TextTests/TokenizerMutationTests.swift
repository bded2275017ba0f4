// Tokenizers and regular expressions with a few bytes changed: each is used or refused with an error. A trap would end the
// test process. launch/fuzz runs the same with more seeds.

import Foundation
import FuzzTargets
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiText

@Suite struct TokenizerMutationTests {
    /// Seeds a file: few in a normal run, TUTTI_FUZZ_SEEDS many in the long form.
    private static var seeds: UInt64 {
        ProcessInfo.processInfo.environment["TUTTI_FUZZ_SEEDS"].flatMap { UInt64($0) } ?? 60
    }

    private static let texts = [
        "the orchestra's don't WE'LL 12345 caf\u{E9} e\u{301} \u{4E2D}\u{6587} \u{1F3BB}!!  \r\n\t x",
        "<s> <mask>solo [SOLO] tutti fine", "",
        String(repeating: "a\u{2581} ", count: 60),
    ]

    /// Loads a folder with these files once a seed, `name` mutated, and encodes texts.
    private func mutate(_ files: [String: [UInt8]], _ name: String, seeds: UInt64) throws -> (loaded: Int, refused: Int)
    {
        let alphabet = Array("{}[]\":,.0123456789-eEtruefalsn \\/<>#".utf8)
        let original = try #require(files[name])
        var (loaded, refused) = (0, 0)
        try withTemporaryDirectory { folder in
            for (file, bytes) in files { try AtomicWrite.file(path: folder + "/" + file, bytes: bytes) }
            for seed in 0..<seeds {
                var mutator = Mutator(seed &* 7919 &+ UInt64(original.count))
                let mutated = mutator.mutate(original, alphabet: alphabet)
                try AtomicWrite.file(path: folder + "/" + name, bytes: mutated)
                do {
                    let tokenizer = try Tokenizer.load(directory: folder)
                    for text in Self.texts { _ = tokenizer.encode(text, maximumLength: 64) }
                    loaded += 1
                } catch let error as TuttiError {
                    #expect(error.kind == .data, "seed \(seed) of \(name): \(error)")
                    refused += 1
                }
            }
        }
        return (loaded, refused)
    }

    @Test(.timeLimit(.minutes(20)), arguments: try TokenizerPipelineTests.names())
    func mutatedTokenizersAreUsedOrRefused(_ name: String) throws {
        // A large vocabulary takes most of the mutations; so the parts around it are mutated apart from it, too.
        let whole = try MappedFile(path: "\(TokenizerPipelineTests.folder)/\(name).json").contents
        #expect(try mutate(["tokenizer.json": whole], "tokenizer.json", seeds: Self.seeds / 3 + 1).refused > 0)
        var small = try #require(try JSONValue.parse(whole, source: name).object)
        var model = try #require(small["model"]?.object)
        let vocabulary = try #require(model["vocab"]?.object)
        var kept = JSONObject()
        for (token, id) in vocabulary where token.utf8.count <= 2 { kept.set(token, id) }
        for token in ["<unk>", "<s>", "</s>"] { kept[token] = vocabulary[token] }
        model["vocab"] = .object(kept)
        if model["merges"] != nil { model["merges"] = .array([]) }
        small["model"] = .object(model)
        let bytes = Array(JSONValue.object(small).serialized().utf8)
        let counts = try mutate(["tokenizer.json": bytes], "tokenizer.json", seeds: Self.seeds)
        #expect(counts.loaded + counts.refused == Int(Self.seeds))
    }

    @Test(.timeLimit(.minutes(20)), arguments: ["vocab.json", "merges.txt", "tokenizer_config.json"])
    func mutatedVocabulariesAreUsedOrRefused(_ name: String) throws {
        let sample = try #require(try TokenizerClassTests.cases().first { $0.name == "roberta: vocabulary, decoder" })
        let files = sample.files.mapValues { Array($0.utf8) }
        #expect(try mutate(files, name, seeds: Self.seeds).refused > 0)
    }

    @Test(.timeLimit(.minutes(10))) func mutatedPatternsAreMatchedOrRefused() throws {
        let alphabet = Array(#"()[]{}|*+?\^$.-,:=!<>&ipPnrsSwWdDbBAzZhHxuLNMa09'éß中 "#.utf8)
        let patterns = [
            #"(?i:'s|'t|'re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
            #"[\w&&[^\d_]]+|(?m:.{3})\b|^x??$|\x{1F3BB}[[:alpha:]]*+"#,
        ]
        let text = "The ſ don't 12345 \r\n\n  élan 中文 x_y🎻!! aaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        var (used, refused) = (0, 0)
        for pattern in patterns {
            for seed in 0..<Self.seeds * 5 {
                var mutator = Mutator(seed &* 31 &+ UInt64(pattern.utf8.count))
                let mutated = String(decoding: mutator.mutate(Array(pattern.utf8), alphabet: alphabet), as: UTF8.self)
                do {
                    var end = 0
                    for match in try RegularExpression(mutated).matches(in: text) {
                        #expect(match.lowerBound >= end)
                        end = match.upperBound
                    }
                    used += 1
                } catch {
                    refused += 1
                }
            }
        }
        #expect(used > 0 && refused > 0)
    }
}
