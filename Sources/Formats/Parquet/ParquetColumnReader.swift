// One column of a Parquet file, row by row: pages are unpacked when their rows come, one at a time.

import TuttiGround

/// Reads the rows of one column in one row group.
struct ParquetColumnReader {
    private let leaf: ParquetLeaf
    private var pages: ParquetPages
    /// Values of the chunk that no page read so far has.
    private var later: Int
    /// Values of the page that are left.
    private var left = 0
    private var page: ParquetPage?
    private var values = ValueDecoder.none
    private var dictionary: [JSONValue]?
    /// The repetition level of the value after the last one, once it is known.
    private var ahead: Int?

    /// A value with its levels.
    private struct Entry {
        let repetition: Int
        let definition: Int
        let value: JSONValue
    }

    /// The rows of `chunk` in the file's `bytes`, which must stay valid.
    init(_ chunk: ParquetChunk, of leaf: ParquetLeaf, in bytes: UnsafeRawBufferPointer) {
        self.leaf = leaf
        pages = ParquetPages(chunk, of: leaf, in: bytes)
        later = chunk.values
    }

    /// The page in use, from one, for messages.
    var pageNumber: Int { pages.count }

    /// The cell of the next row: a value, null, or an array.
    mutating func next() throws(Damage) -> JSONValue {
        guard try enterPage() else { throw Damage("has fewer rows than its metadata say") }
        let first = try entry()
        guard !leaf.lists.isEmpty else {
            return first.definition == leaf.definition ? first.value : .null
        }
        guard first.repetition == 0 else { throw Damage("starts inside of a list") }
        var entries = [first]
        while try enterPage(), try repetition() > 0 { entries.append(try entry()) }
        return try assemble(entries[...], 0)
    }

    /// Checks that nothing is left after the last row.
    mutating func finish() throws(Damage) {
        guard left == 0, later == 0 else { throw Damage("has more values than its rows take") }
    }

    /// Makes sure that the page has a value left; false at the end of the chunk.
    private mutating func enterPage() throws(Damage) -> Bool {
        while left == 0 {
            guard later > 0 else { return false }
            let page = try pages.next()
            if page.kind == .dictionary {
                guard dictionary == nil else { throw Damage("has a second dictionary") }
                dictionary = try ValueDecoder.dictionary(page, of: leaf)
                continue
            }
            guard page.count <= later else { throw Damage("has more values than its metadata say") }
            later -= page.count
            left = page.count
            values = try ValueDecoder(page, of: leaf, dictionary: dictionary)
            self.page = page
        }
        return true
    }

    /// The repetition level of the next value, which a page holds.
    private mutating func repetition() throws(Damage) -> Int {
        if let ahead { return ahead }
        let level = try page?.repetitions?.next() ?? 0
        guard level <= leaf.lists.count else { throw Damage("has the repetition level \(level)") }
        ahead = level
        return level
    }

    private mutating func entry() throws(Damage) -> Entry {
        let repetition = try repetition()
        ahead = nil
        left -= 1
        let definition = try page?.definitions?.next() ?? 0
        guard definition <= leaf.definition else { throw Damage("has the definition level \(definition)") }
        let value = definition == leaf.definition ? try values.next(leaf) : .null
        return Entry(repetition: repetition, definition: definition, value: value)
    }

    /// The array that the entries of one row, or of one element of a list, make around `depth` lists.
    private func assemble(_ entries: ArraySlice<Entry>, _ depth: Int) throws(Damage) -> JSONValue {
        guard let first = entries.first else { return .null }
        guard depth < leaf.lists.count else { return first.value }
        if first.definition < leaf.lists[depth] {
            guard entries.count == 1 else { throw Damage("has an absent list with values") }
            return first.definition == leaf.lists[depth] - 1 ? .array([]) : .null
        }
        var elements: [JSONValue] = []
        var start = entries.startIndex
        while start < entries.endIndex {
            var end = start + 1
            while end < entries.endIndex, entries[end].repetition > depth + 1 { end += 1 }
            elements.append(try assemble(entries[start..<end], depth + 1))
            start = end
        }
        return .array(elements)
    }
}
