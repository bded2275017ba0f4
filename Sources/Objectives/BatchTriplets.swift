// BatchTriplets: what the losses share that build triplets from a batch of single texts with classes.
//
// Every row of the global batch is an anchor once, on the rank that has it; positives and negatives are rows of all
// ranks. Selections have no gradient; distances to gathered rows send theirs back by the reduce-scatter sum.
//
// Legend: `b` rows on this rank, `N` rows of all ranks, `D` width.

import TuttiGround
import TuttiKernels

/// Distances between all rows of a batch.
package enum BatchTripletDistance: String, Sendable, CaseIterable {
    /// |x - y|, with derivative 0 at 0.
    case euclidean = "euclidean_distance"
    /// 1 - cosine.
    case cosine = "cosine_distance"
}

extension BatchTripletDistance: OptionChoice {
    /// `eucledian_distance` is how older versions of the reference spell it.
    package static var synonyms: [String: BatchTripletDistance] { ["eucledian_distance": .euclidean] }
}

extension BatchTripletDistance {
    /// The options of the losses with a margin.
    struct Settings: LossSettings {
        var distance = BatchTripletDistance.euclidean
        var margin = 5.0

        static let options = OptionList<Settings>([
            Option("distance_metric", \.distance, "the distance"),
            Option(
                "margin", \.margin, "how much farther a negative must be than a positive", check: .atLeast(0)),
        ])
    }

    /// The shape of data that these losses take.
    static let inputs = [LossInput("sentence", label: .classNumber)]
}

/// The rows of this rank as anchors among the rows of all ranks.
struct BatchTriplets {
    /// Distances of own rows from all rows.
    let distances: TapeValue  // [b, N]
    /// The place of each own row among all rows.
    let places: Range<Int>  // [b]
    private let classes: Matrix  // [N, 1]

    /// Collective.
    init(_ tape: Tape, _ distance: BatchTripletDistance, loss: String) throws {
        classes = try tape.gatherRows(tape.labels(of: loss)).matrix
        let own = tape.column(0)  // [b, D]
        switch distance {
        case .euclidean: distances = tape.distances(own, try tape.gatherRows(own), .euclidean)
        case .cosine:
            let units = tape.normalized(own)
            distances = tape.scaled(tape.products(units, try tape.gatherRows(units)), by: -1, plus: 1)
        }
        places = tape.ranks.offset..<tape.ranks.offset + tape.ranks.own
    }

    /// Other rows of the anchor's class.
    func positives(_ anchor: Int) -> [Int] {
        let place = places.lowerBound + anchor
        return (0..<classes.rows).filter { $0 != place && classes[$0, 0] == classes[place, 0] }
    }

    /// Rows of other classes.
    func negatives(_ anchor: Int) -> [Int] {
        let place = places.lowerBound + anchor
        return (0..<classes.rows).filter { classes[$0, 0] != classes[place, 0] }
    }

    /// The distance of each anchor from its farthest positive minus that from its nearest negative.
    ///
    /// As in the reference, an anchor without a positive has one at distance 0, and the farthest row stands in for a
    /// negative where there is none.
    func hardestDifferences(_ tape: Tape) -> TapeValue {  // [b, 1]
        let numbers = distances.matrix
        var (farthest, nearest): ([Int], [Int]) = ([], [])
        for (anchor, place) in places.enumerated() {
            let (positives, negatives) = (positives(anchor), negatives(anchor))
            let positive = positives.max { numbers[anchor, $0] < numbers[anchor, $1] } ?? place
            farthest.append(positive)
            nearest.append(negatives.min { numbers[anchor, $0] < numbers[anchor, $1] } ?? positive)
        }
        return tape.subtract(
            tape.pick(distances) { farthest[$0] }, tape.pick(distances) { nearest[$0] })
    }
}

extension [Int] {
    /// How many of these places hold a number for which `precedes` is true; it must be true for the first ones only.
    func prefixCount(where precedes: (Int) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if precedes(self[middle]) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
