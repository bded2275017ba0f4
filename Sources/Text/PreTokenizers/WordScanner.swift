// Hand-written scanners for the regular expressions of the known byte-level vocabularies, recognized by their exact text.
// Each finds the same matches as the expression, and these tile every text.
//
//   gpt2      's|'t|'re|'ve|'m|'ll|'d| ?L+| ?N+| ?[^\sLN]+|\s+(?!\S)|\s+
//   cl100k    (?i:'s|...)|[^\r\nLN]?L+|N{1,3}| ?[^\sLN]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+        (Llama 3; Qwen: N)
//   o200k     [^\r\nLN]?U*W+(?i:'s|...)?|[^\r\nLN]?U+W*(?i:'s|...)?|N{1,3}| ?[^\sLN]+[\r\n/]*|... (Tekken: N, no 's)
//
// L letters, N numbers, U upper-case, title-case, modifier and other letters and marks, W the same with lower-case letters
// for upper-case and title-case ones. Blanks: `\s+(?!\S)` leaves the last one to the next word.

/// A known pattern of words.
enum WordScanner: Sendable, Equatable {
    case gpt2
    /// `letters`: the categories of letters; `digits`: the most numbers in a word.
    case cl100k(letters: UInt32, digits: Int)
    case o200k(digits: Int, joinsContractions: Bool)

    /// The scanner of the regular expression `pattern`; nil if it is not known.
    init?(pattern: String) {
        // Some files have line ends themselves instead of their escapes.
        var text = String.UnicodeScalarView()
        for scalar in pattern.unicodeScalars {
            switch scalar {
            case "\n": text.append(contentsOf: #"\n"#.unicodeScalars)
            case "\r": text.append(contentsOf: #"\r"#.unicodeScalars)
            default: text.append(scalar)
            }
        }
        guard let found = WordScanner.patterns[String(text)] else { return nil }
        self = found
    }

    /// Scanners by the text of their expressions.
    static let patterns: [String: WordScanner] = {
        let contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
        let blanks = #"\s*[\r\n]+|\s+(?!\S)|\s+"#
        let start = #"[^\r\n\p{L}\p{N}]?"#
        let (upper, lower) = (#"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"#, #"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"#)
        var patterns: [String: WordScanner] = [
            #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#: .gpt2
        ]
        let (letter, marked) = (CategoryMask.letter, CategoryMask.letter | CategoryMask.combining)
        for (digits, number) in [(1, #"\p{N}"#), (3, #"\p{N}{1,3}"#)] {
            patterns[contractions + "|" + start + #"\p{L}+|"# + number + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|"# + blanks] =
                .cl100k(letters: letter, digits: digits)
            patterns[
                contractions + "|" + start + #"[\p{L}\p{M}]+|"# + number + #"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|"# + blanks
            ] =
                .cl100k(letters: marked, digits: digits)
            for (joins, end) in [(true, contractions + "?"), (false, "")] {
                let words = "\(start)\(upper)*\(lower)+\(end)|\(start)\(upper)+\(lower)*\(end)|"
                patterns[words + number + #"| ?[^\s\p{L}\p{N}]+[\r\n/]*|"# + blanks] =
                    .o200k(digits: digits, joinsContractions: joins)
            }
        }
        return patterns
    }()

    /// Appends the matches in `bytes[range]` to `words`.
    func split(_ bytes: [UInt8], _ range: Range<Int>, into words: inout [Range<Int>]) {
        let categories = UnicodeCategories.shared
        var position = range.lowerBound
        switch self {
        case .gpt2:
            while position < range.upperBound {
                let end = WordScanner.gpt2End(bytes, position, range.upperBound, categories)
                words.append(position..<end)
                position = end
            }
        case .cl100k(let letters, let digits):
            while position < range.upperBound {
                let end = WordScanner.cl100kEnd(bytes, position, range.upperBound, letters, digits, categories)
                words.append(position..<end)
                position = end
            }
        case .o200k(let digits, let joins):
            while position < range.upperBound {
                let end = WordScanner.o200kEnd(bytes, position, range.upperBound, digits, joins, categories)
                words.append(position..<end)
                position = end
            }
        }
    }

    /// The end of the match that starts at `position`.
    func end(_ bytes: [UInt8], _ position: Int, _ end: Int) -> Int {
        let categories = UnicodeCategories.shared
        switch self {
        case .gpt2: return WordScanner.gpt2End(bytes, position, end, categories)
        case .cl100k(let letters, let digits):
            return WordScanner.cl100kEnd(bytes, position, end, letters, digits, categories)
        case .o200k(let digits, let joins):
            return WordScanner.o200kEnd(bytes, position, end, digits, joins, categories)
        }
    }
}

extension WordScanner {
    private static let blank = UInt8(ascii: " ")
    private static let apostrophe = UInt8(ascii: "'")

    @inline(__always)
    private static func gpt2End(_ bytes: [UInt8], _ start: Int, _ end: Int, _ categories: UnicodeCategories) -> Int {
        if bytes[start] == apostrophe, let found = contraction(bytes, start, end, ignoringCase: false) { return found }
        let first = bytes[start] == blank && start + 1 < end ? start + 1 : start
        let (bit, next) = categories.bit(bytes, first)
        let taken = CategoryMask.space | CategoryMask.letter | CategoryMask.number
        if bit & CategoryMask.letter != 0 { return categories.run(bytes, next, end, CategoryMask.letter) }
        if bit & CategoryMask.number != 0 { return categories.run(bytes, next, end, CategoryMask.number) }
        if bit & taken == 0 { return categories.run(bytes, next, end, ~taken) }
        return blanksEnd(bytes, start, end, stopsAfterLineEnd: false, categories)
    }

    @inline(__always)
    private static func cl100kEnd(
        _ bytes: [UInt8], _ start: Int, _ end: Int, _ letters: UInt32, _ digits: Int, _ categories: UnicodeCategories
    ) -> Int {
        if bytes[start] == apostrophe, let found = contraction(bytes, start, end, ignoringCase: true) { return found }
        let (bit, next) = categories.bit(bytes, start)
        if bit & letters != 0 { return categories.run(bytes, next, end, letters) }
        if bit & CategoryMask.number != 0 { return numberEnd(bytes, next, end, digits, categories) }
        if bit & CategoryMask.lineEnd == 0, next < end {
            let second = categories.bit(bytes, next)
            if second.bit & letters != 0 { return categories.run(bytes, second.next, end, letters) }
        }
        if let found = otherEnd(bytes, start, end, letters, tail: CategoryMask.lineEnd, hasSlash: false, categories) {
            return found
        }
        return blanksEnd(bytes, start, end, stopsAfterLineEnd: true, categories)
    }

    @inline(__always)
    private static func o200kEnd(
        _ bytes: [UInt8], _ start: Int, _ end: Int, _ digits: Int, _ joinsContractions: Bool,
        _ categories: UnicodeCategories
    ) -> Int {
        let (bit, next) = categories.bit(bytes, start)
        if bit & CategoryMask.number != 0 { return numberEnd(bytes, next, end, digits, categories) }
        let mayPrecede = bit & (CategoryMask.lineEnd | CategoryMask.letter) == 0 && next < end
        var found = mayPrecede ? wordEnd(bytes, next, end, categories) : nil
        if found == nil { found = wordEnd(bytes, start, end, categories) }
        if found == nil, mayPrecede { found = capitalsEnd(bytes, next, end, categories) }
        if found == nil { found = capitalsEnd(bytes, start, end, categories) }
        if let found {
            guard joinsContractions, found < end, bytes[found] == apostrophe else { return found }
            return contraction(bytes, found, end, ignoringCase: true) ?? found
        }
        let (letters, tail) = (CategoryMask.letter, CategoryMask.lineEnd)
        if let found = otherEnd(bytes, start, end, letters, tail: tail, hasSlash: true, categories) { return found }
        return blanksEnd(bytes, start, end, stopsAfterLineEnd: true, categories)
    }

    /// The categories of U and of W.
    private static let capitals: UInt32 = 0xFD
    private static let smalls: UInt32 = 0xFA

    /// The end of `U*W+`; nil if it does not match.
    @inline(__always)
    private static func wordEnd(
        _ bytes: [UInt8], _ start: Int, _ end: Int, _ categories: UnicodeCategories
    ) -> Int? {
        let (capitals, smalls) = (capitals, smalls)
        var position = start
        var last: Int?  // the end of the last character that is of U and of W
        while position < end {
            let (bit, next) = categories.bit(bytes, position)
            guard bit & capitals != 0 else {
                if bit & smalls != 0 { return categories.run(bytes, next, end, smalls) }
                break
            }
            position = next
            if bit & smalls != 0 { last = position }
        }
        return last
    }

    /// The end of `U+W*`; nil if it does not match.
    @inline(__always)
    private static func capitalsEnd(
        _ bytes: [UInt8], _ start: Int, _ end: Int, _ categories: UnicodeCategories
    ) -> Int? {
        let found = categories.run(bytes, start, end, capitals)
        return found == start ? nil : categories.run(bytes, found, end, smalls)
    }

    /// The end of a number whose first character ends at `position`.
    @inline(__always)
    private static func numberEnd(
        _ bytes: [UInt8], _ position: Int, _ end: Int, _ digits: Int, _ categories: UnicodeCategories
    ) -> Int {
        var position = position
        for _ in 1..<max(1, digits) {
            guard position < end else { break }
            let (bit, next) = categories.bit(bytes, position)
            guard bit & CategoryMask.number != 0 else { break }
            position = next
        }
        return position
    }

    /// The end of ` ?[^\sLN]+[tail]*`; nil if it does not match.
    @inline(__always)
    private static func otherEnd(
        _ bytes: [UInt8], _ start: Int, _ end: Int, _ letters: UInt32, tail: UInt32, hasSlash: Bool,
        _ categories: UnicodeCategories
    ) -> Int? {
        let first = bytes[start] == blank ? start + 1 : start
        let other = ~(CategoryMask.space | letters | CategoryMask.number)
        var position = categories.run(bytes, first, end, other)
        guard position > first else { return nil }
        while position < end {
            let byte = bytes[position]
            guard byte == 0x0A || byte == 0x0D || (hasSlash && byte == UInt8(ascii: "/")) else { break }
            position += 1
        }
        return position
    }

    /// The end of `\s*[\r\n]+|\s+(?!\S)|\s+`, or of the last two alternatives; `start` is white space.
    @inline(__always)
    private static func blanksEnd(
        _ bytes: [UInt8], _ start: Int, _ end: Int, stopsAfterLineEnd: Bool, _ categories: UnicodeCategories
    ) -> Int {
        var position = start
        var last = start  // the start of the last blank
        var lineEnd = start
        while position < end {
            let (bit, next) = categories.bit(bytes, position)
            guard bit & CategoryMask.space != 0 else { break }
            last = position
            position = next
            if bit & CategoryMask.lineEnd != 0 { lineEnd = next }
        }
        if stopsAfterLineEnd, lineEnd > start { return lineEnd }
        return position == end || last == start ? position : last
    }

    /// The end of 's, 't, 're, 've, 'm, 'll or 'd at the apostrophe `start`; nil if there is none.
    @inline(__always)
    private static func contraction(_ bytes: [UInt8], _ start: Int, _ end: Int, ignoringCase: Bool) -> Int? {
        guard start + 1 < end else { return nil }
        let fold: UInt8 = ignoringCase ? 0x20 : 0
        let first = bytes[start + 1] | fold
        let isLetter = bytes[start + 1] >= 0x40
        guard isLetter else { return nil }
        switch first {
        case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"): return start + 2
        case UInt8(ascii: "r"), UInt8(ascii: "v"), UInt8(ascii: "l"):
            guard start + 2 < end, bytes[start + 2] >= 0x40 else { return nil }
            let second = bytes[start + 2] | fold
            let wanted = first == UInt8(ascii: "l") ? UInt8(ascii: "l") : UInt8(ascii: "e")
            return second == wanted ? start + 3 : nil
        case 0xE5 where ignoringCase:  // U+017F, the long s, is C5 BF
            return bytes[start + 1] == 0xC5 && start + 2 < end && bytes[start + 2] == 0xBF ? start + 3 : nil
        default: return nil
        }
    }
}
