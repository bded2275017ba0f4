// PairDistance: how far apart the two embeddings of a row are, by the names of the reference's enumerations.
//
// The enumerations differ in the name of the cosine and in what a Euclidean distance is: contrastive losses take torch's
// F.pairwise_distance, which adds 1e-6 to every difference; TripletLoss takes the distance itself.

import TuttiGround
import TuttiKernels

/// Distances of ContrastiveLoss and OnlineContrastiveLoss.
public enum SiameseDistanceMetric: String, OptionChoice {
    /// 1 - cosine.
    case cosine = "COSINE_DISTANCE"
    /// |x - y + 1e-6|.
    case euclidean = "EUCLIDEAN"
    /// The sum of |x - y + 1e-6|.
    case manhattan = "MANHATTAN"
}

/// Distances of TripletLoss.
public enum TripletDistanceMetric: String, OptionChoice {
    /// 1 - cosine.
    case cosine = "COSINE"
    /// |x - y|, with derivative 0 at 0.
    case euclidean = "EUCLIDEAN"
    /// The sum of |x - y|.
    case manhattan = "MANHATTAN"
}

extension Tape {
    /// The distance of row i of x from row i of y: `[n, 1]`.
    func pairDistances(_ metric: SiameseDistanceMetric, _ x: TapeValue, _ y: TapeValue) -> TapeValue {
        switch metric {
        case .cosine: return scaled(pairCosines(x, y), by: -1, plus: 1)
        case .euclidean: return lengths(scaled(subtract(x, y), by: 1, plus: 1e-6))
        case .manhattan: return rowSums(abs(scaled(subtract(x, y), by: 1, plus: 1e-6)))
        }
    }

    /// The distance of row i of x from row i of y: `[n, 1]`.
    func pairDistances(_ metric: TripletDistanceMetric, _ x: TapeValue, _ y: TapeValue) -> TapeValue {
        switch metric {
        case .cosine: return scaled(pairSimilarities(.cosine, x, y), by: -1, plus: 1)
        case .euclidean: return scaled(pairSimilarities(.euclidean, x, y), by: -1)
        case .manhattan: return scaled(pairSimilarities(.manhattan, x, y), by: -1)
        }
    }
}
