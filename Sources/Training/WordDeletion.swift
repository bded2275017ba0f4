// The noise of a denoising auto-encoder: words of a text are left out at random.
//
// What is left is a function of (seed, epoch, row of the table): the same on any number of ranks and in batches of any
// size, and other words in the next epoch. Words are what white space separates. The reference asks NLTK, whose words
// end before punctuation; its ratio is the same.
//
// Reference: Wang et al. 2021, arXiv 2104.06979, section 4; DenoisingAutoEncoderDataset in sentence_transformers.

import TuttiGround
import TuttiKernels

/// Leaves out words of texts.
package struct WordDeletion: Sendable {
    /// The share of words that is left out.
    package let ratio: Double
    /// Seed of the run.
    package let seed: UInt64
    /// The epoch, or any other number for texts that are not trained on.
    package let epoch: UInt32

    /// Leaves out `ratio` of the words, as `seed` and `epoch` say.
    package init(ratio: Double, seed: UInt64, epoch: UInt32) {
        self.ratio = ratio
        self.seed = seed
        self.epoch = epoch
    }

    /// The text of a row without some of its words; one word stays at least, and a text without words stays as it is.
    package func damaged(_ text: String, row: Int32) -> String {
        let words = text.split(whereSeparator: \.isWhitespace)
        var random = CounterRandom(
            seed: seed ^ 0x776F_7264_7300_0000, stream: UInt64(epoch) << 32 | UInt64(UInt32(bitPattern: row)))
        let kept = words.filter { _ in Double.random(in: 0..<1, using: &random) > ratio }
        if !kept.isEmpty { return kept.joined(separator: " ") }
        return words.randomElement(using: &random).map(String.init) ?? text
    }
}
