// From the texts of a batch to packed token ids.
//
// What: each column's prompt is put before its texts, every text is tokenised and cut to the model's length, and all
// columns are packed one after another. Where pooling leaves the prompt out, each sequence carries the number of
// leading tokens that this means: the tokens of the prompt alone, without a trailing special token, as the reference
// counts.
//
// Reference: sentence_transformers/base/data_collator.py, base/modules/transformer.py (_get_prompt_length).

import TuttiCorpus
import TuttiEncoders
import TuttiText

/// Makes packed batches of texts.
package struct Collator: Sendable {
    private let tokenizer: Tokenizer
    private let maximumLength: Int
    private let prompts: [String]
    private let promptTokens: [Int]
    private let addsSpecialTokens: Bool

    /// A collator that cuts to `maximumLength` tokens; columns beyond `prompts` have no prompt.
    package init(
        tokenizer: Tokenizer, maximumLength: Int, prompts: [String] = [], excludesPrompt: Bool = false,
        addsSpecialTokens: Bool = true
    ) {
        self.tokenizer = tokenizer
        self.maximumLength = maximumLength
        self.prompts = prompts
        self.addsSpecialTokens = addsSpecialTokens
        promptTokens = prompts.map {
            excludesPrompt ? Collator.promptLength($0, tokenizer: tokenizer, maximumLength: maximumLength) : 0
        }
    }

    /// Bytes of a text that its tokens stand for before it is cut: a token is about five.
    package var longestText: Int { maximumLength * 5 }

    /// Replaces the content of `packed` by the texts of `batch`, column after column.
    package func pack(_ batch: TextBatch, into packed: inout PackedBatch) {
        packed.removeAll()
        for column in batch.columns.indices { append(batch, column: column, to: &packed) }
    }

    /// Adds the texts of one column of `batch` to `packed`.
    package func append(_ batch: TextBatch, column: Int, to packed: inout PackedBatch) {
        var scratch = TokenizerScratch()
        for (row, text) in batch.columns[column].enumerated() {
            append(text, slot: UInt64(batch.slots.lowerBound + row), column: column, to: &packed, &scratch)
        }
    }

    /// Adds one text of `column` to `packed`.
    package func append(_ text: String, slot: UInt64, column: Int, to packed: inout PackedBatch) {
        var scratch = TokenizerScratch()
        append(text, slot: slot, column: column, to: &packed, &scratch)
    }

    private func append(
        _ text: String, slot: UInt64, column: Int, to packed: inout PackedBatch, _ scratch: inout TokenizerScratch
    ) {
        let prompt = column < prompts.count ? prompts[column] : ""
        let leading = column < prompts.count ? promptTokens[column] : 0
        packed.append(slot: slot, column: UInt32(column), promptTokens: leading) { ids in
            tokenizer.encode(
                prompt.isEmpty ? text : prompt + text, maximumLength: maximumLength,
                addSpecialTokens: addsSpecialTokens, appendingTo: &ids, scratch: &scratch)
        }
    }

    /// The tokens of a prompt alone, a trailing special token not counted.
    private static func promptLength(_ prompt: String, tokenizer: Tokenizer, maximumLength: Int) -> Int {
        guard !prompt.isEmpty else { return 0 }
        let special = Set(tokenizer.encode(""))
        let tokens = tokenizer.encode(prompt, maximumLength: maximumLength)
        guard let last = tokens.last, special.contains(last) else { return tokens.count }
        return tokens.count - 1
    }
}
