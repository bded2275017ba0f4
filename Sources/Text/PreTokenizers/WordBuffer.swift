// A piece of text while pre-tokenizers split it, one after the other. Most only split; ByteLevel and Metaspace also
// rewrite the text.

/// A text and the words found in it so far; its buffers are reused from text to text.
struct WordBuffer: Sendable {
    /// The text.
    var bytes: [UInt8] = []
    /// The words: ranges of `bytes`, in order, not empty.
    private(set) var words: [Range<Int>] = []
    /// True if the first word starts where the input starts.
    private(set) var startsInput = false
    /// Buffers of patterns.
    var pattern = PatternScratch()
    private var newBytes: [UInt8] = []
    private var newWords: [Range<Int>] = []

    /// Starts with `bytes[range]` as the only word.
    mutating func begin(_ range: Range<Int>, startsInput: Bool) {
        words.removeAll(keepingCapacity: true)
        words.append(range)
        self.startsInput = startsInput
    }

    /// Replaces each word by the words that `split` appends for it.
    @inline(__always)
    mutating func split(_ split: ([UInt8], Range<Int>, inout [Range<Int>], inout PatternScratch) -> Void) {
        newWords.removeAll(keepingCapacity: true)
        let start = words.first?.lowerBound
        for word in words { split(bytes, word, &newWords, &pattern) }
        if newWords.first?.lowerBound != start { startsInput = false }
        swap(&words, &newWords)
    }

    /// Replaces each word by the text that `rewrite` appends for it; empty ones vanish. The last argument says whether
    /// the word starts the input.
    @inline(__always)
    mutating func rewrite(_ rewrite: ([UInt8], Range<Int>, inout [UInt8], Bool) -> Void) {
        newBytes.removeAll(keepingCapacity: true)
        newWords.removeAll(keepingCapacity: true)
        for (number, word) in words.enumerated() {
            let start = newBytes.count
            rewrite(bytes, word, &newBytes, startsInput && number == 0)
            if newBytes.count > start { newWords.append(start..<newBytes.count) }
        }
        swap(&bytes, &newBytes)
        swap(&words, &newWords)
    }
}
