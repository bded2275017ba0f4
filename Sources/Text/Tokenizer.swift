// Text to token ids, identical to Hugging Face tokenizers: added tokens are matched in the raw text, the text between
// them is normalized and split into words, the model splits each word, and special tokens are added around the result.
//
// A Tokenizer never changes after loading and may be used from several threads at once. Everything works on UTF-8
// bytes in the caller's TokenizerScratch, so that the hot path allocates nothing once the longest text has been seen.
// Reference: tokenizers/src/tokenizer/mod.rs.

import TuttiFormats
import TuttiGround

/// Buffers reused from text to text; one per thread.
package struct TokenizerScratch: Sendable {
    var text: [UInt8] = []
    var normalized: [UInt8] = []
    var normalizer = NormalizerScratch()
    var rawPieces: [AddedTokenMatcher.Piece] = []
    var pieces: [AddedTokenMatcher.Piece] = []
    var words = WordBuffer()
    var model = ModelScratch()

    /// Empty buffers.
    package init() {}
}

/// The tokenizer of a model folder.
package final class Tokenizer: Sendable {
    /// The number of token ids: the model's vocabulary and the tokens added to it.
    package let vocabularySize: Int
    /// The longest input that tokenizer_config.json allows; nil if it has none or an absurdly large one.
    package let modelMaximumLength: Int?
    /// The tokenizer's files, copied when a model is saved; a model with only vocab.txt gets a tokenizer.json.
    package let files: [(name: String, bytes: [UInt8])]
    /// Notices for the user: where the files disagree, and which one wins.
    package let notices: [String]
    /// The largest id that a text can get, of the vocabulary, the added tokens and the template.
    package let largestID: Int32
    /// The number of special tokens around a text.
    package let templateCount: Int

    /// The list of a tokenizer of words, which goes through none of the parts below.
    private let words: WordList?
    private let parts: TokenizerFile?
    private let rawMatcher: AddedTokenMatcher
    private let normalizedMatcher: AddedTokenMatcher
    private let truncatesLeft: Bool
    private let identity = WordCache.Identity()

    /// A tokenizer from the parsed contents of its files.
    init(
        _ document: JSONValue, path: String, configuration: JSONValue, files: [(name: String, bytes: [UInt8])],
        notices: [String]
    ) throws(TuttiError) {
        let parts = try TokenizerFile(document, path: path)
        words = nil
        self.parts = parts
        self.files = files
        self.notices = notices
        vocabularySize = parts.tokens.count
        let template = parts.postProcessor.prefix + parts.postProcessor.suffix
        templateCount = template.count
        largestID = max(parts.tokens.keys.max() ?? 0, template.max() ?? 0)
        let limit = (configuration["model_max_length"] ?? configuration["max_len"])?.double
        modelMaximumLength = limit.flatMap { $0 >= 1 && $0 < 1e9 ? Int($0) : nil }
        if let side = configuration["truncation_side"]?.string {
            truncatesLeft = side == "left"
        } else {
            truncatesLeft = parts.truncatesLeft
        }
        let splitsSpecial = configuration["split_special_tokens"]?.bool ?? false
        let matched = parts.addedTokens.filter { !(splitsSpecial && $0.isSpecial) }
        let raw = matched.filter { !$0.isNormalized }
        rawMatcher = try AddedTokenMatcher(raw, patterns: raw.map { Array($0.content.utf8) }, path: path)
        let normalized = matched.filter(\.isNormalized)
        var scratch = NormalizerScratch()
        let patterns = normalized.map { token in
            let content = Array(token.content.utf8)
            guard let normalizer = parts.normalizer else { return content }
            var pattern: [UInt8] = []
            normalizer.normalize(content, 0..<content.count, to: &pattern, scratch: &scratch)
            return pattern
        }
        normalizedMatcher = try AddedTokenMatcher(normalized, patterns: patterns, path: path)
    }

    /// A tokenizer of the words of a list.
    init(_ words: WordList, files: [(name: String, bytes: [UInt8])]) throws(TuttiError) {
        self.words = words
        self.files = files
        parts = nil
        notices = []
        vocabularySize = words.words.count
        templateCount = 0
        largestID = Int32(words.words.count) - 1
        modelMaximumLength = nil
        truncatesLeft = false
        rawMatcher = try AddedTokenMatcher([], patterns: [], path: "")
        normalizedMatcher = rawMatcher
    }

    /// Whether texts are words of a list.
    package var isOfWords: Bool { words != nil }

    /// The token of `id`; nil if there is none.
    package func token(_ id: Int32) -> String? {
        guard let words else { return parts?.tokens[id] }
        return words.words.indices.contains(Int(id)) ? words.words[Int(id)] : nil
    }

    /// The id of `token`, an added token or a vocabulary entry; nil if there is none.
    package func id(of token: String) -> Int32? {
        if let words { return words.id(of: token) }
        if let added = parts?.addedTokens.first(where: { $0.content.utf8.elementsEqual(token.utf8) }) {
            return added.id
        }
        return parts?.model.id(of: token)
    }

    /// The token ids of `text`, truncated to `maximumLength` ids including special tokens.
    package func encode(_ text: String, maximumLength: Int? = nil, addSpecialTokens: Bool = true) -> [Int32] {
        var ids: [Int32] = []
        var scratch = TokenizerScratch()
        encode(
            text, maximumLength: maximumLength, addSpecialTokens: addSpecialTokens, appendingTo: &ids, scratch: &scratch
        )
        return ids
    }

    /// Appends the token ids of `text`, special tokens included, to `ids`.
    package func encode(_ text: String, maximumLength: Int?, appendingTo ids: inout [Int32]) {
        var scratch = TokenizerScratch()
        encode(text, maximumLength: maximumLength, appendingTo: &ids, scratch: &scratch)
    }

    /// Appends the token ids of `text` to `ids`, with buffers that are reused.
    ///
    /// Allocates: only to grow `scratch` and `ids`.
    package func encode(
        _ text: String, maximumLength: Int?, addSpecialTokens: Bool = true, appendingTo ids: inout [Int32],
        scratch: inout TokenizerScratch
    ) {
        if let words { return words.read(text, limit: maximumLength ?? Int.max, appendingTo: &ids) }
        guard let parts else { preconditionFailure("Tokenizer: neither words nor parts") }
        let template = addSpecialTokens ? parts.postProcessor : PostProcessor()
        ids.append(contentsOf: template.prefix)
        let start = ids.count
        let limit = maximumLength.map { max(0, $0 - template.prefix.count - template.suffix.count) } ?? Int.max
        encodeText(text, parts, stopAt: truncatesLeft || limit == Int.max ? Int.max : start + limit, &ids, &scratch)
        if ids.count - start > limit {
            if truncatesLeft {
                ids.removeSubrange(start..<(ids.count - limit))
            } else {
                ids.removeLast(ids.count - start - limit)
            }
        }
        ids.append(contentsOf: template.suffix)
    }

    private func encodeText(
        _ text: String, _ parts: TokenizerFile, stopAt: Int, _ ids: inout [Int32], _ scratch: inout TokenizerScratch
    ) {
        scratch.model.cache.claim(identity)
        scratch.text.removeAll(keepingCapacity: true)
        scratch.text.append(contentsOf: text.utf8)
        scratch.rawPieces.removeAll(keepingCapacity: true)
        rawMatcher.split(scratch.text, 0..<scratch.text.count, into: &scratch.rawPieces)
        for rawPiece in scratch.rawPieces {
            if ids.count >= stopAt { return }
            if let id = rawPiece.id {
                ids.append(id)
                continue
            }
            scratch.normalized.removeAll(keepingCapacity: true)
            if let normalizer = parts.normalizer {
                normalizer.normalize(
                    scratch.text, rawPiece.range, to: &scratch.normalized, scratch: &scratch.normalizer)
            } else {
                scratch.normalized.append(contentsOf: scratch.text[rawPiece.range])
            }
            scratch.pieces.removeAll(keepingCapacity: true)
            normalizedMatcher.split(scratch.normalized, 0..<scratch.normalized.count, into: &scratch.pieces)
            for piece in scratch.pieces {
                if let id = piece.id {
                    ids.append(id)
                } else {
                    let startsInput =
                        rawPiece.range.lowerBound == 0 && piece.range.lowerBound == 0
                        && !(parts.normalizer != nil && scratch.normalizer.dropsStart)
                    encodeWords(piece.range, parts, startsInput: startsInput, stopAt: stopAt, &ids, &scratch)
                }
            }
        }
    }

    private func encodeWords(
        _ range: Range<Int>, _ parts: TokenizerFile, startsInput: Bool, stopAt: Int, _ ids: inout [Int32],
        _ scratch: inout TokenizerScratch
    ) {
        guard let preTokenizer = parts.preTokenizer else {
            scratch.words.begin(range, startsInput: startsInput)
            parts.model.encode(
                scratch.normalized, scratch.words.words, stopAt: stopAt, to: &ids, scratch: &scratch.model)
            return
        }
        if preTokenizer.rewrites {
            scratch.words.bytes.removeAll(keepingCapacity: true)
            scratch.words.bytes.append(contentsOf: scratch.normalized[range])
            scratch.words.begin(0..<range.count, startsInput: startsInput)
            preTokenizer.apply(to: &scratch.words)
        } else {
            swap(&scratch.words.bytes, &scratch.normalized)
            scratch.words.begin(range, startsInput: startsInput)
            preTokenizer.apply(to: &scratch.words)
        }
        parts.model.encode(scratch.words.bytes, scratch.words.words, stopAt: stopAt, to: &ids, scratch: &scratch.model)
        if !preTokenizer.rewrites { swap(&scratch.words.bytes, &scratch.normalized) }
    }
}
