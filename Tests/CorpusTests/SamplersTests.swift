// Epoch plans: every row once, no duplicates, the same for all ranks, uniform; Philox's known answers.

import Testing
import TuttiCorpus
import TuttiFormats
import TuttiGround

@Suite struct SamplersTests {
    private func batches(_ plan: EpochPlan) -> [[Int32]] { (0..<plan.batchCount).map { Array(plan.batch($0)) } }

    /// Rows of a batch that share a text with an earlier row of it.
    private func duplicates(_ batch: [Int32], in table: Table) -> Int {
        var seen: Set<String> = []
        var count = 0
        for row in batch {
            let texts = Set(table.columnNames.indices.map { table.text(row: Int(row), column: $0) })
            if !seen.isDisjoint(with: texts) { count += 1 }
            seen.formUnion(texts)
        }
        return count
    }

    @Test(
        arguments: ["batch_sampler", "no_duplicates", "sequential"],
        [
            (1, 1), (7, 3), (64, 16), (65, 16), (63, 16), (5, 16), (1000, 33),
        ])
    func everyRowIsInOneBatch(name: String, sizes: (rows: Int, batch: Int)) throws {
        let sampler = try BatchSamplerRegistry.sampler(named: name)
        let table = try Table(columns: [
            ("a", (0..<sizes.rows).map { "text \($0)" }), ("b", (0..<sizes.rows).map { "other \($0)" }),
        ])
        for dropLast in [false, true] {
            let plan = planEpoch(sampler, table, globalBatchSize: sizes.batch, epoch: 0, seed: 7, dropLast: dropLast)
            let rest = sizes.rows % sizes.batch
            let last = name == "no_duplicates" && 2 * rest < min(sizes.batch, sizes.rows) ? 0 : rest
            let kept = sizes.rows - rest + (dropLast ? 0 : last)
            #expect(plan.rows.count == kept && plan.leftOut == sizes.rows - kept)
            #expect(Set(plan.rows).count == plan.rows.count)
            #expect(plan.rows.allSatisfy { $0 >= 0 && $0 < sizes.rows })
            #expect(batches(plan).flatMap { $0 } == plan.rows)
            #expect(batches(plan).dropLast().allSatisfy { $0.count == sizes.batch })
            if name == "sequential" { #expect(plan.rows == (0..<Int32(kept)).map { $0 }) }
        }
    }

    @Test(arguments: ["batch_sampler", "no_duplicates"])
    func plansDependOnSeedAndEpochAlone(name: String) throws {
        let sampler = try BatchSamplerRegistry.sampler(named: name)
        let table = try madeTable(rows: 500, anchors: 300, positives: 400)
        func plan(_ epoch: Int, _ seed: UInt64) -> EpochPlan {
            planEpoch(sampler, table, globalBatchSize: 16, epoch: epoch, seed: seed, dropLast: false)
        }
        #expect(plan(3, 5) == plan(3, 5))
        #expect(plan(3, 5) != plan(4, 5))
        #expect(plan(3, 5) != plan(3, 6))
        #expect(plan(3, 5) != plan(3, 5 + 1 << 32))
    }

    @Test(arguments: [
        (2000, 2000, 2000, 32), (2000, 700, 900, 32), (2000, 60, 2000, 32), (3000, 40, 50, 16), (1000, 1, 1000, 8),
        (999, 400, 3, 2),
    ])
    func noTextOccursTwiceInABatch(rows: Int, anchors: Int, positives: Int, size: Int) throws {
        let table = try madeTable(rows: rows, anchors: anchors, positives: positives)
        let plan = planEpoch(
            NoDuplicatesBatchSampler(), table, globalBatchSize: size, epoch: 1, seed: 2, dropLast: false)
        let all = batches(plan)
        for batch in all {
            #expect(duplicates(batch, in: table) == 0)
            #expect(batch.count <= size)
        }
        // Batches under half size are dissolved, unless that would leave out a batch and a tenth of the rows.
        #expect(plan.leftOut * 10 <= rows || plan.leftOut < size)
        #expect(plan.leftOut == 0 || all.allSatisfy { 2 * $0.count >= size })
        // Short batches end the epoch.
        let firstShort = all.firstIndex { $0.count < size } ?? all.count
        #expect(all[firstShort...].allSatisfy { $0.count < size })
        #expect(plan.rows.count + plan.leftOut == rows && Set(plan.rows).count == plan.rows.count)
        let full = planEpoch(
            NoDuplicatesBatchSampler(), table, globalBatchSize: size, epoch: 1, seed: 2, dropLast: true)
        #expect(batches(full).allSatisfy { $0.count == size && duplicates($0, in: table) == 0 })
        // The control: without the rule such data do repeat texts within batches.
        let plain = planEpoch(DefaultBatchSampler(), table, globalBatchSize: size, epoch: 1, seed: 2, dropLast: false)
        #expect(batches(plain).contains { duplicates($0, in: table) > 0 })
    }

    /// What the reference does: scan the remaining rows again for every batch.
    private func scanned(_ order: [Int32], in table: Table, size: Int) -> [[Int32]] {
        var remaining = order
        var found: [[Int32]] = []
        while !remaining.isEmpty {
            var seen: Set<String> = []
            var batch: [Int32] = []
            var later: [Int32] = []
            for row in remaining {
                let texts = table.columnNames.indices.map { table.text(row: Int(row), column: $0) }
                if batch.count < size, texts.allSatisfy({ !seen.contains($0) }) {
                    batch.append(row)
                    seen.formUnion(texts)
                } else {
                    later.append(row)
                }
            }
            found.append(batch)
            remaining = later
        }
        return found
    }

    @Test func fewRowsAreLeftOut() throws {
        // Texts repeat about as in natural language inference data: an anchor three times, hypotheses now and then.
        let table = try madeTable(rows: 6000, anchors: 2000, positives: 20000)
        let plan = planEpoch(NoDuplicatesBatchSampler(), table, globalBatchSize: 64, epoch: 0, seed: 1, dropLast: false)
        #expect(plan.leftOut <= 32, "\(plan.leftOut) rows left out")
        let order = planEpoch(DefaultBatchSampler(), table, globalBatchSize: 64, epoch: 0, seed: 1, dropLast: false)
            .rows
        let reference = scanned(order, in: table, size: 64)
        #expect(batches(plan).filter { $0.count == 64 }.count >= reference.filter { $0.count == 64 }.count)
        // While nothing but room decides, both place the same rows: the first batch is the reference's.
        #expect(Array(plan.batch(0)) == reference[0])
    }

    /// Rather small batches than none, as in the reference: as many and as large as its scan makes.
    @Test(arguments: [(60, 2, 8), (100, 1, 4), (90, 5, 64), (60, 2, 2)])
    func fewDifferentTextsMakeSmallBatches(rows: Int, answers: Int, size: Int) throws {
        let table = try Table(columns: [
            ("question", (0..<rows).map { "q \($0)" }), ("answer", (0..<rows).map { "a \($0 % answers)" }),
        ])
        let plan = planEpoch(
            NoDuplicatesBatchSampler(), table, globalBatchSize: size, epoch: 0, seed: 1, dropLast: false)
        let order = planEpoch(DefaultBatchSampler(), table, globalBatchSize: size, epoch: 0, seed: 1, dropLast: false)
            .rows
        let reference = scanned(order, in: table, size: size)
        #expect(batches(plan).map(\.count) == reference.map(\.count))
        #expect(plan.leftOut == 0 && Set(plan.rows).count == rows)
        #expect(batches(plan).allSatisfy { duplicates($0, in: table) == 0 })
        let full = planEpoch(
            NoDuplicatesBatchSampler(), table, globalBatchSize: size, epoch: 0, seed: 1, dropLast: true)
        #expect(full.batchCount == (size <= answers ? rows / size : 0))
        let problem = NoDuplicatesBatchSampler().reasonForNoBatch(rows: rows, size: size, dropLast: true)
        #expect(problem.problem.contains("texts repeat so often") && problem.hint.contains("drop_last: false"))
    }

    @Test func aRowMayRepeatItsOwnText() throws {
        let texts = (0..<8).map { "same \($0)" }
        let table = try Table(columns: [("a", texts), ("b", texts)])
        #expect(
            planEpoch(NoDuplicatesBatchSampler(), table, globalBatchSize: 8, epoch: 0, seed: 1, dropLast: false).rows
                .count == 8)
    }

    @Test func valuesCountOverAllColumns() throws {
        let table = try Table(columns: [("a", ["x", "y"]), ("b", ["z", "x"])])
        let plan = planEpoch(NoDuplicatesBatchSampler(), table, globalBatchSize: 2, epoch: 0, seed: 1, dropLast: false)
        #expect(plan.batchCount == 2)
    }

    @Test func ordersAreUniform() {
        // Where row 0 of 8 comes, and which row follows it: both uniform, chi-square with 7 and 55 degrees of freedom.
        let texts = (0..<8).map { "t\($0)" }
        guard let table = try? Table(columns: [("a", texts)]) else { return #expect(Bool(false)) }
        var places = [Double](repeating: 0, count: 8)
        var pairs = [Double](repeating: 0, count: 64)
        let draws = 8000
        for epoch in 0..<draws {
            let rows = planEpoch(
                DefaultBatchSampler(), table, globalBatchSize: 8, epoch: epoch, seed: 11, dropLast: false
            ).rows
            places[rows.firstIndex(of: 0) ?? 0] += 1
            pairs[Int(rows[0]) * 8 + Int(rows[1])] += 1
        }
        let expected = Double(draws) / 8
        let placeStatistic = places.map { ($0 - expected) * ($0 - expected) / expected }.reduce(0, +)
        let pairExpected = Double(draws) / 56
        let pairStatistic = pairs.enumerated().filter { $0.offset / 8 != $0.offset % 8 }
            .map { ($0.element - pairExpected) * ($0.element - pairExpected) / pairExpected }.reduce(0, +)
        // The 0.1 % points are 24.3 and 93.2; the lower bounds tell a generator that is too regular.
        #expect(placeStatistic < 24.3 && placeStatistic > 0.6, "\(placeStatistic)")
        #expect(pairStatistic < 93.2 && pairStatistic > 27, "\(pairStatistic)")
    }

    @Test func philoxGivesItsKnownAnswers() {
        // Random123 kat_vectors: philox4x32 10, counter and key of zeros.
        var zeros = CounterRandom(seed: 0, epoch: 0, purpose: 0)
        #expect(zeros.next() == 0xE169_C58D_6627_E8D5)
        #expect(zeros.next() == 0x9B00_DBD8_BC57_AC4C)
        // The same numbers whatever was drawn before, others in other streams.
        var again = CounterRandom(seed: 0, epoch: 0, purpose: 0)
        #expect(again.next() == 0xE169_C58D_6627_E8D5)
        var firsts: Set<UInt64> = []
        for epoch: UInt32 in 0..<4 {
            for purpose: UInt32 in 0..<4 {
                var generator = CounterRandom(seed: 1 << 40, epoch: epoch, purpose: purpose)
                firsts.insert(generator.next())
            }
        }
        #expect(firsts.count == 16)
    }

    @Test func samplersAreNamedAsInTheReference() throws {
        func sampler(_ name: String) throws -> any BatchSampler { try BatchSamplerRegistry.sampler(named: name) }
        #expect(try sampler("no_duplicates") is NoDuplicatesBatchSampler)
        #expect(try sampler("BatchSamplers.NO_DUPLICATES") is NoDuplicatesBatchSampler)
        #expect(try sampler("no_duplicates_hashed") is NoDuplicatesBatchSampler)
        #expect(try sampler("BATCH_SAMPLER") is DefaultBatchSampler)
        #expect(try sampler("sequential") is SequentialBatchSampler)
        #expect(try sampler("BatchSamplers.GROUP_BY_LABEL") is GroupByLabelBatchSampler)
        let error = try #require(failure { _ = try sampler("no_duplicate") })
        #expect(error.kind == .usage && error.hint?.contains("'no_duplicates'") == true)
    }

    @Test func aSamplerFromOutsideIsFound() throws {
        BatchSamplerRegistry.add(LongestFirst(columns: 1))
        BatchSamplerRegistry.add(LongestFirst(columns: 2))
        let sampler = try BatchSamplerRegistry.sampler(named: "LONGEST_FIRST")
        #expect((sampler as? LongestFirst)?.columns == 2, "the later one of a name counts")
        let table = try Table(columns: [("a", ["x", "xyz", "xy"]), ("b", ["12345", "1", "12"])])
        func plan(_ sampler: any BatchSampler, dropLast: Bool = false) -> EpochPlan {
            planEpoch(sampler, table, globalBatchSize: 2, epoch: 0, seed: 1, dropLast: dropLast)
        }
        #expect(plan(sampler).rows == [0, 1, 2] && plan(LongestFirst(columns: 1)).rows == [1, 2, 0])
        #expect(batches(plan(sampler)) == [[0, 1], [2]] && plan(sampler, dropLast: true).leftOut == 1)
        #expect(sampler.reasonForLeavingOut(dropLast: true).contains("dataloader_drop_last"))
        #expect(sampler.reasonForNoBatch(rows: 3, size: 2, dropLast: false).problem.contains("longest_first"))
    }
}

/// A sampler written outside the package: the rows with the longest texts first.
private struct LongestFirst: BatchSampler {
    var columns: Int
    var name: String { "longest_first" }
    var summary: String { "long texts first" }

    func plan(
        _ table: Table, globalBatchSize: Int, dropLast: Bool, epoch: Int, generator: inout CounterRandom
    ) -> EpochPlan {
        func length(_ row: Int32) -> Int {
            (0..<columns).reduce(0) { $0 + table.text(row: Int(row), column: $1).utf8.count }
        }
        let order = (0..<Int32(table.rowCount)).sorted { (length($0), $1) > (length($1), $0) }
        return EpochPlan(order: order, size: globalBatchSize, dropLast: dropLast)
    }
}
