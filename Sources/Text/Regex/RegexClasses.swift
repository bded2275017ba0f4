// Character classes and escapes of regular expressions, as sets of code points.

import TuttiGround

extension RegexParser {
    /// The set of a class whose opening bracket is behind `position`; moves past the closing one.
    mutating func characterClass(ignoresCase: Bool, depth: Int = 0) throws(RegexProblem) -> CodePointRanges {
        guard depth < 16 else { throw RegexProblem(problem: "character classes are nested more than 16 deep") }
        let isNegative = take("^")
        var intersected: CodePointRanges?
        var current = CodePointRanges()
        var isFirst = true
        while true {
            if take("&&") {
                current = try folded(current, ignoresCase: ignoresCase)
                intersected = intersected?.intersection(current) ?? current
                (current, isFirst) = (CodePointRanges(), false)
                continue
            }
            let scalar = try next("']'")
            if scalar == "]", !isFirst { break }
            isFirst = false
            let low: CodePointRanges
            if scalar == "[" {
                if take(":") {
                    current = current.union(try bracketName())
                } else {
                    current = current.union(try characterClass(ignoresCase: ignoresCase, depth: depth + 1))
                }
                continue
            } else if scalar == "\\" {
                low = try escape(ignoresCase: false, inClass: true)
            } else {
                low = CodePointRanges([scalar.value...scalar.value])
            }
            guard peek == "-", position + 1 < text.count, text[position + 1] != "]", let start = low.only else {
                current = current.union(low)
                continue
            }
            position += 1
            let last = try next("the end of a range")
            guard last != "[" else { throw RegexProblem(problem: "a range ends in '['") }
            let high =
                last == "\\"
                ? try escape(ignoresCase: false, inClass: true) : CodePointRanges([last.value...last.value])
            guard let end = high.only else { throw RegexProblem(problem: "a range ends in a class") }
            guard start <= end else { throw RegexProblem(problem: "a range is empty") }
            current = current.union(CodePointRanges([start...end]))
        }
        current = try folded(current, ignoresCase: ignoresCase)
        let set = intersected?.intersection(current) ?? current
        return isNegative ? set.inverted : set
    }

    /// The set of an escape whose backslash is behind `position`.
    mutating func escape(ignoresCase: Bool, inClass: Bool = false) throws(RegexProblem) -> CodePointRanges {
        func single(_ value: UInt32) -> CodePointRanges { CodePointRanges([value...value]) }
        let scalar = try next("an escaped character")
        switch scalar {
        case "n": return single(0x0A)
        case "r": return single(0x0D)
        case "t": return single(0x09)
        case "f": return single(0x0C)
        case "v": return single(0x0B)
        case "a": return single(0x07)
        case "e": return single(0x1B)
        case "b" where inClass: return single(0x08)
        case "s": return RegexClass.space
        case "S": return RegexClass.space.inverted
        case "d": return RegexClass.categories(["Nd"])
        case "D": return RegexClass.categories(["Nd"]).inverted
        case "w": return inClass ? RegexClass.wordInClass : RegexClass.word
        case "W": return (inClass ? RegexClass.wordInClass : RegexClass.word).inverted
        case "h": return RegexClass.hexadecimal
        case "H": return RegexClass.hexadecimal.inverted
        case "p", "P":
            guard take("{") else { throw RegexProblem(problem: "\\\(scalar) is not followed by '{'") }
            let isNegative = take("^") != (scalar == "P")
            var name = ""
            while true {
                let part = try next("'}'")
                if part == "}" { break }
                name.unicodeScalars.append(part)
            }
            let set = try RegexClass.property(name, inClass: inClass)
            return try folded(isNegative ? set.inverted : set, ignoresCase: ignoresCase)
        case "x": return try folded(single(try hexadecimal(braced: true, digits: 2)), ignoresCase: ignoresCase)
        case "u": return try folded(single(try hexadecimal(braced: false, digits: 4)), ignoresCase: ignoresCase)
        default:
            guard scalar.value >= 0x80 || !(("0"..."9").contains(scalar) || scalar.properties.isAlphabetic) else {
                throw RegexProblem(problem: "\\\(scalar) is not supported")
            }
            return try folded(single(scalar.value), ignoresCase: ignoresCase)
        }
    }

    private mutating func hexadecimal(braced: Bool, digits: Int) throws(RegexProblem) -> UInt32 {
        let isBraced = braced && take("{")
        var value: UInt32 = 0
        var count = 0
        while count < (isBraced ? 8 : digits), let scalar = peek, let digit = Character(scalar).hexDigitValue,
            scalar.isASCII
        {
            value = value &* 16 &+ UInt32(digit)
            position += 1
            count += 1
        }
        guard count == (isBraced ? max(1, count) : digits), !isBraced || take("}"), Unicode.Scalar(value) != nil,
            isBraced || digits == 4 || value < 0x80
        else { throw RegexProblem(problem: "a hexadecimal code point is malformed") }
        return value
    }

    /// The class of `[:name:]`, whose beginning is behind `position`.
    private mutating func bracketName() throws(RegexProblem) -> CodePointRanges {
        let isNegative = take("^")
        var name = ""
        while !take(":]") { name.unicodeScalars.append(try next("':]'")) }
        // In this form punctuation includes symbols.
        let marks = UnicodeClassTables.names.filter { $0.hasPrefix("P") || $0.hasPrefix("S") }
        let set = name == "punct" ? RegexClass.categories(marks) : try RegexClass.property(name, inClass: true)
        return isNegative ? set.inverted : set
    }

    /// The set with the other cases of its letters, if case is ignored.
    func folded(_ set: CodePointRanges, ignoresCase: Bool) throws(RegexProblem) -> CodePointRanges {
        guard ignoresCase else { return set }
        if let only = set.only, only < 0x41 { return set }
        let other = set.intersection(RegexClass.casedBeyondASCII)
        guard other.isEmpty else {
            throw RegexProblem(problem: "ignoring case is supported for ASCII letters only")
        }
        var added: [ClosedRange<UInt32>] = []
        for upper in UInt32(0x41)...0x5A where set.contains(upper) || set.contains(upper + 0x20) {
            added += [upper...upper, (upper + 0x20)...(upper + 0x20)]
        }
        if set.contains(0x6B) || set.contains(0x4B) { added.append(0x212A...0x212A) }  // the Kelvin sign is a K
        if set.contains(0x73) || set.contains(0x53) { added.append(0x17F...0x17F) }  // the long s is an S
        return set.union(CodePointRanges(added))
    }
}

/// Named classes.
enum RegexClass {
    static let space = categories(["Zs", "Zl", "Zp"]).union(CodePointRanges([0x09...0x0D, 0x85...0x85]))
    static let word = named("word")
    /// Word characters as Oniguruma has them between brackets: without the superscripts and fractions of Latin-1.
    static let wordInClass = word.intersection(
        CodePointRanges([0xB2...0xB3, 0xB9...0xB9, 0xBC...0xBE]).inverted)
    static let hexadecimal = CodePointRanges([0x30...0x39, 0x41...0x46, 0x61...0x66])

    /// Code points that differ from another one by case only, without the ASCII letters.
    static let casedBeyondASCII: CodePointRanges = {
        var points: [ClosedRange<UInt32>] = []
        for (upper, lower) in UnicodeProperties.shared.lowercase {
            for point in [upper] + lower where point >= 0x80 { points.append(point...point) }
        }
        return CodePointRanges(points).union(categories(["Lu", "Ll", "Lt"]))
            .intersection(CodePointRanges([0x80...0x10FFFF]))
    }()

    /// The code points of the categories `names`.
    static func categories(_ names: [String]) -> CodePointRanges {
        var ranges: [ClosedRange<UInt32>] = []
        var start: UInt32 = 0
        for (count, number) in UnicodeCategories.runs(UnicodeClassTables.category) {
            let end = start + UInt32(count)
            if names.contains(UnicodeClassTables.names[number]) { ranges.append(start...(end - 1)) }
            start = end
        }
        return CodePointRanges(ranges)
    }

    /// The code points with the property `name`: a general category, a script, or a class such as Alpha.
    ///
    /// Throws: a problem for an unknown one.
    static func property(_ name: String, inClass: Bool) throws(RegexProblem) -> CodePointRanges {
        let written = name.lowercased().filter { $0 != " " && $0 != "_" && $0 != "-" }
        let key = ["alphabetic": "alpha", "uppercase": "upper", "lowercase": "lower"][written] ?? written
        switch key {
        case "any": return .everything
        case "word" where inClass: return wordInClass
        case "assigned": return categories(["Cn"]).inverted
        case "lc": return categories(["Lu", "Ll", "Lt"])
        case "space": return space
        case "digit": return categories(["Nd"])
        case "xdigit": return hexadecimal
        case "ascii": return CodePointRanges([0...0x7F])
        default: break
        }
        let short = longNames[key] ?? key
        let found = UnicodeClassTables.names.filter {
            $0.lowercased() == short || $0.lowercased().first.map { String($0) } == short
        }
        if !found.isEmpty { return categories(found) }
        guard UnicodeClassTables.classes.contains(where: { $0.name == key }) else {
            let known = UnicodeClassTables.classes.map(\.name).joined(separator: ", ")
            throw RegexProblem(
                problem: "the property '\(name)' is not known; known are the general categories and \(known)")
        }
        return named(key)
    }

    private static func named(_ name: String) -> CodePointRanges {
        guard let entry = UnicodeClassTables.classes.first(where: { $0.name == name }) else { return CodePointRanges() }
        var ranges: [ClosedRange<UInt32>] = []
        var start: UInt32 = 0
        for (count, isIn) in UnicodeCategories.runs(entry.runs) {
            if isIn == 1, count > 0 { ranges.append(start...(start + UInt32(count) - 1)) }
            start += UInt32(count)
        }
        return CodePointRanges(ranges)
    }

    private static let longNames = [
        "letter": "l", "mark": "m", "number": "n", "punctuation": "p", "symbol": "s", "separator": "z", "other": "c",
        "uppercaseletter": "lu", "lowercaseletter": "ll", "titlecaseletter": "lt", "modifierletter": "lm",
        "otherletter": "lo", "nonspacingmark": "mn", "spacingmark": "mc", "enclosingmark": "me", "decimalnumber": "nd",
        "letternumber": "nl", "othernumber": "no", "connectorpunctuation": "pc", "dashpunctuation": "pd",
        "openpunctuation": "ps", "closepunctuation": "pe", "initialpunctuation": "pi", "finalpunctuation": "pf",
        "otherpunctuation": "po", "mathsymbol": "sm", "currencysymbol": "sc", "modifiersymbol": "sk",
        "othersymbol": "so", "spaceseparator": "zs", "lineseparator": "zl", "paragraphseparator": "zp",
        "control": "cc", "format": "cf", "surrogate": "cs", "privateuse": "co", "unassigned": "cn",
    ]
}

extension CodePointRanges {
    /// The only element of a set of one.
    fileprivate var only: UInt32? {
        guard ranges.count == 1, let range = ranges.first, range.count == 1 else { return nil }
        return range.lowerBound
    }
}
