// Tables made from tables: some of the rows, in another order, under other names, or several files as one.
//
// A selection keeps the texts of its rows only, so that a tenth of a large file takes a tenth of its memory.

import TuttiGround

extension Table {
    /// The rows `rows`, in this order.
    package func selecting(_ rows: [Int], notices: [String]? = nil) -> Table {
        let width = columnNames.count
        guard case .memory(let allBytes, let allEnds) = texts else {
            return Table(
                columnNames: columnNames, rowCount: rows.count, labelName: labelName, labelPlace: labelPlace,
                source: source, texts: texts, selection: rows.map { row in selection.map { $0[row] } ?? Int32(row) },
                labels: labels.selecting(rows), notices: notices ?? self.notices)
        }
        var bytes: [UInt8] = []
        var ends: [Int] = []
        func keep(_ text: Int) {
            bytes.append(contentsOf: allBytes[(text == 0 ? 0 : allEnds[text - 1])..<allEnds[text]])
            ends.append(bytes.count)
        }
        var chosen: [UInt32]?
        var chosenPools: [TextPool] = []
        if let cells {
            // Texts that rows share stay shared.
            var places = [UInt32](repeating: UInt32.max, count: allEnds.count)
            func place(_ text: UInt32) -> UInt32 {
                if places[Int(text)] == UInt32.max {
                    places[Int(text)] = UInt32(ends.count)
                    keep(Int(text))
                }
                return places[Int(text)]
            }
            for pool in pools {
                var firsts: [UInt32] = []
                for row in rows {
                    let (first, count) = (pool.firsts[row], pool.counts[row])
                    firsts.append(place(first))
                    for text in first..<first + count { _ = place(text) }
                }
                chosenPools.append(
                    TextPool(
                        name: pool.name, columns: pool.columns, firsts: firsts, counts: rows.map { pool.counts[$0] }))
            }
            chosen = []
            for row in rows {
                for column in 0..<width { chosen?.append(place(cells[row * width + column])) }
            }
        } else {
            for row in rows {
                for column in 0..<width { keep(row * width + column) }
            }
        }
        return Table(
            columnNames: columnNames, rowCount: rows.count, labelName: labelName, labelPlace: labelPlace,
            source: source, texts: .memory(bytes: bytes, ends: ends), cells: chosen, pools: chosenPools,
            labels: labels.selecting(rows),
            notices: notices ?? self.notices)
    }

    /// The table with other names of its columns.
    func renamed(_ names: [String: String]) -> Table {
        Table(
            columnNames: columnNames.map { names[$0] ?? $0 }, rowCount: rowCount, labelName: labelName,
            labelPlace: labelPlace, source: source, texts: texts, cells: cells, selection: selection, pools: pools,
            labels: labels,
            notices: notices)
    }

    /// The rows of all `tables`, one after the other.
    ///
    /// Throws: `.data` naming the first file whose columns or labels are not those of the first one.
    static func joined(_ tables: [Table], source: String) throws(TuttiError) -> Table {
        guard let first = tables.first, tables.count > 1 else { return tables[0] }
        guard case .memory(var bytes, var ends) = first.texts else {
            preconditionFailure("Table: files of a cache are joined when they are written")
        }
        var labels = first.labels
        var cells = first.cells
        var pools = first.pools
        var rows = first.rowCount
        for table in tables.dropFirst() {
            try first.checkJoins(table)
            guard case .memory(let moreBytes, let moreEnds) = table.texts else {
                preconditionFailure("Table: files of a cache are joined when they are written")
            }
            let (textOffset, byteOffset) = (UInt32(truncatingIfNeeded: ends.count), bytes.count)
            bytes.append(contentsOf: moreBytes)
            ends.append(contentsOf: moreEnds.lazy.map { $0 + byteOffset })
            cells?.append(contentsOf: (table.cells ?? []).lazy.map { $0 + textOffset })
            pools = zip(pools, table.pools).map { old, new in
                TextPool(
                    name: old.name, columns: old.columns,
                    firsts: old.firsts + new.firsts.map { $0 + textOffset }, counts: old.counts + new.counts)
            }
            guard let both = labels.appending(table.labels) else {
                throw Table.otherLabels(table.source, first.source)
            }
            labels = both
            rows += table.rowCount
        }
        guard rows <= Int(Int32.max), ends.count < Int(UInt32.max) else {
            throw TuttiError(.data, "read table", source, "has more than \(Int32.max) rows")
        }
        return Table(
            columnNames: first.columnNames, rowCount: rows, labelName: first.labelName, labelPlace: first.labelPlace,
            source: source, texts: .memory(bytes: bytes, ends: ends), cells: cells, pools: pools, labels: labels,
            notices: tables.flatMap(\.notices))
    }

    /// Refuses a table whose columns are not those of this one.
    ///
    /// Throws: `.data` naming its file.
    func checkJoins(_ table: Table) throws(TuttiError) {
        guard
            table.columnNames != columnNames || table.labelName != labelName || (table.cells == nil) != (cells == nil)
                || table.pools.map(\.name) != pools.map(\.name)
        else { return }
        func names(_ table: Table) -> String {
            (table.columnNames + (table.labelName.map { [$0] } ?? [])).joined(separator: ", ")
        }
        throw TuttiError(
            .data, "read table", table.source, "has the columns \(names(table)), but \(source) has \(names(self))",
            hint: "Files of one data set have the same columns; name those to use with columns: [...].")
    }

    /// The error for a file whose labels are of another kind than those of the first one.
    static func otherLabels(_ file: String, _ first: String) -> TuttiError {
        TuttiError(
            .data, "read labels", file, "has labels of another kind than \(first)",
            hint: "All labels of a data set must be of the same kind.")
    }
}

extension LabelColumn {
    /// The labels of `rows`, in this order.
    func selecting(_ rows: [Int]) -> LabelColumn {
        switch self {
        case .none: .none
        case .integers(let values): .integers(NumberColumn(rows.map { values[$0] }))
        case .floats(let values): .floats(NumberColumn(rows.map { values[$0] }))
        case .lists(let values, let width):
            .lists(NumberColumn(rows.flatMap { values[($0 * width)..<(($0 + 1) * width)] }), width: width)
        }
    }

    /// These labels and those of `other`; nil if they are of different kinds.
    func appending(_ other: LabelColumn) -> LabelColumn? {
        switch (self, other) {
        case (.none, .none): LabelColumn.none
        case (.integers(let a), .integers(let b)): .integers(a.appending(b))
        case (.floats(let a), .floats(let b)): .floats(a.appending(b))
        case (.integers(let a), .floats(let b)): .floats(NumberColumn(a.map(Double.init)).appending(b))
        case (.floats(let a), .integers(let b)): .floats(a.appending(NumberColumn(b.map(Double.init))))
        case (.lists(let a, let width), .lists(let b, let other)) where width == other:
            .lists(a.appending(b), width: width)
        default: nil
        }
    }
}
