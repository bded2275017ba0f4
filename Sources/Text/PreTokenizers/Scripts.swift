// The pre-tokenizer UnicodeScripts: cuts where the script changes. Hiragana, Katakana and U+30FC count as Han; a blank and
// what has no script join what is around them.
//
// What comes before the first character of a script is dropped, as in the reference (pre_tokenizers/unicode_scripts).

/// The scripts of all code points, as the reference has them.
final class Scripts: Sendable {
    /// The shared instance.
    static let shared = Scripts()
    /// Number of the blank, and of what has no script.
    private static let none: UInt8 = 0
    private let starts: [UInt32]
    private let numbers: [UInt8]

    private init() {
        var starts: [UInt32] = []
        var numbers: [UInt8] = []
        var point: UInt32 = 0
        for (count, number) in UnicodeCategories.runs(UnicodeClassTables.script) {
            starts.append(point)
            numbers.append(UInt8(number))
            point += UInt32(count)
        }
        self.starts = starts
        self.numbers = numbers
    }

    /// The number of the script of `point`.
    private func script(_ point: UInt32) -> UInt8 {
        var (low, high) = (0, starts.count)
        while low + 1 < high {
            let middle = (low + high) / 2
            if starts[middle] <= point { low = middle } else { high = middle }
        }
        return numbers[low]
    }

    /// Appends the words of `bytes[range]` to `words`.
    static func split(_ bytes: [UInt8], _ range: Range<Int>, into words: inout [Range<Int>]) {
        var start: Int?
        var last: UInt8?
        var position = range.lowerBound
        while position < range.upperBound {
            let place = position
            let script = shared.script(UTF8Scalars.next(bytes, &position))
            guard script != none else { continue }
            if let last, last == script { continue }
            if let start { words.append(start..<place) }
            start = place
            last = script
        }
        if let start { words.append(start..<range.upperBound) }
    }
}
