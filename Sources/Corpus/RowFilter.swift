// Which rows of a data set are trained on: a range of them, those that pass a filter, in file order or shuffled once.
//
//   rows: 0:100000                                   the first hundred thousand rows of all files together
//   filter: {empty: true, duplicate: true, min_length: 3, max_length: 2000}
//   shuffle: 42                                      once, before the first epoch
//
// They are applied in this order, after columns were chosen and renamed and before a share is put aside for validation.

import TuttiGround

/// A range of rows, as in `rows: 1000:2000`.
public struct RowWindow: Sendable, Equatable, OptionValue {
    /// The first row, from zero.
    public var first: Int
    /// The row after the last; nil for all that follow.
    public var end: Int?

    /// The rows from `first` to before `end`.
    public init(first: Int = 0, end: Int? = nil) {
        self.first = first
        self.end = end
    }

    /// The accepted values, in words.
    public static var words: String { "FIRST:END, counted from 0, or a number of rows" }

    /// Parses the value of a configuration.
    public init(option json: JSONValue) throws(OptionProblem) {
        if let count = json.int, count > 0 {
            self.init(end: count)
            return
        }
        let parts = json.string?.split(separator: ":", omittingEmptySubsequences: false) ?? []
        guard parts.count == 2 else { throw .expected(Self.words, found: json) }
        let numbers = parts.map { $0.isEmpty ? nil : Int($0) }
        for (part, number) in zip(parts, numbers) where !part.isEmpty && (number ?? -1) < 0 {
            throw OptionProblem("'\(part)' is not a row number", hint: "For example rows: 0:100000.")
        }
        self.init(first: numbers[0] ?? 0, end: numbers[1])
        if let end, end <= first { throw OptionProblem("ends at \(end), not after its first row \(first)") }
    }

    /// The value as written in a configuration.
    public var optionJSON: JSONValue { .string("\(first):\(end.map(String.init) ?? "")") }

    /// The window's part of `count` rows of `source`.
    ///
    /// Throws: `.data` if there are none.
    package func range(of count: Int, source: String) throws(TuttiError) -> Range<Int> {
        let range = min(first, count)..<min(end ?? count, count)
        guard !range.isEmpty else {
            throw TuttiError(.data, "read table", source, "has \(count) rows, and rows: begins at \(first)")
        }
        return range
    }

    /// The rows of `table` in the window.
    ///
    /// Throws: `.data` if there are none.
    func rows(of table: Table) throws(TuttiError) -> Table {
        let range = try range(of: table.rowCount, source: table.source)
        return range.count == table.rowCount ? table : table.selecting(Array(range))
    }
}

/// Which rows are left out.
public struct RowFilter: Sendable, Equatable {
    /// Whether rows with an empty or absent text are left out.
    public var empty = false
    /// Whether rows that are equal to an earlier one are left out.
    public var duplicate = false
    /// The fewest characters of every text.
    public var shortest = 0
    /// The most characters of every text.
    public var longest: Int?

    /// A filter that every row passes.
    public init() {}

    /// The keys of a mapping.
    package static let options = OptionList<RowFilter>([
        Option("empty", \.empty, "leave out rows with an empty or absent text"),
        Option("duplicate", \.duplicate, "leave out rows that are equal to an earlier one, label included"),
        Option("min_length", \.shortest, "the fewest characters of every text", check: .atLeast(0)),
        Option("max_length", \.longest, "the most characters of every text", check: .atLeast(1)),
    ])

    /// The rows of `table` that pass, with a notice of how many do not.
    ///
    /// Throws: `.data` if none pass.
    func rows(of table: Table) throws(TuttiError) -> Table {
        guard self != RowFilter() else { return table }
        var counts: [(count: Int, why: String)] = [
            (0, "with an empty text"), (0, "too short"), (0, "too long"), (0, "equal to earlier ones"),
        ]
        var seen: Set<[UInt32]> = []
        let numbering = duplicate ? TextNumbering(table) : nil
        var labelNumbers: [String: UInt32] = [:]
        var kept: [Int] = []
        for row in 0..<table.rowCount {
            var reason: Int?
            for column in table.columnNames.indices where reason == nil {
                let range = table.range(row: row, column: column)
                reason = table.texts.withBytes { self.reason(UnsafeRawBufferPointer(rebasing: $0[range])) }
            }
            if reason == nil, let numbering {
                var key = Array(numbering.texts(of: Int32(row)))
                if let label = table.label(row: row) {
                    let text = "\(label)"
                    let number = labelNumbers[text] ?? UInt32(labelNumbers.count)
                    labelNumbers[text] = number
                    key.append(number)
                }
                // A text that occurs nowhere else may have the number 0, as others of its kind.
                if !key.prefix(table.columnNames.count).contains(0), !seen.insert(key).inserted { reason = 3 }
            }
            if let reason { counts[reason].count += 1 } else { kept.append(row) }
        }
        guard !kept.isEmpty else {
            throw TuttiError(
                .data, "read table", table.source, "no row passes the filter", hint: "Loosen filter: {...}.")
        }
        guard kept.count < table.rowCount else { return table.selecting(kept, notices: notices(table)) }
        let reasons = counts.filter { $0.count > 0 }.map { "\($0.count) \($0.why)" }.joined(separator: ", ")
        let line =
            "\(table.source): the filter leaves out \(table.rowCount - kept.count) of \(table.rowCount) rows (\(reasons))."
        return table.selecting(kept, notices: notices(table) + [line])
    }

    /// Why a text keeps its row from passing, by its place in the counts; nil if it does not.
    private func reason(_ text: UnsafeRawBufferPointer) -> Int? {
        if empty, text.allSatisfy({ [0x20, 0x09, 0x0A, 0x0D].contains($0) }) { return 0 }
        guard shortest > 0 || longest != nil else { return nil }
        let length = text.count { $0 & 0xC0 != 0x80 }
        return length < shortest ? 1 : length > longest ?? Int.max ? 2 : nil
    }

    /// The table's notices, but for those of texts that are gone now.
    private func notices(_ table: Table) -> [String] {
        table.notices.filter { !(empty && $0.hasSuffix(OddTexts.ending)) }
    }
}

extension RowFilter: OptionValue {
    /// The accepted values, in words.
    public static var words: String {
        "a mapping of empty, duplicate, min_length, max_length, or a list of the first two"
    }

    /// Parses the value of a configuration.
    public init(option json: JSONValue) throws(OptionProblem) {
        self.init()
        var object = json.object ?? JSONObject()
        if json.object == nil {
            for name in try [String](option: json) { object[name] = .bool(true) }
        }
        try Self.options.checkKeys(of: object)
        try Self.options.read(object, into: &self)
        if let longest, longest < shortest {
            throw OptionProblem("\(longest) is below min_length", at: "max_length")
        }
    }

    /// The value as written in a configuration.
    public var optionJSON: JSONValue { Self.options.object(of: self, from: RowFilter()) }
}

/// An order of rows that is drawn once.
public struct RowShuffle: Sendable, Equatable, OptionValue {
    /// The seed of the order.
    public var seed: UInt64
    /// Rows among which the next one is drawn; nil for all.
    public var buffer: Int?

    /// The order of `seed`.
    public init(seed: UInt64, buffer: Int? = nil) {
        self.seed = seed
        self.buffer = buffer
    }

    private static let options = OptionList<RowShuffle>([
        Option("seed", \.seed, "the seed of the order", check: nil),
        Option(
            "buffer", \.buffer, "rows among which the next one is drawn; all by default", check: .atLeast(1)),
    ])

    /// The accepted values, in words.
    public static var words: String { "a seed, true, or a mapping of buffer and seed" }

    /// Parses the value of a configuration.
    public init(option json: JSONValue) throws(OptionProblem) {
        if json == .bool(true) {
            self.init(seed: 0)
            return
        }
        if let object = json.object {
            self.init(seed: 0)
            try Self.options.checkKeys(of: object)
            try Self.options.read(object, into: &self)
            return
        }
        guard let seed = json.int, seed >= 0 else { throw .expected(Self.words, found: json) }
        self.init(seed: UInt64(seed))
    }

    /// The value as written in a configuration.
    public var optionJSON: JSONValue {
        guard buffer != nil else { return .integer(Int64(clamping: seed)) }
        return Self.options.object(of: self, from: RowShuffle(seed: 0))
    }

    /// The rows of `table` in this order.
    func rows(of table: Table) -> Table {
        // Purpose 8 of the seed's streams is the order of a shuffled data set.
        var generator = CounterRandom(seed: seed, epoch: 0, purpose: 8)
        guard let buffer, buffer < table.rowCount else {
            return table.selecting(generator.permutation(of: table.rowCount).map { Int($0) })
        }
        // As shuffle(buffer_size=...) of datasets: a row drawn from the buffer makes place for the next one.
        var held = Array(0..<buffer)
        var order: [Int] = []
        order.reserveCapacity(table.rowCount)
        for row in buffer..<table.rowCount {
            let place = Int(generator.number(below: UInt64(buffer)))
            order.append(held[place])
            held[place] = row
        }
        order += generator.permutation(of: buffer).map { held[Int($0)] }
        return table.selecting(order)
    }
}
