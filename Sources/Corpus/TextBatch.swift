// A rank's share of a global batch as strings, with the slots that its rows have in the global batch: randomness is
// keyed by slot, never by rank.

/// Rows of a table as columns of strings.
package struct TextBatch: Sendable, Equatable {
    /// The rows' numbers in the table.
    package let rows: [Int32]
    /// The rows' places in the global batch.
    package let slots: Range<Int>
    /// The number of rows in the global batch.
    package let globalCount: Int
    /// The texts, column after column.
    package let columns: [[String]]
    /// The labels, one a row, or empty when the table has none.
    package let labels: [Label]

    /// The share of `rank` in the global batch of `globalRows`: of its bytes if `longestText` says how many of a text
    /// count, else of its rows.
    package init(
        table: Table, globalRows: ArraySlice<Int32>, rank: Int = 0, world: Int = 1, longestText: Int? = nil
    ) {
        let slots =
            if let longestText {
                Shard.rows(
                    costing: globalRows.map { table.cost(row: Int($0), longestText: longestText) }, rank: rank,
                    world: world)
            } else {
                Shard.rows(of: globalRows.count, rank: rank, world: world)
            }
        let rows = Array(globalRows.dropFirst(slots.lowerBound).prefix(slots.count))
        self.rows = rows
        self.slots = slots
        globalCount = globalRows.count
        columns = table.columnNames.indices.map { column in
            rows.map { table.text(row: Int($0), column: column) }
        }
        labels = rows.compactMap { table.label(row: Int($0)) }
    }
}
