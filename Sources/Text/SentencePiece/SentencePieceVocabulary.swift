// A SentencePiece model as a vocabulary for a tokenizer class, or for the class that follows the model itself.
//
// Unigram keeps the pieces and their scores. Byte-pair models store no merges: each piece has one for every cut into two
// pieces, in the order of the joined pieces' ids, shorter left parts first. Reference: transformers,
// convert_slow_tokenizer.py (SentencePieceExtractor, build_tokenizer_from_spm_proto), tokenization_utils_base.py
// (generate_merges).

import Foundation
import TuttiGround

extension SentencePieceFile {
    /// The names of SentencePiece models in a folder, in the order in which they are looked for.
    static let names = ["sentencepiece.bpe.model", "spiece.model", "spm.model", "tokenizer.model"]

    /// The vocabulary from which `tokenizerClass` builds.
    ///
    /// Throws: `.data` naming the key at fault.
    func vocabulary(
        for tokenizerClass: TokenizerClass, _ files: TokenFiles, _ place: TokenizerPlace
    ) throws(TuttiError) -> ClassVocabulary {
        var members: JSONObject
        if tokenizerClass.model == "Unigram" {
            let named = try DeclaredTokens(files, of: tokenizerClass, place).named
            let context = PieceContext(contents: named.mapValues(\.content), configuration: files.configuration)
            let list = pieces.map { JSONValue.array([.string($0.text), .number(Double($0.score))]) }
            members = ["vocab": .array(tokenizerClass.pieces(list, context))]
        } else {
            var ids = JSONObject()
            for (id, piece) in pieces.enumerated() { ids.set(piece.text, .integer(Int64(id))) }
            let merges = merges.map { JSONValue.array([.string($0.left), .string($0.right)]) }
            members = ["vocab": .object(renamed(ids, files.configuration)), "merges": .array(merges)]
        }
        var vocabulary = try ClassVocabulary(members, place)
        vocabulary.charsmap = charsmap.isEmpty ? nil : Data(charsmap).base64EncodedString()
        vocabulary.unknownId = Int(unknownId)
        return vocabulary
    }

    /// The class of a folder that names none, or one that follows the model: blanks become marks, and nothing is put
    /// before a text.
    var followingClass: TokenizerClass {
        let model = self.model
        var named: [(String, String)] = []
        if beginId >= 0 { named.append(("bos_token", beginPiece.isEmpty ? "<s>" : beginPiece)) }
        if endId >= 0 { named.append(("eos_token", endPiece.isEmpty ? "</s>" : endPiece)) }
        if unknownId >= 0 { named.append(("unk_token", unknownPiece.isEmpty ? "<unk>" : unknownPiece)) }
        return TokenizerClass(algorithm == .unigram ? "Unigram" : "BPE", named) { context throws(TuttiError) in
            let marks = JSONValue.object([
                "type": .string("Replace"), "pattern": .object(["String": .string(" ")]),
                "content": .string("\u{2581}"),
            ])
            let steps = (context.precompiled.map { [$0] } ?? []) + [marks]
            return TokenizerClass.Parts(
                normalizer: .object(["type": .string("Sequence"), "normalizers": .array(steps)]), model: model)
        }
    }

    /// The `model` of tokenizer.json without its vocabulary.
    private var model: JSONObject {
        if algorithm == .unigram {
            return [
                "type": .string("Unigram"), "unk_id": .integer(Int64(unknownId)),
                "byte_fallback": .bool(hasByteFallback),
            ]
        }
        return [
            "type": .string("BPE"), "dropout": .null, "unk_token": .string(unknownPiece),
            "continuing_subword_prefix": .null, "end_of_word_suffix": .null, "fuse_unk": .bool(true),
            "byte_fallback": .bool(hasByteFallback), "ignore_merges": .bool(false),
        ]
    }

    /// Control pieces, which are special, and user-defined ones, which are not: both are matched in the raw text.
    var tokens: [DeclaredToken] {
        pieces.filter { $0.kind == .control || $0.kind == .userDefined }.map { piece in
            var token = DeclaredToken(piece.text)
            token.isSpecial = piece.kind == .control
            token.isNormalized = false
            return token
        }
    }

    /// The ids with the names that added_tokens_decoder gives to some of them.
    private func renamed(_ ids: JSONObject, _ configuration: JSONValue) -> JSONObject {
        guard let decoder = configuration["added_tokens_decoder"]?.object else { return ids }
        var names: [Int: String] = [:]
        for (id, value) in decoder {
            guard let id = Int(id), let name = value["content"]?.string, ids[name] == nil else { continue }
            names[id] = name
        }
        if names.isEmpty { return ids }
        var renamed = JSONObject()
        for (token, id) in ids { renamed.set(id.int.flatMap { names[$0] } ?? token, id) }
        return renamed
    }

    /// The merges of a byte-pair model, the first ones first.
    var merges: [(left: String, right: String)] {
        var forward = ByteStrings(capacity: pieces.count)
        var backward = ByteStrings(capacity: pieces.count)
        for piece in pieces {
            forward.append(piece.text.utf8)
            backward.append(piece.text.utf8.reversed())
        }
        guard let prefixes = PieceTrie(forward), let suffixes = PieceTrie(backward) else { return [] }
        var merges: [(String, String)] = []
        var isSuffix: [Bool] = []
        for (id, piece) in pieces.enumerated() {
            let bytes = Array(piece.text.utf8)
            // Of pieces given twice the last one has the id by which merges are ordered.
            guard bytes.count > 1, prefixes.value(of: bytes) == Int32(id) else { continue }
            isSuffix.removeAll(keepingCapacity: true)
            isSuffix.append(contentsOf: repeatElement(false, count: bytes.count))
            suffixes.walk(bytes.reversed()) { length in isSuffix[bytes.count - length] = true }
            prefixes.walk(bytes.dropLast()) { length in
                guard isSuffix[length] else { return }
                merges.append(
                    (
                        String(decoding: bytes[..<length], as: UTF8.self),
                        String(decoding: bytes[length...], as: UTF8.self)
                    ))
            }
        }
        return merges
    }
}
