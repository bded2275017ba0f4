// ObjectiveLaws: every loss over W ranks equals the loss of one process with the global batch, value and gradients,
// however the rows are split.
//
// Bounds: values 2e-6 max(1, |value|), gradients 1e-5 of the largest.

import TuttiEnsemble
import TuttiKernels
import TuttiObjectives

let objectiveLaws: [Law] =
    LossSample.all.map { sample in
        Law(name: "\(sample.specification.name), \(sample.columns) columns = one process") {
            try equalsOneProcess(sample, $0, $0, $1)
        }
    } + [
        .control("candidates that are not passed on") { ensemble, findings in
            let altered = AlteredEnsemble(ensemble, .droppedRotation)
            try equalsOneProcess(LossSample.travelling, ensemble, altered, findings)
        },
        .control("a loss without its reduce-scatter") { ensemble, findings in
            let altered = AlteredEnsemble(ensemble, .droppedReduceScatter)
            try equalsOneProcess(LossSample.all[0], ensemble, altered, findings)
        },
        .control("a gradient scaled by 1/W") { ensemble, findings in
            let altered = AlteredEnsemble(ensemble, .dividedByRanks)
            try equalsOneProcess(LossSample.all[0], ensemble, altered, findings)
        },
        Law(name: "every registered loss has a sample, or its own run") { _, findings in
            let covered = Set(LossSample.all.map(\.specification.name)).union(lossesOfRuns)
            let missing = LossRegistry.all.map(\.name).filter { !covered.contains($0) }
            findings.require(missing.isEmpty, "without one: \(missing.joined(separator: ", "))")
        },
        Law(name: "rows of no rank at all give loss zero") { ensemble, findings in
            var arena = Arena()
            let loss = try MultipleNegativesRankingLoss()
            let empty = LossBatch(embeddings: arena.matrix(0, 8), rows: 0, columns: 2)
            let value = try loss.evaluate(empty, dEmbeddings: arena.matrix(0, 8), ensemble: ensemble)
            findings.require(value == 0, "the value is \(value)")
        },
    ]

/// Losses that need more than embeddings: the decoder is tested by whole runs (GoldenLossTests).
private let lossesOfRuns: Set<String> = ["DenoisingAutoEncoderLoss"]

/// Compares over `plain` the loss over `used` with the loss of all rows in this process.
private func equalsOneProcess(
    _ sample: LossSample, _ plain: any Ensemble, _ used: any Ensemble, _ findings: Findings
) throws {
    let (rows, width) = (sample.rows, sample.width)
    let whole = try sample.evaluate(0..<rows, LocalEnsemble.single(), findings)
    for deal in deals(of: rows, to: plain.size) {
        let start = deal[..<plain.rank].reduce(0, +)
        let own = start..<start + deal[plain.rank]
        var part = try sample.evaluate(own, used, findings)
        var value = [part.value]
        try value.withUnsafeMutableBufferPointer { try plain.allReduceSum($0) }
        findings.require(
            abs(value[0] - whole.value) <= 2e-6 * max(1, abs(whole.value)),
            "deal \(deal): loss \(value[0]), one process \(whole.value)")
        if !part.parameters.isEmpty {
            try part.parameters.withUnsafeMutableBufferPointer { try plain.allReduceSum($0) }
        }
        func compare(_ here: [Float], _ there: [Float], blocks: Int, _ what: String) {
            let largest = max(there.map(abs).max() ?? 0, .leastNormalMagnitude)
            for block in 0..<blocks {
                for row in own {
                    for index in 0..<width {
                        let mine = here[(block * own.count + row - start) * width + index]
                        let wanted = there[(block * rows + row) * width + index]
                        findings.require(
                            abs(mine - wanted) <= 1e-5 * largest,
                            "deal \(deal): gradient by \(what), row \(row) of block \(block), is \(mine), not \(wanted)"
                        )
                    }
                }
            }
        }
        compare(part.gradient, whole.gradient, blocks: whole.blocks, "embeddings")
        if !whole.twin.isEmpty { compare(part.twin, whole.twin, blocks: whole.twin.count / rows / width, "the twin") }
        let largest = whole.parameters.map(abs).max() ?? 0
        for (mine, wanted) in zip(part.parameters, whole.parameters) {
            findings.require(
                abs(mine - wanted) <= 1e-5 * largest, "deal \(deal): own parameters \(mine), not \(wanted)")
        }
    }
}
