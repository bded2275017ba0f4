// The schema of a Parquet file: a tree in preorder. A data set has columns that are texts, numbers, or lists of them; other
// shapes (structures, maps) get a reason for which they cannot be used, so that the file's other columns still can.
//
// A leaf's definition level counts the optional and repeated fields from the root to a value that are there, its
// repetition level says which list a value continues. Lists are written in several ways; the rules are those of
// LogicalTypes.md in apache/parquet-format ("Backward-compatibility rules").

/// A column at the top of the schema.
struct ParquetColumn {
    let name: String
    /// What its leaf's values are, or why it cannot be used.
    let leaf: Result<ParquetLeaf, Damage>
}

/// The values of a column, perhaps in lists.
struct ParquetLeaf {
    /// Its number among all leaves.
    let index: Int
    let type: ParquetType
    let meaning: ParquetMeaning
    /// For every list around the values, from the outermost: the definition level from which it has an element.
    let lists: [Int]
    /// The definition level of a value that is there.
    let definition: Int
}

/// The columns of a schema.
struct ParquetSchema {
    private(set) var columns: [ParquetColumn] = []
    private(set) var leaves = 0
    private let elements: [ThriftStructure]
    private var next = 1

    /// Reads the schema's elements; the first is the root.
    init(_ elements: [ThriftStructure]) throws(Damage) {
        self.elements = elements
        guard let root = elements.first else { throw Damage("has no schema") }
        for _ in 0..<(try ParquetSchema.children(root)) {
            guard next < elements.count else { throw Damage("has a schema that ends too early") }
            guard let name = try elements[next].text(4) else { throw Damage("has a column without a name") }
            columns.append(ParquetColumn(name: name, leaf: try column()))
        }
        guard next == elements.count else { throw Damage("has a schema with parts that belong to no column") }
    }

    private static func children(_ element: ThriftStructure) throws(Damage) -> Int {
        guard !element.has(1) else { return 0 }
        return try element.count(5, "the number of a group's fields")
    }

    /// Passes over the element at `next` and all below it; its leaves are counted.
    private mutating func skip(depth: Int = 0) throws(Damage) {
        guard next < elements.count, depth < 64 else { throw Damage("has a schema that ends too early") }
        let element = elements[next]
        next += 1
        if element.has(1) {
            leaves += 1
        } else {
            for _ in 0..<(try ParquetSchema.children(element)) { try skip(depth: depth + 1) }
        }
    }

    /// The column whose topmost element is at `next`.
    private mutating func column() throws(Damage) -> Result<ParquetLeaf, Damage> {
        let first = next
        let index = leaves
        try skip()
        do throws(Damage) {
            return .success(try ParquetSchema.leaf(elements[first..<next], index: index))
        } catch {
            return .failure(error)
        }
    }

    /// The leaf below `branch`, which must have but one, within lists only.
    private static func leaf(_ branch: ArraySlice<ThriftStructure>, index: Int) throws(Damage) -> ParquetLeaf {
        var definition = 0
        var lists: [Int] = []
        var place = branch.startIndex
        while true {
            let element = branch[place]
            let repetition = try element.integer(3) ?? 0
            if repetition != 0 { definition += 1 }
            if repetition == 2 { lists.append(definition) }
            if element.has(1) {
                let type = try ParquetType(element)
                return ParquetLeaf(
                    index: index, type: type, meaning: try ParquetMeaning(element, type), lists: lists,
                    definition: definition)
            }
            let count = try children(element)
            guard count == 1 else { throw Damage(count == 0 ? "has no values" : "is a structure or a map") }
            let converted = try element.integer(6)
            let logical = try element.structure(10)?.first
            if converted == 1 || converted == 2 || logical == 2 { throw Damage("is a map") }
            let isList = converted == 3 || logical == 3
            let child = branch[place + 1]
            let isRepeated = try child.integer(3) == 2
            // A group that is no list, and holds one field that is not repeated, is a structure of one field; but for the
            // middle of a list of three levels, which holds its elements.
            if isList {
                guard isRepeated else { throw Damage("is a list without a repeated field") }
                guard try isElement(child, of: element) == false else {
                    guard child.has(1) else { throw Damage("is a list of structures") }
                    place += 1
                    continue
                }
            } else if repetition != 2 {
                throw Damage("is a structure or a map")
            }
            place += 1
        }
    }

    /// Whether the repeated field of a list is its element, and not the group around it.
    private static func isElement(_ child: ThriftStructure, of list: ThriftStructure) throws(Damage) -> Bool {
        if child.has(1) { return true }
        guard try children(child) == 1 else { return true }
        let name = try child.text(4)
        let outer = try list.text(4) ?? ""
        return name == "array" || name == "\(outer)_tuple"
    }
}
