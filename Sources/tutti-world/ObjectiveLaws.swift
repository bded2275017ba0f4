// ObjectiveLaws: a loss over W ranks equals the loss of one process with the global batch, value and gradient,
// however the rows are dealt.
//
// Bounds: values 2e-6 max(1, |value|), gradients 1e-5 of the largest.

import TuttiEnsemble
import TuttiKernels
import TuttiObjectives

let objectiveLaws: [Law] =
    [SimilarityFunction.cosine, .dot].flatMap { similarity in
        [2, 3, 6].map { columns in
            Law(name: "MultipleNegativesRankingLoss \(similarity.functionName), \(columns) columns = one process") {
                try equalsOneProcess($0, $0, $1, columns: columns, similarity: similarity)
            }
        }
    } + [
        Law(name: "MultipleNegativesRankingLoss with candidates that travel = one process") { ensemble, findings in
            try equalsOneProcess(ensemble, ensemble, findings, columns: 3, similarity: .cosine, ringExchange: true)
        },
        .control("candidates that stay where they are, are noticed") { ensemble, findings in
            let altered = AlteredEnsemble(ensemble, .droppedRotation)
            try equalsOneProcess(ensemble, altered, findings, columns: 3, similarity: .cosine, ringExchange: true)
        },
        .control("the loss without its reduce-scatter is noticed") { ensemble, findings in
            let altered = AlteredEnsemble(ensemble, .droppedReduceScatter)
            try equalsOneProcess(ensemble, altered, findings, columns: 3, similarity: .cosine)
        },
        .control("a gradient scaled by 1/W is noticed") { ensemble, findings in
            let altered = AlteredEnsemble(ensemble, .dividedByRanks)
            try equalsOneProcess(ensemble, altered, findings, columns: 3, similarity: .cosine)
        },
        Law(name: "rows of no rank at all give loss zero") { ensemble, findings in
            var arena = Arena()
            let loss = try MultipleNegativesRankingLoss()
            let empty = LossBatch(embeddings: arena.matrix(0, 8), rows: 0, columns: 2)
            let value = try loss.evaluate(empty, dEmbeddings: arena.matrix(0, 8), ensemble: ensemble)
            findings.require(value == 0, "the value is \(value)")
        },
    ]

/// Compares over `plain` what the loss says over `used` with what it says of all rows in this process.
private func equalsOneProcess(
    _ plain: any Ensemble, _ used: any Ensemble, _ findings: Findings, columns: Int, similarity: SimilarityFunction,
    ringExchange: Bool = false
) throws {
    let (rows, width) = (37, 24)
    let scale = similarity == .cosine ? 20.0 : 1.0
    let whole = try evaluate(
        rows: 0..<rows, of: rows, columns, width, scale, similarity, LocalEnsemble.single(), findings)
    for deal in deals(of: rows, to: plain.size) {
        let start = deal[..<plain.rank].reduce(0, +)
        let own = start..<start + deal[plain.rank]
        let part = try evaluate(
            rows: own, of: rows, columns, width, scale, similarity, used, findings, ringExchange: ringExchange)
        var value = [part.value]
        try value.withUnsafeMutableBufferPointer { try plain.allReduceSum($0) }
        findings.require(
            abs(value[0] - whole.value) <= 2e-6 * max(1, abs(whole.value)),
            "deal \(deal): loss \(value[0]), one process \(whole.value)")
        let largest = whole.gradient.map(abs).max() ?? 0
        for column in 0..<columns {
            for row in own {
                for index in 0..<width {
                    let here = part.gradient[(column * own.count + row - start) * width + index]
                    let there = whole.gradient[(column * rows + row) * width + index]
                    findings.require(
                        abs(here - there) <= 1e-5 * largest,
                        "deal \(deal): gradient of row \(row), column \(column) is \(here), not \(there)")
                }
            }
        }
    }
}

private func evaluate(
    rows: Range<Int>, of count: Int, _ columns: Int, _ width: Int, _ scale: Double, _ similarity: SimilarityFunction,
    _ ensemble: any Ensemble, _ findings: Findings, ringExchange: Bool = false
) throws -> (value: Double, gradient: [Float]) {
    var arena = Arena()
    let embeddings = arena.matrix(columns * rows.count, width)
    for column in 0..<columns {
        for row in rows {
            var numbers = Numbers(seed: UInt64(column * count + row))
            // Rows of one item resemble each other, as embeddings do.
            var item = Numbers(seed: UInt64(1_000_000 + row))
            for index in 0..<width {
                embeddings[column * rows.count + row - rows.lowerBound, index] = numbers.next() + 0.5 * item.next()
            }
        }
    }
    let gradient = arena.matrix(columns * rows.count, width)
    gradient.fill(.nan)
    let loss = try MultipleNegativesRankingLoss(
        scale: scale, similarity: similarity, ringExchange: ringExchange)
    let batch = LossBatch(embeddings: embeddings, rows: rows.count, columns: columns)
    let value = try loss.evaluate(batch, dEmbeddings: gradient, ensemble: ensemble)
    let only = try loss.evaluate(batch, dEmbeddings: nil, ensemble: ensemble)
    let copied = Array(UnsafeBufferPointer(start: gradient.pointer, count: columns * rows.count * width))
    findings.require(abs(only - value) <= 1e-12, "evaluation only gives \(only), with gradients \(value)")
    return (value, copied)
}
