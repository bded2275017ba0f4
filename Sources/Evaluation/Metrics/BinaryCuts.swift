// How well one threshold tells similar pairs from dissimilar ones: accuracy, F1, average precision, Matthews correlation.
//
// What: pairs of equal score can only be told apart by a threshold together, so everything is computed from groups of
// equal scores in the order from alike to unlike. A cut after a group calls the pairs up to it similar. Accuracy also
// tries the cut before all groups; the first of several best cuts counts. A threshold lies midway between the groups
// beside its cut, just outside of all scores for the cut before them, and at the last score for the cut after them.
// Legend: TP similar pairs before the cut, FP dissimilar pairs before the cut.
//
// Reference: sentence_transformers BinaryClassificationEvaluator (6.2), sklearn.metrics.average_precision_score and
// matthews_corrcoef.

/// Scored pairs with binary labels, as groups of equal scores.
package struct BinaryCuts: Sendable {
    private struct Group {
        let score: Float
        var similar = 0
        var dissimilar = 0
    }

    private let groups: [Group]
    private let similar: Int
    private let dissimilar: Int
    private let largerIsAlike: Bool

    /// Groups the pairs; `largerIsAlike` is false for distances. There must be a pair and no score that is NaN.
    package init(scores: [Float], isSimilar: [Bool], largerIsAlike: Bool) {
        precondition(scores.count == isSimilar.count, "\(scores.count) scores, \(isSimilar.count) labels")
        precondition(!scores.isEmpty && scores.allSatisfy { !$0.isNaN }, "cuts of no scores, or of NaN")
        var groups: [Group] = []
        let order = scores.indices.sorted { largerIsAlike ? scores[$0] > scores[$1] : scores[$0] < scores[$1] }
        for pair in order {
            if groups.last?.score != scores[pair] { groups.append(Group(score: scores[pair])) }
            if isSimilar[pair] {
                groups[groups.count - 1].similar += 1
            } else {
                groups[groups.count - 1].dissimilar += 1
            }
        }
        self.groups = groups
        self.largerIsAlike = largerIsAlike
        similar = isSimilar.reduce(0) { $0 + ($1 ? 1 : 0) }
        dissimilar = isSimilar.count - similar
    }

    /// The best share of pairs on their right side of a threshold, and the threshold.
    package var bestAccuracy: (value: Double, threshold: Float) {
        let nearest = groups[0].score
        var best = (
            value: Double(dissimilar) / Double(similar + dissimilar),
            threshold: largerIsAlike ? nearest.nextUp : nearest.nextDown
        )
        for cut in cuts {
            let value = Double(cut.truePositives + dissimilar - cut.falsePositives) / Double(similar + dissimilar)
            if value > best.value { best = (value, threshold(after: cut.group)) }
        }
        return best
    }

    /// The best F1 with its precision, recall and threshold, and the Matthews correlation at that threshold; all zero
    /// where no pair is similar.
    package var bestF1: (value: Double, precision: Double, recall: Double, threshold: Float, matthews: Double) {
        var best = (value: 0.0, precision: 0.0, recall: 0.0, threshold: Float(0), matthews: 0.0)
        for cut in cuts where cut.truePositives > 0 {
            let precision = Double(cut.truePositives) / Double(cut.truePositives + cut.falsePositives)
            let recall = Double(cut.truePositives) / Double(similar)
            let value = 2 * precision * recall / (precision + recall)
            if value > best.value {
                best = (
                    value, precision, recall, threshold(after: cut.group),
                    matthews(cut.truePositives, cut.falsePositives)
                )
            }
        }
        return best
    }

    /// The sum over cuts of the gain in recall times the precision; zero where no pair is similar.
    package var averagePrecision: Double {
        guard similar > 0 else { return 0 }
        var sum = 0.0
        for cut in cuts {
            let gain = Double(groups[cut.group].similar) / Double(similar)
            sum += gain * Double(cut.truePositives) / Double(cut.truePositives + cut.falsePositives)
        }
        return sum
    }

    /// The cut after every group, with what lies before it.
    private var cuts: [(group: Int, truePositives: Int, falsePositives: Int)] {
        var cuts: [(group: Int, truePositives: Int, falsePositives: Int)] = []
        for (place, group) in groups.enumerated() {
            cuts.append(
                (
                    place, (cuts.last?.truePositives ?? 0) + group.similar,
                    (cuts.last?.falsePositives ?? 0) + group.dissimilar
                ))
        }
        return cuts
    }

    /// The threshold that has the groups up to `group`, itself included, on its near side, and no other.
    private func threshold(after group: Int) -> Float {
        let score = groups[group].score
        guard group + 1 < groups.count else { return score }
        let next = groups[group + 1].score
        let middle = Float((Double(score) + Double(next)) / 2)  // in double: no overflow of large scores
        return middle == next ? score : middle
    }

    /// The Matthews correlation of labels and predictions; zero where one of them is constant.
    private func matthews(_ truePositives: Int, _ falsePositives: Int) -> Double {
        let falseNegatives = similar - truePositives
        let trueNegatives = dissimilar - falsePositives
        let covariance = Double(truePositives) * Double(trueNegatives) - Double(falsePositives) * Double(falseNegatives)
        let product =
            Double(truePositives + falsePositives) * Double(falseNegatives + trueNegatives)
            * Double(similar) * Double(dissimilar)
        return product > 0 ? covariance / product.squareRoot() : 0
    }
}
