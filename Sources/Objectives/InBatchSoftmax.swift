// InBatchSoftmax: every form of MultipleNegativesRankingLoss on the tape, a tile of rows at a time.
//
// Row i of the global batch has the query q_i and the documents d_i1 ... d_iK, the first P of them positives. For each
// positive p the row takes part in a cross entropy whose right answer is sim(q_i, d_ip), over the candidates of all
// chosen directions; what is no negative (the row itself, its other positives, right answers by text) is left out.
//
// Legend: `t` rows of a tile, `b` rows on this rank, `N` rows that are compared (of all ranks, or own), `K` document
// columns, `M` = K N, `P` positives of a row, `D` width.

import Foundation
import TuttiGround
import TuttiKernels

/// The options of in-batch negatives, and their value on a tape.
struct InBatchSoftmax: Sendable {
    /// Who is compared with whom.
    enum Direction: String, OptionChoice {
        case queryToDocument = "query_to_doc"
        case queryToQuery = "query_to_query"
        case documentToQuery = "doc_to_query"
        case documentToDocument = "doc_to_doc"
    }

    /// How several directions make one loss.
    enum Partition: String, OptionChoice {
        case joint
        case perDirection = "per_direction"
    }

    /// Which negatives count more.
    enum Hardness: String, OptionChoice {
        case inBatch = "in_batch_negatives"
        case hard = "hard_negatives"
        case all = "all_negatives"

        /// Whether a document is one of them: `column` of the own row or of another one.
        func counts(column: Int, isOwn: Bool, positives: Int) -> Bool {
            switch self {
            case .inBatch: return !isOwn
            case .hard: return isOwn && column >= positives
            case .all: return !isOwn || column >= positives
            }
        }
    }

    /// Which right answers are no negatives.
    enum FalseNegatives: String, OptionChoice { case none, text }

    var scale = 20.0
    var similarity = SimilarityFunction.cosine
    var gathersAcrossRanks = true
    var directions = [Direction.queryToDocument]
    var partition = Partition.joint
    var hardness: Hardness?
    var hardnessStrength = 0.0
    var positives = 1
    var falseNegatives = FalseNegatives.none

    /// Whether a candidate that is the text of a right answer is left out.
    var masksFalseNegatives: Bool { falseNegatives == .text }

    /// The similarity of the form that the fused kernel computes; nil for all other forms.
    var plainSimilarity: InnerProductSimilarity? {
        guard Set(directions) == [.queryToDocument], positives == 1, !masksFalseNegatives,
            hardness == nil || hardnessStrength == 0
        else { return nil }
        return InnerProductSimilarity(similarity)
    }

    /// The value where all similarities are equal: the logarithm of the number of candidates.
    func chance(rows: Double, columns: Int) -> Double? {
        guard gathersAcrossRanks, positives == 1, hardness == nil, rows > 0, columns > 1 else { return nil }
        let documents = log(rows * Double(columns - 1))
        // Asked in every step: nothing is allocated.
        if directions.allSatisfy({ $0 == .queryToDocument }) { return documents }
        let isSymmetric =
            partition == .perDirection && directions.contains(.queryToDocument)
            && directions.contains(.documentToQuery)
            && directions.allSatisfy { $0 == .queryToDocument || $0 == .documentToQuery }
        return isSymmetric ? (documents + log(rows)) / 2 : nil
    }

    /// Refuses options that do not go together.
    func check(_ loss: String) throws(TuttiError) {
        func refuse(_ option: String, _ problem: String, _ hint: String? = nil) -> TuttiError {
            TuttiError.loss(loss, option: option, problem: problem, hint: hint)
        }
        guard scale.isFinite, scale > 0 else { throw refuse("scale", "\(scale) is not a positive number") }
        guard positives >= 1 else { throw refuse("positives", "\(positives) is not a positive number") }
        guard directions.contains(.queryToDocument) else {
            throw refuse("directions", "query_to_doc is missing", "It holds the pair that is to be found.")
        }
        if partition == .perDirection, directions.contains(.queryToQuery) || directions.contains(.documentToDocument) {
            throw refuse(
                "partition_mode", "per_direction does not go with query_to_query or doc_to_doc",
                "Their candidates never hold the right answer; use joint.")
        }
    }

    // MARK: Value

    /// This rank's part of the mean over all rows and positives, `[1, 1]`. Collective.
    func value(of batch: LossBatch, on tape: Tape) throws -> TapeValue {
        let own = (0..<batch.columns).map { tape.comparable(similarity, tape.column($0)) }  // [b, D] each
        let all = gathersAcrossRanks ? try own.map { try tape.gatherRows($0) } : own  // [N, D] each
        let documents = tape.concatenateRows(Array(all[1...]))  // [M, D]
        let first = gathersAcrossRanks ? tape.ranks.offset : 0
        var answers: RightAnswers?
        if masksFalseNegatives {
            answers = try RightAnswers(batch, positives: positives, gathers: gathersAcrossRanks, first: first, tape)
        }
        let inputs = [documents, all[0]] + own[...positives]
        let sum = tape.tiled(batch.rows, inputs) { tape, inputs, rows in
            let tile = Tile(
                form: self, tape: tape, queries: tape.rows(inputs[2], rows), documents: inputs[0],
                allQueries: inputs[1], place: { first + rows.lowerBound + $0 }, answers: answers,
                firstAnswer: rows.lowerBound)
            let losses = (0..<positives).map { tile.losses(of: tape.rows(inputs[3 + $0], rows), positive: $0) }
            return tape.sum(tape.concatenateRows(losses))
        }
        return tape.scaled(sum, by: 1 / (tape.globalRows * Double(positives)))
    }
}

/// The rows of one tile against everything.
private struct Tile {
    let form: InBatchSoftmax
    let tape: Tape
    let queries: TapeValue  // [t, D]
    let documents: TapeValue  // [M, D]
    let allQueries: TapeValue  // [N, D]
    /// The place of a row of the tile among those that are compared.
    let place: (Int) -> Int
    let answers: RightAnswers?
    let firstAnswer: Int

    private var total: Int { allQueries.rows }

    /// The cross entropy of each row with one of its positives: `[t, 1]`.
    func losses(of document: TapeValue, positive: Int) -> TapeValue {
        let directions = form.directions
        let target = { row in positive * total + place(row) }
        let forward = candidates(toDocuments(tape.comparisons(form.similarity, queries, documents))) { row, index in
            if index == target(row) { return true }
            let isOtherPositive = index / total < form.positives && index % total == place(row)
            return !isOtherPositive && !isAnswer(row, index)
        }  // [t, M]
        var pools = [forward]
        if directions.contains(.queryToQuery) {
            pools.append(
                candidates(scaled(tape.comparisons(form.similarity, queries, allQueries))) { row, index in
                    index != place(row) && !isAlike(row, index)
                })  // [t, N]
        }
        if directions.contains(.documentToQuery) {
            pools.append(
                candidates(scaled(tape.comparisons(form.similarity, document, allQueries))) { row, index in
                    index == place(row) || !isAlike(row, index)
                })  // [t, N]
        }
        if form.partition == .perDirection {
            // doc_to_query is the only other direction here; its right answer is the row's own query.
            let losses =
                [tape.crossEntropy(forward, target: target)]
                + pools[1...].map { tape.crossEntropy($0, target: place) }
            return tape.scaled(losses.dropFirst().reduce(losses[0], tape.add), by: 1 / Double(losses.count))
        }
        if directions.contains(.documentToDocument) {
            pools.append(
                candidates(scaled(tape.comparisons(form.similarity, document, documents))) { row, index in
                    index % total != place(row) && !isAnswer(row, index)
                })  // [t, M]
        }
        return tape.crossEntropy(pools.count == 1 ? forward : tape.concatenateColumns(pools), target: target)
    }

    private func scaled(_ similarities: TapeValue) -> TapeValue { tape.scaled(similarities, by: form.scale) }

    /// The scores of queries with documents: the penalty of hard negatives is no function of the embeddings.
    private func toDocuments(_ similarities: TapeValue) -> TapeValue {  // [t, M]
        let scores = scaled(similarities)
        guard let hardness = form.hardness, form.hardnessStrength > 0 else { return scores }
        let penalty = tape.newMatrix(similarities.rows, similarities.columns)
        for row in 0..<penalty.rows {
            for index in 0..<penalty.columns {
                let counts = hardness.counts(
                    column: index / total, isOwn: index % total == place(row), positives: form.positives)
                penalty[row, index] = counts ? Float(form.hardnessStrength) * similarities.matrix[row, index] : 0
            }
        }
        return tape.add(scores, tape.constant(penalty))
    }

    private func candidates(_ scores: TapeValue, _ keeping: (Int, Int) -> Bool) -> TapeValue {
        tape.masked(scores, keeping: keeping)
    }

    private func isAnswer(_ row: Int, _ index: Int) -> Bool {
        answers?.isAnswer(row: firstAnswer + row, document: index) ?? false
    }

    private func isAlike(_ row: Int, _ index: Int) -> Bool {
        answers?.isAlike(row: firstAnswer + row, query: index) ?? false
    }
}

/// Which texts answer the queries of this rank.
private struct RightAnswers {
    private let first: Int
    private let queries: [UInt64]  // [N]
    private let documents: [UInt64]  // [M]
    private let answers: [[UInt64]]  // of each of N queries

    /// Learns the texts of all rows that are compared. Collective where `gathers`.
    init(_ batch: LossBatch, positives: Int, gathers: Bool, first: Int, _ tape: Tape) throws {
        guard let keys = batch.textKeys else { preconditionFailure("RightAnswers: the batch has no text keys") }
        let b = batch.rows
        let columns = try (0..<batch.columns).map { column in
            let own = UnsafeBufferPointer(rebasing: keys[column * b..<(column + 1) * b])
            return Array(gathers ? try tape.gatherKeys(own) : own)
        }
        var answersOf: [UInt64: [UInt64]] = [:]
        for (row, query) in columns[0].enumerated() {
            for column in 1...positives { answersOf[query, default: []].append(columns[column][row]) }
        }
        self.first = first
        queries = columns[0]
        documents = columns[1...].flatMap { $0 }
        answers = queries.map { answersOf[$0] ?? [] }
    }

    /// Whether a document is the text of a right answer to an own query.
    func isAnswer(row: Int, document: Int) -> Bool { answers[first + row].contains(documents[document]) }

    /// Whether a query is the same text as an own one, or has a right answer in common with it.
    func isAlike(row: Int, query: Int) -> Bool {
        queries[query] == queries[first + row] || answers[query].contains(where: answers[first + row].contains)
    }
}
