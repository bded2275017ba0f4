// Negatives that are drawn in each epoch: a run trains on what `Table.drawn` gives for its epochs, whatever the number of
// ranks.

import Foundation
import TestSupport
import Testing
import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiTraining

@Suite(.serialized) struct SampledNegativesTests {
    private static let rows = TinyRun("bert-sgd").folder + "/rows.jsonl"

    /// The golden run's rows, each with the negatives of three rows.
    private static func sampled(_ folder: String) throws -> Table {
        let plain = try loadTable(DatasetSpecification(path: rows))
        let negative = try plain.column(named: "negative_1")
        let lines = (0..<plain.rowCount).map { row in
            var object: JSONObject = [
                "anchor": .string(plain.text(row: row, column: 0)),
                "positive": .string(plain.text(row: row, column: 1)),
            ]
            object["negatives"] = .array(
                (0..<3).map { .string(plain.text(row: (row + $0) % plain.rowCount, column: negative)) })
            return JSONValue.object(object).serialized()
        }
        try lines.joined(separator: "\n").write(toFile: folder + "/lists.jsonl", atomically: true, encoding: .utf8)
        var specification = DatasetSpecification(path: folder + "/lists.jsonl")
        specification.options.negatives = .sample(1)
        return try loadTable(specification)
    }

    private static func losses(
        _ output: String, ensemble: any Ensemble = LocalEnsemble.single(),
        change: @escaping @Sendable (Table) throws -> Table
    ) throws -> [Double] {
        var run = TinyRun("bert-sgd")
        run.arguments.numTrainEpochs = 2
        run.arguments.globalTrainBatchSize = 24
        run.arguments.optim = "sgd"
        run.arguments.learningRate = 0.1
        run.arguments.loggingSteps = 1
        run.arguments.saveStrategy = .no
        run.arguments.seed = 9
        run.change = change
        _ = try run.train(output, ensemble: ensemble)
        return try trainingLines(output).compactMap { $0["loss"]?.double }
    }

    /// The texts of `table` in a table that draws nothing.
    private static func fixed(_ table: Table) throws -> Table {
        try Table(columns: table.columnNames.indices.map { (table.columnNames[$0], table.texts(column: $0)) })
    }

    @Test func aRunTrainsOnWhatItsEpochsDraw() throws {
        try withTemporaryDirectory { folder in
            let table = try Self.sampled(folder)
            let drawn = try Self.losses(folder + "/drawn") { _ in table }
            let first = try Self.losses(folder + "/first") { _ in try Self.fixed(table.drawn(epoch: 0, seed: 9)) }
            let steps = drawn.count / 2
            #expect(steps > 1 && first.count == drawn.count)
            #expect(Array(drawn[..<steps]) == Array(first[..<steps]), "the first epoch, to the last bit")
            #expect(zip(drawn[steps...], first[steps...]).contains { abs($0 - $1) > 1e-4 }, "the second has others")
            for world in [2, 3] {
                let results = try withEvery(world: world...world) { ensemble in
                    try Self.losses("\(folder)/world-\(world)", ensemble: ensemble) { _ in table }
                }
                let losses = try #require(results[world]?.first)
                #expect(losses.count == drawn.count)
                for (a, b) in zip(losses, drawn) { #expect(abs(a - b) <= 2e-6 * max(1, abs(b)), "\(world) ranks") }
            }
        }
    }
}
