// Batches of pairs of several classes, for losses that look for triplets among the rows of a batch.
//
// Every class is shuffled and cut to an even number of rows; then, round after round, each class that is left gives two
// rows, in an order drawn anew every round, until fewer than two classes are left. Batches are cut from that stream, so
// every batch holds at least two classes, each with at least two rows: neighbouring pairs of a batch differ in class.
// Reference: GroupByLabelBatchSampler of sentence-transformers 6.2 (its older form made batches of one class).

import TuttiFormats
import TuttiGround

/// Shuffles the rows so that every label that occurs in a batch occurs in two rows of it or more, beside another label:
/// `group_by_label`.
public struct GroupByLabelBatchSampler: BatchSampler {
    /// "group_by_label".
    public var name: String { "group_by_label" }
    /// What its batches are.
    public var summary: String { "pairs of rows of one label, of two labels or more" }

    /// It has no settings.
    public init() {}

    /// Pairs of rows of one class, the classes in an order drawn every round.
    public func plan(
        _ table: Table, globalBatchSize: Int, dropLast: Bool, epoch: Int, generator: inout CounterRandom
    ) -> EpochPlan {
        guard case .integers(let labels) = table.labels else {
            preconditionFailure("GroupByLabelBatchSampler: a table without whole-number labels")
        }
        return planByLabel(labels, size: globalBatchSize, dropLast: dropLast, generator: &generator)
    }

    /// That rows make no pairs.
    public func reasonForLeavingOut(dropLast: Bool) -> String {
        "a batch of group_by_label holds pairs of rows of one label, of two labels or more"
    }

    /// That rows make no pairs, or that there are too few of them.
    public func reasonForNoBatch(rows: Int, size: Int, dropLast: Bool) -> (problem: String, hint: String) {
        guard rows >= size || !dropLast else {
            return DefaultBatchSampler().reasonForNoBatch(rows: rows, size: size, dropLast: dropLast)
        }
        return (
            "\(rows) rows make no batch of \(size) that holds pairs of rows of one label, of two labels or more",
            "Lower the batch size, or use batch_sampler: batch_sampler."
        )
    }

    /// Refuses batches that hold no pairs, and labels that are no classes.
    ///
    /// - Throws: a usage error for the size of the batch and the kind of the labels, a data error for too few classes.
    public func check(_ table: Table, globalBatchSize: Int) throws(TuttiError) {
        guard globalBatchSize >= 4, globalBatchSize % 2 == 0 else {
            throw TuttiError(
                .usage, "plan the batches", "args.batch_sampler",
                "group_by_label makes batches of pairs, at least two, and the global batch has \(globalBatchSize) "
                    + "row\(globalBatchSize == 1 ? "" : "s")",
                hint: "Choose an even args.global_train_batch_size of 4 or more, or a per_device_train_batch_size "
                    + "that makes one of all ranks.")
        }
        func unfit(_ found: String) -> TuttiError {
            TuttiError(
                .usage, "plan the batches", table.source, "group_by_label needs whole numbers as labels, and \(found)",
                hint: "Name a column of classes label, or use another args.batch_sampler.")
        }
        let name = table.labelName ?? ""
        switch table.labels {
        case .none: throw unfit("the data have no label column")
        case .floats: throw unfit("those of column '\(name)' are fractions")
        case .lists: throw unfit("those of column '\(name)' are lists")
        case .integers(let labels):
            let classes = rowsByLabel(labels).filter { $0.count >= 2 }.count
            guard classes >= 2 else {
                throw TuttiError(
                    .data, "plan the batches", table.source,
                    "group_by_label needs two labels or more with two rows each, and \(classes) of column '\(name)' "
                        + "\(classes == 1 ? "has" : "have") as many",
                    hint: "Use another args.batch_sampler.")
            }
        }
    }
}

/// Plans batches of `size` rows in which every label occurs at least twice, beside at least one other label.
private func planByLabel(_ labels: NumberColumn<Int>, size: Int, dropLast: Bool, generator: inout CounterRandom)
    -> EpochPlan
{
    precondition(size >= 4 && size % 2 == 0, "planByLabel: a batch of \(size) rows")
    let classes = rowsByLabel(labels).filter { $0.count >= 2 }.map { rows in
        generator.permutation(of: rows.count).prefix(rows.count / 2 * 2).map { rows[Int($0)] }
    }
    var stream: [Int32] = []
    var taken = 0  // rows that each class that is left has given
    var left = Array(classes.indices)
    var last: Int?
    while left.count >= 2 {
        left = generator.permutation(of: left.count).map { left[Int($0)] }
        if stream.count % size != 0, left[0] == last { left.swapAt(0, 1) }
        for label in left { stream += classes[label][taken..<taken + 2] }
        taken += 2
        last = left.last
        left.removeAll { classes[$0].count == taken }
    }
    // Four rows are two pairs, hence two classes; fewer would be one pair alone.
    let rest = stream.count % size
    let kept = rest >= 4 && !dropLast ? stream.count : stream.count - rest
    let plan = EpochPlan(order: Array(stream[..<kept]), size: size, dropLast: false)
    return EpochPlan(rows: plan.rows, batchOffsets: plan.batchOffsets, leftOut: labels.count - kept)
}

/// The rows of every label, in the order in which labels first occur.
private func rowsByLabel(_ labels: NumberColumn<Int>) -> [[Int32]] {
    var places: [Int: Int] = [:]
    var rows: [[Int32]] = []
    for (row, label) in labels.enumerated() {
        if let place = places[label] {
            rows[place].append(Int32(row))
        } else {
            places[label] = rows.count
            rows.append([Int32(row)])
        }
    }
    return rows
}
