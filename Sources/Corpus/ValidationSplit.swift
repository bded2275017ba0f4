// A share of the training rows put aside for evaluation: `validation_split: 0.02`.
//
// Rows with the same anchor stay together, or the model would be judged on anchors that it has seen. Which groups are put
// aside depends on the data alone, not on the seed of the training, so that runs with several seeds are judged alike.

import TuttiGround

extension Table {
    /// The rows for training, and about `share` of them for evaluation: whole groups of equal first texts.
    ///
    /// Throws: `.data` if there are too few groups.
    package func validationSplit(_ share: Double) throws(TuttiError) -> (training: Table, validation: Table) {
        precondition(share > 0 && share < 1, "validationSplit: a share of \(share)")
        var groups: [String: Int] = [:]
        var groupOfRow: [Int] = []
        var sizes: [Int] = []
        for row in 0..<rowCount {
            let text = text(row: row, column: 0)
            let group = groups[text] ?? sizes.count
            if group == sizes.count {
                groups[text] = group
                sizes.append(0)
            }
            sizes[group] += 1
            groupOfRow.append(group)
        }
        // Purpose 9 of the streams of seed 0 is the order in which groups are put aside.
        var generator = CounterRandom(seed: 0, epoch: 0, purpose: 9)
        let wanted = max(1, Int((share * Double(rowCount)).rounded()))
        var isAside = [Bool](repeating: false, count: sizes.count)
        var taken = 0
        for group in generator.permutation(of: sizes.count) where taken < wanted {
            // A group that would take far more than is wanted is passed over.
            if taken + sizes[Int(group)] > 2 * wanted { continue }
            isAside[Int(group)] = true
            taken += sizes[Int(group)]
        }
        guard taken > 0, taken < rowCount else {
            throw TuttiError(
                .data, "split table", source,
                "validation_split: \(share) of \(rowCount) rows with \(sizes.count) different anchors leaves one part empty",
                hint: "Rows with the same first text stay together; give an eval_dataset, or another share.")
        }
        let rows = 0..<rowCount
        return (
            selecting(rows.filter { !isAside[groupOfRow[$0]] }),
            selecting(rows.filter { isAside[groupOfRow[$0]] }, notices: [])
        )
    }
}
