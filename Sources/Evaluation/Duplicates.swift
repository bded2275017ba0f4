// Which sentences are duplicates of which, and how many pairs of duplicates there are.
//
// What: duplicates are unordered pairs of sentences. With the transitive closure they are all pairs inside the
// connected components of the given ones: kept as a component a sentence, since a component of n sentences has
// n (n - 1) / 2 pairs. A pair of a sentence with itself counts among the duplicates and is never found, as in the
// reference.
//
// Reference: sentence_transformers/sentence_transformer/evaluation/paraphrase_mining.py (6.2).

/// The duplicates among numbered sentences.
struct Duplicates: Sendable {
    /// The number of pairs.
    let count: Int
    private let kind: Kind

    private enum Kind: Sendable {
        /// The pairs, the smaller number in the upper half.
        case pairs(Set<UInt64>)
        /// The component of each sentence.
        case components([Int32])
    }

    /// The duplicates that `pairs` name among the sentences `ids`, which must differ from each other.
    ///
    /// Names beyond `ids` count only as links of the closure.
    init(_ pairs: [(first: String, second: String)], ids: [String], isTransitive: Bool) {
        var numbers: [ByteKey: Int32] = [:]
        for (number, id) in ids.enumerated() { numbers[ByteKey(id)] = Int32(number) }
        func number(_ id: String) -> Int32 {
            let next = Int32(numbers.count)
            let key = ByteKey(id)
            if let known = numbers[key] { return known }
            numbers[key] = next
            return next
        }
        let links = pairs.map { (number($0.first), number($0.second)) }
        let named = Set(links.compactMap { max($0.0, $0.1) < ids.count ? Duplicates.key($0.0, $0.1) : nil })
        guard isTransitive else {
            kind = .pairs(named)
            count = named.count
            return
        }
        var parents = Array(0..<Int32(numbers.count))
        func root(_ number: Int32) -> Int32 {
            var number = number
            while parents[Int(number)] != number {
                parents[Int(number)] = parents[Int(parents[Int(number)])]
                number = parents[Int(number)]
            }
            return number
        }
        for (a, b) in links {
            let (a, b) = (root(a), root(b))
            parents[Int(max(a, b))] = min(a, b)
        }
        let components = ids.indices.map { root(Int32($0)) }
        var sizes: [Int32: Int] = [:]
        for component in components { sizes[component, default: 0] += 1 }
        let selves = named.filter { $0 >> 32 == $0 & 0xFFFF_FFFF }.count
        kind = .components(components)
        count = sizes.values.reduce(selves) { $0 + $1 * ($1 - 1) / 2 }
    }

    /// Whether two different sentences are duplicates.
    func contains(_ a: Int, _ b: Int) -> Bool {
        switch kind {
        case .pairs(let pairs): pairs.contains(Duplicates.key(Int32(a), Int32(b)))
        case .components(let components): components[a] == components[b]
        }
    }

    private static func key(_ a: Int32, _ b: Int32) -> UInt64 { UInt64(min(a, b)) << 32 | UInt64(max(a, b)) }
}
