// Texts that are probably missing values: empty ones, and the words for missing values in tables (NaN, NA, null).
//
// They are used as they are, as in the reference; a data set that has some is reported once.

/// Counts the texts of a table that are probably missing values.
struct OddTexts {
    private static let words: Set<[UInt8]> = Set(
        ["nan", "NaN", "NAN", "NA", "N/A", "n/a", "<NA>", "null", "NULL", "Null", "None", "#N/A"].map { Array($0.utf8) }
    )
    /// Bytes of the longest such text.
    static let longest = words.map(\.count).max() ?? 0

    /// How the notice of such texts ends.
    static let ending = "; they are used as they are."

    private var empty = (count: 0, firstRow: 0)
    private var named = (count: 0, firstRow: 0)

    /// Checks a text of at most `longest` bytes in `row`, counted from zero.
    mutating func look(at text: ArraySlice<UInt8>, row: Int) {
        if text.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0A || $0 == 0x0D }) {
            if empty.count == 0 { empty.firstRow = row + 1 }
            empty.count += 1
        } else if text.count > 1, OddTexts.words.contains(Array(text)) {
            if named.count == 0 { named.firstRow = row + 1 }
            named.count += 1
        }
    }

    /// One line if there are such texts.
    func notices(_ source: String) -> [String] {
        var parts: [String] = []
        if empty.count > 0 {
            parts.append("\(empty.count) empty \(word(empty.count)) (first in row \(empty.firstRow))")
        }
        if named.count > 0 {
            parts.append("\(named.count) \(word(named.count)) like NaN, NA or null (first in row \(named.firstRow))")
        }
        if parts.isEmpty { return [] }
        return ["\(source): \(parts.joined(separator: " and "))\(OddTexts.ending)"]
    }

    private func word(_ count: Int) -> String { count == 1 ? "text" : "texts" }
}
