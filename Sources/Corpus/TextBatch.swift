// A rank's shard of a global batch as strings, with the slots of its rows in the global batch: randomness is keyed by
// slot, never by rank.

/// Rows of a table as columns of strings.
package struct TextBatch: Sendable, Equatable {
    /// The row indices in the table.
    package let rows: [Int32]
    /// The slots of the rows in the global batch.
    package let slots: Range<Int>
    /// The number of rows in the global batch.
    package let globalCount: Int
    /// The texts, column by column; none where nobody asked for them.
    package let columns: [[String]]
    /// The labels, one per row, or empty if the table has none.
    package let labels: [Label]

    /// The shard of `rank` of the global batch `globalRows`: balanced by bytes if `longestText` gives how many of a text
    /// count, else by rows. Without `hasTexts` no text is read.
    package init(
        table: Table, globalRows: ArraySlice<Int32>, rank: Int = 0, world: Int = 1, longestText: Int? = nil,
        hasTexts: Bool = true
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
        columns =
            hasTexts
            ? table.columnNames.indices.map { column in rows.map { table.text(row: Int($0), column: column) } } : []
        labels = rows.compactMap { table.label(row: Int($0)) }
    }
}
