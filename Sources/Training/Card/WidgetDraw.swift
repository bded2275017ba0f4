// Texts to try a model with on its page: short ones of its data, drawn by the rule of the reference.
//
// Five times a data set is drawn. Of each that was drawn, up to 1000 rows are taken in a drawn order, and sorted by the length of
// their texts: the shortest are the examples. Each needs four texts, which the shortest of the other rows lend it; the last
// three are shuffled. The reference draws by Python's generator, so that its examples are others.
//
// Reference: set_widget_examples in sentence_transformers/base/model_card.py.

import TuttiCorpus
import TuttiGround
import TuttiModels

/// The draw of a run's examples.
struct WidgetDraw {
    /// The examples.
    private(set) var examples: [ModelCardFacts.WidgetExample] = []
    /// The four texts of the last one before they were shuffled; none without an example.
    private(set) var texts: [String] = []

    private static let (draws, rows, needed) = (5, 1000, 4)
    /// Of the random numbers of a seed, those of a card.
    private static let purpose: UInt32 = 0x6361_7264  // "card"

    /// Draws from `datasets`; nothing from a stream, which has its rows but once.
    init(_ datasets: [TrainingDataset], seed: UInt64) {
        guard !datasets.isEmpty else { return }
        var random = CounterRandom(seed: seed, epoch: 0, purpose: Self.purpose)
        var counts: [(place: Int, count: Int)] = []
        for _ in 0..<Self.draws {
            let place = Int(random.number(below: UInt64(datasets.count)))
            if let known = counts.firstIndex(where: { $0.place == place }) {
                counts[known].count += 1
            } else {
                counts.append((place, 1))
            }
        }
        for (place, count) in counts where datasets[place].stream == nil {
            draw(count, from: datasets[place].table.drawn(epoch: 0, seed: seed), &random)
        }
    }

    private mutating func draw(_ count: Int, from table: Table, _ random: inout CounterRandom) {
        let rows = WidgetDraw.sample(Self.rows, of: table.rowCount, &random).map { row in
            table.columnNames.indices.map { table.text(row: row, column: $0) }
        }
        .filter { !$0.isEmpty && !$0.contains("") }
        let lengths = rows.map { $0.reduce(0) { $0 + $1.unicodeScalars.count } }
        let order = rows.indices.sorted { (lengths[$0], $0) < (lengths[$1], $1) }
        var others = order.dropFirst(count)
        for row in order.prefix(count) {
            var texts = rows[row]
            while texts.count < Self.needed, let other = others.popFirst() {
                texts.append(rows[other].count == 1 ? rows[other][0] : rows[other][1])
            }
            guard texts.count >= Self.needed else { continue }
            let shuffled = random.permutation(of: texts.count - 1).map { texts[Int($0) + 1] }
            examples.append(.init(source: texts[0], sentences: shuffled))
            self.texts = Array(texts.prefix(Self.needed))
        }
    }

    /// At most `count` of the numbers below `limit`, each once, in a drawn order (Floyd, then shuffled).
    private static func sample(_ count: Int, of limit: Int, _ random: inout CounterRandom) -> [Int] {
        var chosen: [Int] = []
        var known: Set<Int> = []
        for last in max(0, limit - count)..<limit {
            let number = Int(random.number(below: UInt64(last) + 1))
            let fresh = known.contains(number) ? last : number
            known.insert(fresh)
            chosen.append(fresh)
        }
        return random.permutation(of: chosen.count).map { chosen[Int($0)] }
    }
}
