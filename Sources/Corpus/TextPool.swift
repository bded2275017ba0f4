// Lists of negatives: how many of them become columns, and which ones.
//
//   negatives: all            as many columns as the shortest list has texts
//   negatives: {first: 3}     the first three
//   negatives: {sample: 1}    one, drawn anew in each epoch
//
// What is drawn is a function of (seed, epoch, row) alone: every rank draws the same, and a resumed run draws again what
// the first one drew. Each of a row's texts is drawn once before any is drawn twice, as in FlagEmbedding.

import TuttiGround

/// Which texts of a list of negatives are trained on.
public enum NegativeChoice: Sendable, Equatable {
    /// As many as every row has.
    case all
    /// The first ones.
    case first(Int)
    /// Some, drawn anew in each epoch.
    case sample(Int)
}

extension NegativeChoice: OptionValue {
    /// The accepted values, in words.
    public static var words: String { "all, {first: N} or {sample: N}" }

    /// Parses the value of a configuration.
    public init(option json: JSONValue) throws(OptionProblem) {
        if json.string == "all" {
            self = .all
            return
        }
        guard let object = json.object, object.count == 1, let key = object.keys.first, let value = object.values.first,
            key == "first" || key == "sample"
        else { throw .expected(Self.words, found: json) }
        guard let count = value.int, (1...1000).contains(count) else {
            throw OptionProblem("\(value.configurationText) is not a number from 1 to 1000", at: key)
        }
        self = key == "first" ? .first(count) : .sample(count)
    }

    /// The value as written in a configuration.
    public var optionJSON: JSONValue {
        switch self {
        case .all: .string("all")
        case .first(let count): .object(["first": .integer(Int64(count))])
        case .sample(let count): .object(["sample": .integer(Int64(count))])
        }
    }
}

/// A list of texts for every row of a table.
struct TextPool: Sendable {
    /// The name of the column with the lists.
    let name: String
    /// The columns of the table that draw from it; none before `Table.settled`.
    var columns: Range<Int>
    /// For every row, the number of its first text, and how many it has.
    var firsts: [UInt32]
    var counts: [UInt32]

    /// Puts the texts of `epoch` into `cells`, row-major with `width` columns.
    func draw(into cells: inout [UInt32], width: Int, seed: UInt64, epoch: Int) {
        for row in firsts.indices {
            // Purpose 7 of the seed's streams is the drawing of texts.
            var generator = CounterRandom(
                seed: seed, epoch: UInt32(truncatingIfNeeded: epoch), purpose: 7 + UInt32(columns.lowerBound) << 8,
                part: UInt32(truncatingIfNeeded: row))
            var order: [Int32] = []
            for column in columns {
                if order.isEmpty { order = generator.permutation(of: Int(counts[row])) }
                cells[row * width + column] = firsts[row] + UInt32(order.removeLast())
            }
        }
    }

    func update(_ digest: inout Digest) {
        digest.update(columns.lowerBound)
        digest.update(columns.upperBound)
        firsts.withUnsafeBytes { digest.update($0) }
        counts.withUnsafeBytes { digest.update($0) }
    }
}

extension Table {
    /// Whether some of its texts are other ones in every epoch.
    package var isDrawn: Bool { !pools.isEmpty }

    /// The table with the texts of `epoch`; the same table if none are drawn.
    package func drawn(epoch: Int, seed: UInt64) -> Table {
        guard isDrawn, var cells else { return self }
        for pool in pools { pool.draw(into: &cells, width: columnNames.count, seed: seed, epoch: epoch) }
        return Table(
            columnNames: columnNames, rowCount: rowCount, labelName: labelName, labelPlace: labelPlace, source: source,
            texts: texts, cells: cells, pools: pools, labels: labels, notices: notices)
    }

    /// The table with columns for the texts of its lists, after its other columns.
    ///
    /// Throws: `.data` for a row with fewer texts than columns.
    func settled(_ choice: NegativeChoice) throws(TuttiError) -> Table {
        guard let cells, !pools.isEmpty else { return self }
        var names = columnNames
        var settled: [TextPool] = []
        var notices = notices
        for pool in pools {
            let fewest = Int(pool.counts.min() ?? 0)
            var count = fewest
            switch choice {
            case .all:
                let unused = pool.counts.reduce(0) { $0 + Int($1) - fewest }
                if unused > 0 {
                    notices.append(
                        "\(source): '\(pool.name)' has \(fewest) to \(pool.counts.max() ?? 0) texts; \(fewest) of each row "
                            + "are used (negatives: {sample: N} draws others in each epoch).")
                }
            case .first(let wanted):
                count = wanted
                if fewest < wanted, let row = pool.counts.firstIndex(where: { $0 < wanted }) {
                    throw TuttiError(
                        .data, "read table", "\(source): row \(row + 1)",
                        "'\(pool.name)' has \(pool.counts[row]) texts, and negatives asks for the first \(wanted)",
                        hint: "Use negatives: {first: \(fewest)}, or {sample: \(wanted)}, which may repeat texts.")
                }
            case .sample(let wanted): count = wanted
            }
            let columns = names.count..<names.count + count
            for number in 1...max(1, count) {
                var name = count == 1 ? pool.name : "\(pool.name)_\(number)"
                while names.contains(name) || name == labelName { name += "_" }
                names.append(name)
            }
            settled.append(TextPool(name: pool.name, columns: columns, firsts: pool.firsts, counts: pool.counts))
        }
        var all: [UInt32] = []
        all.reserveCapacity(rowCount * names.count)
        for row in 0..<rowCount {
            all.append(contentsOf: cells[(row * columnNames.count)..<((row + 1) * columnNames.count)])
            for pool in settled {
                for place in 0..<pool.columns.count {
                    all.append(pool.firsts[row] + UInt32(place) % pool.counts[row])
                }
            }
        }
        let isDrawn = if case .sample = choice { true } else { false }
        return Table(
            columnNames: names, rowCount: rowCount, labelName: labelName,
            labelPlace: labelPlace < columnNames.count ? labelPlace : nil, source: source, texts: texts, cells: all,
            pools: isDrawn ? settled : [], labels: labels, notices: notices)
    }
}
