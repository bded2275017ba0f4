// Texts generated from a tokenizer's own words, for measurements without a data file.
//
// Words follow Zipf's law: the n-th has a probability of about 1 / n. Some are joined to another, as compounds that a
// tokenizer must split. The lengths of triplets are those of natural-language-inference data.

import TuttiCorpus
import TuttiFormats
import TuttiGround
import TuttiText

/// A reproducible source of texts.
struct SampleTexts {
    private let words: [String]
    private var state: UInt64

    /// Words of Latin letters from the vocabulary of `tokenizer`.
    /// - Throws: a data error if it has none.
    init(tokenizer: Tokenizer, seed: UInt64 = 42) throws(TuttiError) {
        var words: [String] = []
        for id in 0..<Int32(tokenizer.vocabularySize) {
            guard let token = tokenizer.token(id), token.utf8.count > 1,
                token.utf8.allSatisfy({ (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) })
            else { continue }
            words.append(token)
        }
        guard !words.isEmpty else {
            throw TuttiError(
                .data, "make texts", "tokenizer", "its vocabulary has no word of Latin letters",
                hint: "Give --data or --input.")
        }
        self.words = words
        state = seed
    }

    /// A sentence of `count` words.
    mutating func sentence(words count: Int) -> String {
        var text = ""
        for place in 0..<count {
            if place > 0 { text += uniform() < 0.06 ? ", " : " " }
            var word = nextWord()
            if uniform() < 0.08 { word += nextWord() }
            if place == 0 { word = word.prefix(1).uppercased() + word.dropFirst() }
            text += word
        }
        return text + "."
    }

    /// `count` sentences with about `mean` words each, mostly from half to double that.
    mutating func sentences(_ count: Int, meanWords mean: Double) -> [String] {
        (0..<count).map { _ in
            // The sum of three uniform numbers is close to normal, and bounded.
            let spread = uniform() + uniform() + uniform() - 1.5
            return sentence(words: max(2, Int((mean * (1 + spread)).rounded())))
        }
    }

    /// Triplets of a longer sentence and two short ones: about 49 tokens together.
    mutating func triplets(_ count: Int) throws(TuttiError) -> Table {
        let columns = [("anchor", 18.0), ("positive", 8.0), ("negative", 8.0)]
        return try Table(
            columns: columns.map { (name: $0.0, texts: sentences(count, meanWords: $0.1)) }, source: "generated texts")
    }

    /// Sentences of at least `bytes` bytes together.
    mutating func prose(bytes: Int) -> [String] {
        var texts: [String] = []
        var total = 0
        while total < bytes {
            let text = sentences(1, meanWords: 14)[0]
            total += text.utf8.count
            texts.append(text)
        }
        return texts
    }

    private mutating func nextWord() -> String {
        let place = power(Double(words.count), uniform()) - 1
        return words[min(words.count - 1, max(0, Int(place)))]
    }

    /// base^exponent for exponents in 0 ..< 1, in steps of 1 / 4096: exact enough for sampling.
    private func power(_ base: Double, _ exponent: Double) -> Double {
        var (result, root, rest) = (1.0, base, exponent)
        for _ in 0..<12 {
            root = root.squareRoot()
            rest *= 2
            if rest >= 1 {
                result *= root
                rest -= 1
            }
        }
        return result
    }

    /// SplitMix64's next number in 0 ..< 1.
    private mutating func uniform() -> Double {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return Double((z ^ (z >> 31)) >> 11) * 0x1p-53
    }
}
