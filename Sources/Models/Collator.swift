// From the texts of a batch to packed token ids.
//
// What: each column's prompt is put before its texts, every text is tokenised by the reader of the column's route and cut
// to its length, and all columns are packed one after another. Where pooling leaves the prompt out, each sequence carries
// the number of leading tokens that this means: the tokens of the prompt alone, without a trailing special token, as the
// reference counts.
//
// Reference: sentence_transformers/base/data_collator.py, base/modules/transformer.py (_get_prompt_length).

import TuttiCorpus
import TuttiEncoders
import TuttiGround
import TuttiText

/// Makes packed batches of texts.
package struct Collator: Sendable {
    private struct Column {
        let prompt: String
        let promptTokens: Int
        let route: Int
    }

    /// One a route.
    private let readers: [TextReader]
    private let columns: [Column]

    /// A collator of columns with these prompts and routes; columns beyond them have no prompt and the first route.
    package init(readers: [TextReader], prompts: [String] = [], routes: [Int] = []) {
        self.readers = readers
        columns = (0..<max(prompts.count, routes.count)).map { column in
            let prompt = column < prompts.count ? prompts[column] : ""
            let route = column < routes.count ? routes[column] : 0
            return Column(prompt: prompt, promptTokens: readers[route].excludedTokens(of: prompt), route: route)
        }
    }

    /// Bytes of a text that its tokens stand for before it is cut: a token is about five.
    package var longestText: Int { (readers.map(\.maximumLength).max() ?? 0) * 5 }

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

    /// Adds tokens that were read from a text of `column` before.
    package func append(
        slot: UInt64, column: Int, to packed: inout PackedBatch, _ write: (inout [Int32]) -> Void
    ) {
        let known = settings(of: column)
        packed.append(
            slot: slot, column: UInt32(column), promptTokens: known.promptTokens, route: known.route, write)
    }

    /// Appends the tokens of a text of `column` to `ids`.
    package func read(
        _ text: String, column: Int, appendingTo ids: inout [Int32], _ scratch: inout TokenizerScratch
    ) {
        let known = settings(of: column)
        readers[known.route].read(known.prompt.isEmpty ? text : known.prompt + text, appendingTo: &ids, &scratch)
    }

    /// The SHA-256 of all that decides the tokens of texts of `count` columns.
    package func digest(columns count: Int) -> String {
        var digest = Digest()
        digest.update("tutti tokens")
        digest.update(tuttiVersion)
        for column in 0..<count {
            let known = settings(of: column)
            digest.update(known.prompt)
            readers[known.route].update(&digest)
        }
        return digest.hexadecimal
    }

    /// The largest id that a text can get.
    package var largestID: Int32 { readers.map(\.tokenizer.largestID).max() ?? 0 }

    private func settings(of column: Int) -> Column {
        column < columns.count ? columns[column] : Column(prompt: "", promptTokens: 0, route: 0)
    }

    /// Adds one text of `column` to `packed`.
    package func append(_ text: String, slot: UInt64, column: Int, to packed: inout PackedBatch) {
        var scratch = TokenizerScratch()
        append(text, slot: slot, column: column, to: &packed, &scratch)
    }

    private func append(
        _ text: String, slot: UInt64, column: Int, to packed: inout PackedBatch, _ scratch: inout TokenizerScratch
    ) {
        append(slot: slot, column: column, to: &packed) { read(text, column: column, appendingTo: &$0, &scratch) }
    }
}
