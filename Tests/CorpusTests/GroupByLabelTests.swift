// group_by_label: the reference's counts, and the laws that its batches keep.

import TestSupport
import Foundation
import Testing
import TuttiCorpus
import TuttiFormats
import TuttiGround

@Suite struct GroupByLabelTests {
    /// A table with these labels, and the labels of every batch of an epoch.
    private func table(_ labels: [Int]) throws -> Table {
        try Table(columns: [("text", labels.indices.map { "row \($0)" })], labels: labels.map(Label.integer))
    }

    private func plan(_ labels: [Int], size: Int, dropLast: Bool = false, epoch: Int = 0) throws -> EpochPlan {
        let table = try table(labels)
        try GroupByLabelBatchSampler().check(table, globalBatchSize: size)
        return planEpoch(
            GroupByLabelBatchSampler(), table, globalBatchSize: size, epoch: epoch, seed: 3, dropLast: dropLast)
    }

    private func batches(_ plan: EpochPlan, _ labels: [Int]) -> [[Int]] {
        (0..<plan.batchCount).map { plan.batch($0).map { labels[Int($0)] } }
    }

    @Test func batchesAreAsManyAndAsLargeAsTheReferences() throws {
        let cases = try goldenLines("samplers/group_by_label.jsonl")
        #expect(cases.count == 54)
        for line in cases {
            let labels = try #require(line["labels"]?.array).compactMap(\.int)
            let (size, dropLast) = (try #require(line["size"]?.int), try #require(line["drop_last"]?.bool as Bool?))
            let plan = try plan(labels, size: size, dropLast: dropLast)
            let found = batches(plan, labels)
            #expect(found.map(\.count) == line["batches"]?.array?.compactMap(\.int), "\(size) of \(labels)")
            #expect(plan.leftOut == labels.count - plan.rows.count)
            guard let pairs = line["rows_of_label"]?.array else { continue }
            let wanted = pairs.map { $0.array?.compactMap(\.int) ?? [] }
            let used = Dictionary(grouping: found.flatMap { $0 }) { $0 }.mapValues(\.count)
            #expect(used.sorted { $0.key < $1.key }.map { [$0.key, $0.value] } == wanted)
        }
    }

    @Test(arguments: [4, 6, 10, 32])
    func everyBatchHoldsPairsOfSeveralLabels(size: Int) throws {
        let labels = (0..<701).map { $0 * $0 % 23 }
        for epoch in 0..<5 {
            let plan = try plan(labels, size: size, epoch: epoch)
            #expect(Set(plan.rows).count == plan.rows.count)
            for batch in batches(plan, labels) {
                let counts = Dictionary(grouping: batch) { $0 }.mapValues(\.count)
                #expect(counts.count >= 2 && counts.values.allSatisfy { $0 >= 2 })
                let pairs = stride(from: 0, to: batch.count, by: 2).map { (batch[$0], batch[$0 + 1]) }
                #expect(pairs.allSatisfy { $0.0 == $0.1 })
                #expect(zip(pairs, pairs.dropFirst()).allSatisfy { $0.0.0 != $0.1.0 })
            }
        }
    }

    @Test func rowsAndLabelsAreDrawnAnew() throws {
        let labels = (0..<200).map { $0 % 5 }
        let first = try plan(labels, size: 10)
        #expect(try first == plan(labels, size: 10))
        let second = try plan(labels, size: 10, epoch: 1)
        #expect(first.rows != second.rows && batches(first, labels) != batches(second, labels))
        // Within a round every label comes once, in an order of its own.
        let rounds = stride(from: 0, to: 200, by: 10).map { start in
            stride(from: start, to: start + 10, by: 2).map { labels[Int(first.rows[$0])] }
        }
        #expect(rounds.allSatisfy { Set($0).count == 5 })
        #expect(Set(rounds).count > 10)
    }

    @Test func whatItCannotUseIsRefused() throws {
        func refusal(_ table: Table, _ size: Int) -> TuttiError? {
            failure { try GroupByLabelBatchSampler().check(table, globalBatchSize: size) }
        }
        let good = try table([0, 0, 1, 1])
        #expect(refusal(good, 4) == nil)
        let odd = try #require(refusal(good, 7))
        #expect(odd.kind == .usage)
        #expect(
            odd.problem
                == "group_by_label makes batches of pairs, at least two, and the global batch has 7 rows")
        #expect(refusal(good, 2)?.kind == .usage)
        let bare = try #require(refusal(try Table(columns: [("text", ["a", "b"])]), 4))
        #expect(bare.kind == .usage)
        #expect(bare.problem == "group_by_label needs whole numbers as labels, and the data have no label column")
        let scores = try Table(columns: [("text", ["a", "b"])], labelName: "score", labels: [.float(0.5), .float(1)])
        #expect(
            refusal(scores, 4)?.problem
                == "group_by_label needs whole numbers as labels, and those of column 'score' are fractions")
        let lists = try Table(columns: [("text", ["a", "b"])], labels: [.floats([0.5, 1]), .floats([1, 1])])
        #expect(refusal(lists, 4)?.problem.hasSuffix("those of column 'label' are lists") == true)
        let one = try #require(refusal(try table([0, 0, 0, 1, 2]), 4))
        #expect(one.kind == .data)
        #expect(
            one.problem
                == "group_by_label needs two labels or more with two rows each, and 1 of column 'label' has as many")
        #expect(failure { try DefaultBatchSampler().check(scores, globalBatchSize: 7) } == nil)
    }
}

/// The objects of a file below Tests/Golden.
func goldenLines(_ name: String) throws -> [JSONObject] {
    try MappedFile(path: Goldens.path(name)).text.split(separator: "\n").map { line in
        try #require(try JSONValue.parse(String(line), source: name).object)
    }
}
