// The four Unicode normalization forms, with the reference's tables instead of the standard library's, whose Unicode
// version is newer. Reference: Unicode Standard Annex 15.

/// NFC, NFD, NFKC or NFKD.
enum NormalizationForm: String, Sendable, CaseIterable {
    case nfc = "NFC"
    case nfd = "NFD"
    case nfkc = "NFKC"
    case nfkd = "NFKD"

    private var composes: Bool { self == .nfc || self == .nfkc }
    private var isCompatible: Bool { self == .nfkc || self == .nfkd }

    /// Appends the form of `source[range]` to `target`; `pending` is scratch.
    ///
    /// Code points that the form leaves alone are copied; only what is between two of them is worked on.
    func normalize(
        _ source: [UInt8], _ range: Range<Int>, to target: inout [UInt8], pending: inout [(UInt8, UInt32)]
    ) {
        let isActive = NormalizationForm.active(self)
        var copied = range.lowerBound  // what is before it is written
        var last = range.lowerBound  // where the last code point starts
        var position = range.lowerBound
        while position < range.upperBound {
            let start = position
            if source[start] < 0x80 {
                position += 1
                last = start
                continue
            }
            guard isActive[UTF8Scalars.next(source, &position)] != 0 else {
                last = start
                continue
            }
            // A mark may compose with the code point before it.
            let first = composes ? last : start
            target.append(contentsOf: source[copied..<first])
            while position < range.upperBound {
                var next = position
                guard isActive[UTF8Scalars.next(source, &next)] != 0 else { break }
                position = next
            }
            if composes {
                appendComposed(source, first..<position, to: &target)
            } else {
                appendDecomposed(source, first..<position, to: &target, pending: &pending)
            }
            copied = position
            last = position
        }
        target.append(contentsOf: source[copied..<range.upperBound])
    }

    /// The form of `points`.
    private func normalize(_ points: [UInt32]) -> [UInt32] {
        let decomposed = NormalizationForm.reorder(decompose(points))
        return composes ? NormalizationForm.compose(decomposed) : decomposed
    }

    private func appendComposed(_ source: [UInt8], _ range: Range<Int>, to target: inout [UInt8]) {
        var points: [UInt32] = []
        var position = range.lowerBound
        while position < range.upperBound { points.append(UTF8Scalars.next(source, &position)) }
        for point in normalize(points) { UTF8Scalars.append(point, to: &target) }
    }

    private func appendDecomposed(
        _ source: [UInt8], _ range: Range<Int>, to target: inout [UInt8], pending: inout [(UInt8, UInt32)]
    ) {
        let properties = UnicodeProperties.shared
        pending.removeAll(keepingCapacity: true)
        func take(_ point: UInt32) {
            let combiningClass = properties.combiningClass(point)
            if combiningClass != 0 { return pending.append((combiningClass, point)) }
            NormalizationForm.flush(&pending, to: &target)
            UTF8Scalars.append(point, to: &target)
        }
        var position = range.lowerBound
        while position < range.upperBound {
            let point = UTF8Scalars.next(source, &position)
            if Hangul.syllables.contains(point) {
                Hangul.decompose(point) { take($0) }
            } else if let parts = (isCompatible ? properties.compatibility[point] : nil) ?? properties.canonical[point]
            {
                for part in parts { take(part) }
            } else {
                take(point)
            }
        }
        NormalizationForm.flush(&pending, to: &target)
    }

    private static func flush(_ pending: inout [(UInt8, UInt32)], to target: inout [UInt8]) {
        if pending.isEmpty { return }
        sortMarks(&pending)
        for (_, point) in pending { UTF8Scalars.append(point, to: &target) }
        pending.removeAll(keepingCapacity: true)
    }

    private static let activeTables = allCases.map { $0.activeTable() }

    /// The code points that the form may change, move or join to the one before.
    private static func active(_ form: NormalizationForm) -> CodePointTable {
        switch form {
        case .nfc: activeTables[0]
        case .nfd: activeTables[1]
        case .nfkc: activeTables[2]
        case .nfkd: activeTables[3]
        }
    }

    private func activeTable() -> CodePointTable {
        let properties = UnicodeProperties.shared
        var table = CodePointTable()
        for point in properties.combiningClasses.keys { table.insert(point, 1) }
        let decomposed = isCompatible ? Array(properties.compatibility.keys) : []
        for point in decomposed + properties.canonical.keys where !composes || normalize([point]) != [point] {
            table.insert(point, 1)
        }
        if composes {
            // What begins like the second half of a composition may join the code point before it.
            let seconds = Set(properties.compositions.keys.map { UInt32(truncatingIfNeeded: $0) })
            for second in seconds { table.insert(second, 1) }
            for point in decomposed + properties.canonical.keys {
                let parts = (isCompatible ? properties.compatibility[point] : nil) ?? properties.canonical[point]
                guard let first = parts?.first else { continue }
                if seconds.contains(first) || Hangul.seconds.contains(first) || properties.combiningClass(first) != 0 {
                    table.insert(point, 1)
                }
            }
            for letter in Hangul.seconds { table.insert(letter, 1) }
        } else {
            for syllable in Hangul.syllables { table.insert(syllable, 1) }
        }
        return table
    }

    private func decompose(_ points: [UInt32]) -> [UInt32] {
        let properties = UnicodeProperties.shared
        var decomposed: [UInt32] = []
        decomposed.reserveCapacity(points.count)
        for point in points {
            if point < 0x80 {
                decomposed.append(point)
            } else if Hangul.syllables.contains(point) {
                Hangul.decompose(point) { decomposed.append($0) }
            } else if isCompatible, let parts = properties.compatibility[point] {
                decomposed += parts
            } else if let parts = properties.canonical[point] {
                decomposed += parts
            } else {
                decomposed.append(point)
            }
        }
        return decomposed
    }

    /// Stable sort of each run of marks by combining class.
    private static func reorder(_ points: [UInt32]) -> [UInt32] {
        let properties = UnicodeProperties.shared
        var ordered: [UInt32] = []
        ordered.reserveCapacity(points.count)
        var pending: [(UInt8, UInt32)] = []
        for point in points {
            let combiningClass = properties.combiningClass(point)
            if combiningClass == 0 {
                sortMarks(&pending)
                ordered += pending.map(\.1)
                pending.removeAll(keepingCapacity: true)
                ordered.append(point)
            } else {
                pending.append((combiningClass, point))
            }
        }
        sortMarks(&pending)
        return ordered + pending.map(\.1)
    }

    /// Stable sort of marks by combining class; a long run costs no more than sorting.
    static func sortMarks(_ marks: inout [(UInt8, UInt32)]) {
        guard marks.count > 1, zip(marks, marks.dropFirst()).contains(where: { $0.0 > $1.0 }) else { return }
        marks = marks.enumerated().sorted { ($0.element.0, $0.offset) < ($1.element.0, $1.offset) }.map(\.element)
    }

    private static func compose(_ points: [UInt32]) -> [UInt32] {
        let properties = UnicodeProperties.shared
        var composed: [UInt32] = []
        composed.reserveCapacity(points.count)
        var starter: Int?
        var lastClass: Int = -1
        for point in points {
            let combiningClass = Int(properties.combiningClass(point))
            if let place = starter, lastClass < combiningClass,
                let whole = Hangul.compose(composed[place], point)
                    ?? properties.compositions[UInt64(composed[place]) << 32 | UInt64(point)]
            {
                composed[place] = whole
                continue
            }
            if combiningClass == 0 {
                starter = composed.count
                lastClass = -1
            } else {
                lastClass = combiningClass
            }
            composed.append(point)
        }
        return composed
    }
}
