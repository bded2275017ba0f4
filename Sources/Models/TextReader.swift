// How the texts of one route become tokens: the tokenizer of its first module, and where it cuts.

import TuttiEncoders
import TuttiGround
import TuttiText

/// Reads texts for one first module.
package struct TextReader: Sendable {
    /// The tokenizer.
    let tokenizer: Tokenizer
    /// Tokens of the longest text, special ones included.
    let maximumLength: Int
    /// True where pooling leaves out the tokens of the prompt.
    let excludesPrompt: Bool
    /// True where special tokens go around a text.
    let addsSpecialTokens: Bool
    /// Whether its folder asks for lower case beside what the tokenizer's files say.
    let lowercases: Bool

    /// Adds all that decides the tokens of a text.
    func update(_ digest: inout Digest) {
        for (name, bytes) in tokenizer.files {
            digest.update(name)
            digest.update(bytes.count)
            bytes.withUnsafeBytes { digest.update($0) }
        }
        for number in [maximumLength, addsSpecialTokens ? 1 : 0, lowercases ? 1 : 0, cutsEnd ? 1 : 0] {
            digest.update(number)
        }
    }
    /// True where a text that is too long loses its last tokens, special or not.
    var cutsEnd = false

    /// Appends the tokens of `text` to `ids`.
    func read(_ text: String, appendingTo ids: inout [Int32], _ scratch: inout TokenizerScratch) {
        let start = ids.count
        tokenizer.encode(
            text, maximumLength: cutsEnd ? nil : maximumLength, addSpecialTokens: addsSpecialTokens, appendingTo: &ids,
            scratch: &scratch)
        if cutsEnd, ids.count - start > maximumLength { ids.removeLast(ids.count - start - maximumLength) }
    }

    /// The tokens of a prompt that pooling leaves out: those of the prompt alone, a trailing special token not counted.
    func excludedTokens(of prompt: String) -> Int {
        guard excludesPrompt, !prompt.isEmpty else { return 0 }
        let special = Set(tokenizer.encode(""))
        let tokens = tokenizer.encode(prompt, maximumLength: maximumLength)
        guard let last = tokens.last, special.contains(last) else { return tokens.count }
        return tokens.count - 1
    }

    /// The tokens of a text as the model reads it, and whether it has more, which are cut.
    package func length(of text: String, _ scratch: inout TokenizerScratch) -> (tokens: Int, isCut: Bool) {
        var ids: [Int32] = []
        let limit = maximumLength < Int.max ? maximumLength + 1 : nil
        tokenizer.encode(
            text, maximumLength: limit, addSpecialTokens: addsSpecialTokens, appendingTo: &ids, scratch: &scratch)
        return (min(ids.count, maximumLength), ids.count > maximumLength)
    }

    /// The ids of a text as the model reads it.
    package func ids(of text: String) -> [Int32] {
        var (ids, scratch) = ([Int32](), TokenizerScratch())
        read(text, appendingTo: &ids, &scratch)
        return ids
    }

    /// The spelling of a token.
    package func token(_ id: Int32) -> String? { tokenizer.token(id) }
}
