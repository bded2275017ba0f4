// Fuzz targets of tokenizers: tokenizer.json, SentencePiece models, character maps, regular expressions.

import Foundation
import TuttiFormats
import TuttiGround
import TuttiText

extension FuzzTarget {
    private static let texts = [
        "the orchestra's don't WE'LL 12345 caf\u{E9} e\u{301} \u{4E2D}\u{6587} \u{1F3BB}!!  \r\n\t x",
        "<s> <mask>solo \u{FDFA} ﬁne \u{AC01}\u{11A8} a\u{200B}\u{E33}", "", "a\u{2581} a\u{2581} \u{2581}\u{2581}x",
    ]

    static let textTargets: [FuzzTarget] = [
        FuzzTarget(
            "tokenizer", alphabet: Array("{}[]\":,.0123456789-eEtruefalsn \\/<>#\u{2581}".utf8),
            corpus: {
                let names = [
                    "affixes", "bytes-missing", "deepseek", "gemma", "llama2", "llama3", "o200k", "prefix-space",
                    "qwen2", "roberta", "unknowns-fused", "word-level",
                ].map { "tokenizer-pipelines/\($0).json" }
                let unigram = ["albert", "by-hand", "byte-fallback", "t5", "xlm-roberta"].map {
                    "unigram/\($0)/tokenizer.json"
                }
                let pieces = ["families/bert/model/tokenizer.json"]
                return try (names + unigram + pieces).map { try fewWords(golden($0)) }
            },
            use: { bytes, folder in encode(try Tokenizer.load(file: folder.write("tokenizer.json", bytes))) }),
        FuzzTarget(
            "sentencepiece",
            alphabet: [0x0A, 0x12, 0x15, 0x18, 0x1A, 0x22, 0x00, 0x01, 0x02, 0x7F, 0x80, 0xFF, 0x25],
            corpus: {
                try ["plain.model", "bert.model", "t5.model", "deberta.model", "bytes.model", "llama.model"].map(asset)
            },
            use: { bytes, folder in
                let families = ["xlm-roberta", "albert", "t5", "deberta-v2", "umt5", "llama"]
                let family = families[bytes.reduce(0) { $0 &+ Int($1) } % families.count]
                _ = try folder.write("config.json", Array(#"{"model_type":"\#(family)"}"#.utf8))
                _ = try folder.write("spiece.model", bytes)
                encode(try Tokenizer.load(directory: folder.path))
            }),
        FuzzTarget(
            "charsmap", alphabet: [0, 1, 2, 3, 4, 0x7F, 0x80, 0xBF, 0xC2, 0xE2, 0xFF],
            corpus: {
                let document = try JSONValue.parse(golden("unigram/xlm-roberta/tokenizer.json"), source: "corpus")
                let packed = document["normalizer"]?["precompiled_charsmap"]?.string ?? ""
                guard let map = Data(base64Encoded: packed), map.count > 100 else { throw Finding("no character map") }
                return [Array(map)]
            },
            mutate: { mutator, bytes, alphabet in
                guard mutator.next() % 4 != 0 else { return mutator.mutate(bytes, alphabet: alphabet) }
                var changed = bytes
                for _ in 0..<Int.random(in: 1...200, using: &mutator) {
                    let place = Int.random(in: 0..<changed.count, using: &mutator)
                    changed[place] = UInt8.random(in: 0...255, using: &mutator)
                }
                return changed
            },
            use: { bytes, folder in
                let map = Data(bytes).base64EncodedString()
                let document =
                    #"{"version":"1.0","added_tokens":[],"#
                    + #""normalizer":{"type":"Precompiled","precompiled_charsmap":"\#(map)"},"#
                    + #""model":{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0.0],["a",-1.0],["e",-2.0]]}}"#
                encode(try Tokenizer.load(file: folder.write("tokenizer.json", Array(document.utf8))))
            }),
        FuzzTarget(
            "regex", alphabet: Array(#"()[]{}|*+?\^$.-,:=!<>&ipPnrsSwWdDbBAzZhHxuLNMa09'éß中 "#.utf8),
            corpus: {
                [
                    #"(?i:'s|'t|'re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)"#,
                    #"[\w&&[^\d_]]+|(?m:.{3})\b|^x??$|\x{1F3BB}[[:alpha:]]*+"#, #"(?:a|aa)+$|b*c"#,
                    #"[^\s]+|\s+(?!\S)"#,
                ].map { Array($0.utf8) }
            },
            use: { bytes, _ in
                let text = "The ſ don't 123 \r\n\n  é中 x_y🎻! aaaaaaaaaaaa"
                let pattern = String(decoding: bytes, as: UTF8.self)
                let expression: RegularExpression
                do { expression = try RegularExpression(pattern) } catch { throw refusal("\(error)") }
                var end = 0
                for match in expression.matches(in: text) {
                    guard match.lowerBound >= end, match.upperBound <= text.utf8.count else {
                        throw Finding("matches overlap or lie outside of the text")
                    }
                    end = match.upperBound
                }
            }),
    ]

    private static func refusal(_ problem: String) -> TuttiError { TuttiError(.data, "fuzz", "input", problem) }

    /// Encodes the texts, some of them cut.
    private static func encode(_ tokenizer: Tokenizer) {
        for text in texts { _ = tokenizer.encode(text, maximumLength: 48) }
    }

    /// A tokenizer.json of which only short words are left: otherwise most changes would be in its vocabulary.
    private static func fewWords(_ bytes: [UInt8]) throws -> [UInt8] {
        guard var document = try JSONValue.parse(bytes, source: "corpus").object,
            var model = document["model"]?.object
        else { return bytes }
        let kept: Set<String> = ["<unk>", "[UNK]", "<s>", "</s>", "<pad>", "[CLS]", "[SEP]"]
        if let vocabulary = model["vocab"]?.object {
            var few = JSONObject()
            for (token, id) in vocabulary where token.utf8.count <= 1 || kept.contains(token) { few.set(token, id) }
            model["vocab"] = .object(few)
            if model["merges"] != nil { model["merges"] = .array([]) }
        } else if let pieces = model["vocab"]?.array {
            model["vocab"] = .array(Array(pieces.prefix(24)))
        }
        document["model"] = .object(model)
        return Array(JSONValue.object(document).serialized().utf8)
    }

    /// A SentencePiece model of Tests/Golden.
    private static func asset(_ name: String) throws -> [UInt8] {
        let document = try JSONValue.parse(golden("tokenizer-classes-unigram.json"), source: "corpus")
        guard let packed = document["assets"]?[name]?.string, let bytes = Data(base64Encoded: packed) else {
            throw Finding("no asset \(name)")
        }
        return Array(bytes)
    }
}
