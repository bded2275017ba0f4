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
        let split = GroupedSplit(self, shares: [1 - share, share], columns: [0], seed: 0)
        let (training, validation) = (split.parts[0], split.parts[1])
        guard !training.isEmpty, !validation.isEmpty else {
            throw TuttiError(
                .data, "split table", source,
                "validation_split: \(share) of \(rowCount) rows with \(split.groupCount) different anchors leaves one part empty",
                hint: "Rows with the same first text stay together; give an eval_dataset, or another share.")
        }
        return (selecting(training), selecting(validation, notices: []))
    }
}
