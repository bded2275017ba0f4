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

    /// The form of `points`.
    func normalize(_ points: [UInt32]) -> [UInt32] {
        let decomposed = NormalizationForm.reorder(decompose(points))
        return composes ? NormalizationForm.compose(decomposed) : decomposed
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
