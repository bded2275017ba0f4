// The embeddings of a list of texts: one row a text, in the order of the texts.

/// A matrix of embeddings [count, dimension] that owns its storage and is shared, not copied.
public struct Embeddings: Sendable {
    /// The number of rows.
    public let count: Int
    /// The width of a row.
    public let dimension: Int
    private let storage: EmbeddingStorage

    /// Rows of zeros.
    public init(count: Int, dimension: Int) {
        precondition(count >= 0 && dimension >= 0, "embeddings of shape [\(count), \(dimension)]")
        self.count = count
        self.dimension = dimension
        storage = EmbeddingStorage(count * dimension)
    }

    /// Rows that hold `values`, row after row.
    public init(rows values: [Float], dimension: Int) {
        precondition(dimension > 0 && values.count % dimension == 0, "\(values.count) values in rows of \(dimension)")
        self.init(count: values.count / dimension, dimension: dimension)
        for (place, value) in values.enumerated() { storage.values[place] = value }
    }

    /// The row `row`, valid as long as these embeddings live.
    public subscript(row: Int) -> UnsafeBufferPointer<Float> {
        precondition(row >= 0 && row < count, "row \(row) of \(count)")
        return UnsafeBufferPointer(
            rebasing: UnsafeBufferPointer(storage.values)[row * dimension..<(row + 1) * dimension])
    }

    /// All values row after row, written only by the maker of the embeddings.
    ///
    /// Valid as long as these embeddings live, which may end at their last use: keep them with `withExtendedLifetime`,
    /// or take `flattened`.
    public var values: UnsafeMutableBufferPointer<Float> { storage.values }

    /// A copy of all values row after row.
    public var flattened: [Float] { withExtendedLifetime(storage) { Array(storage.values) } }

    /// The rows `rows` in that order, as embeddings of their own.
    public func gathering(_ rows: [Int]) -> Embeddings {
        let gathered = Embeddings(count: rows.count, dimension: dimension)
        for (place, row) in rows.enumerated() {
            let target = UnsafeMutableBufferPointer(
                rebasing: gathered.values[place * dimension..<(place + 1) * dimension])
            _ = target.update(from: self[row])
        }
        return gathered
    }

    /// The first `width` columns; these embeddings themselves where they are no wider.
    public func truncated(to width: Int) -> Embeddings {
        guard width < dimension else { return self }
        let cut = Embeddings(count: count, dimension: width)
        for row in 0..<count {
            for column in 0..<width { cut.values[row * width + column] = self[row][column] }
        }
        return cut
    }

    /// The rows scaled to unit length.
    public func normalized() -> Embeddings {
        let unit = gathering(Array(0..<count))
        unit.normalize()
        return unit
    }

    /// Scales the rows to unit length where they are; only for the maker of the embeddings.
    public func normalize() {
        for row in 0..<count {
            let length = Embeddings.length(self[row])
            for place in row * dimension..<(row + 1) * dimension { storage.values[place] /= length }
        }
    }

    /// The Euclidean length of an embedding, at least 1e-12, so that it can be divided by.
    public static func length(_ embedding: UnsafeBufferPointer<Float>) -> Float {
        var sum = 0.0
        for value in embedding { sum += Double(value) * Double(value) }
        return max(Float(sum.squareRoot()), 1e-12)
    }
}

/// The memory of embeddings: written while they are made, read-only after.
private final class EmbeddingStorage: @unchecked Sendable {
    let values: UnsafeMutableBufferPointer<Float>

    init(_ count: Int) {
        values = .allocate(capacity: count)
        values.initialize(repeating: 0)
    }

    deinit { values.deallocate() }
}
