// Several data sets: the reference's counts and order, whole passes, and how often each is drawn.

import Testing
import TuttiCorpus
import TuttiFormats
import TuttiGround

@Suite struct MultiDatasetTests {
    private func tables(_ rows: [Int]) throws -> [Table] {
        try rows.enumerated().map { name, count in
            try Table(columns: [("text", (0..<count).map { "\(name) \($0)" })])
        }
    }

    private func plan(
        _ mixing: DatasetMixing, _ tables: [Table], size: Int = 4, dropLast: Bool = false, epoch: Int = 0,
        seed: UInt64 = 5
    ) -> MultiDatasetPlan {
        planDatasets(mixing, count: tables.count, epoch: epoch, seed: seed) { dataset, pass in
            planEpoch(
                DefaultBatchSampler(), tables[dataset], globalBatchSize: size, epoch: epoch, seed: seed,
                dropLast: dropLast,
                dataset: dataset, pass: pass)
        }
    }

    private func datasets(_ plan: MultiDatasetPlan) -> [Int] { (0..<plan.batchCount).map(plan.dataset) }

    @Test func countsAndOrderAreTheReferences() throws {
        let cases = try goldenLines("samplers/multi_dataset.jsonl")
        #expect(cases.count == 20)
        for line in cases {
            let rows = try #require(line["rows"]?.array).compactMap(\.int)
            let tables = try tables(rows)
            let mixing: DatasetMixing = line["strategy"]?.string == "round_robin" ? .roundRobin : .proportional
            let plan = plan(
                mixing, tables, size: try #require(line["size"]?.int),
                dropLast: try #require(line["drop_last"]?.bool as Bool?))
            let order = datasets(plan)
            let counts = rows.indices.map { place in order.filter { $0 == place }.count }
            #expect(counts == line["batches_of_dataset"]?.array?.compactMap(\.int), "\(line)")
            if let wanted = line["order"]?.array { #expect(order == wanted.compactMap(\.int)) }
        }
    }

    @Test func proportionalTakesEveryRowOnceInRandomOrder() throws {
        let tables = try tables([120, 33, 64])
        let plan = plan(.proportional, tables)
        for (dataset, table) in tables.enumerated() {
            let rows = (0..<plan.batchCount).filter { plan.dataset($0) == dataset }.flatMap { plan.rows($0) }
            #expect(rows.sorted() == (0..<Int32(table.rowCount)).map { $0 })
        }
        #expect(plan.leftOut == [0, 0, 0])
        let order = datasets(plan)
        #expect(order != order.sorted() && order != datasets(self.plan(.proportional, tables, epoch: 1)))
        #expect(plan == self.plan(.proportional, tables))
        #expect(plan != self.plan(.proportional, tables, seed: 6))
    }

    /// Rows come in a new order in every epoch, in every data set, and differently in data sets of one size.
    @Test(arguments: [DatasetMixing.proportional, .roundRobin, .temperature(2)])
    func subSamplersAreShuffledAnew(_ mixing: DatasetMixing) throws {
        let tables = try tables([64, 64])
        let (first, second) = (plan(mixing, tables), plan(mixing, tables, epoch: 1))
        for dataset in 0..<2 { #expect(first.plans[dataset].rows != second.plans[dataset].rows) }
        #expect(first.plans[0].rows != first.plans[1].rows)
    }

    @Test func roundRobinStopsWithTheShortest() throws {
        let plan = plan(.roundRobin, try tables([40, 9, 22]))
        #expect(datasets(plan) == [0, 1, 2, 0, 1, 2, 0, 1, 2])
        #expect(plan.leftOut == [40 - 12, 0, 22 - 12])
    }

    @Test(arguments: [DatasetMixing.proportional, .roundRobin, .temperature(5)])
    func oneDatasetIsItsOwnPlan(_ mixing: DatasetMixing) throws {
        let table = try tables([30])
        let alone = planEpoch(DefaultBatchSampler(), table[0], globalBatchSize: 4, epoch: 2, seed: 5, dropLast: false)
        let plan = plan(mixing, table, epoch: 2)
        #expect(plan.plans == [alone])
        #expect((0..<plan.batchCount).flatMap { plan.rows($0) } == alone.rows)
    }

    /// Of 4000 batches: the share of each data set goes as rows^(1 / T), within four standard deviations.
    @Test(arguments: [1.0, 2, 5, 1000])
    func temperatureDrawsByRowsToThePower(_ temperature: Double) throws {
        let rows = [12800, 3150, 50]
        let plan = plan(.temperature(temperature), try tables(rows))
        #expect(plan.batchCount == 3200 + 788 + 13)
        let weights = rows.map { power(Double($0), 1 / temperature) }
        let total = Double(plan.batchCount)
        for dataset in rows.indices {
            let drawn = Double(datasets(plan).filter { $0 == dataset }.count)
            let share = weights[dataset] / weights.reduce(0, +)
            #expect(abs(drawn - total * share) < 4 * (total * share * (1 - share)).squareRoot(), "\(dataset)")
        }
    }

    /// A small data set that is drawn more often than it has batches starts again, in a new order, row by row complete.
    @Test func passesOverASmallDatasetAreWholeAndDiffer() throws {
        let plan = plan(.temperature(1000), try tables([4000, 40]))
        let small = (0..<plan.batchCount).filter { plan.dataset($0) == 1 }.flatMap { plan.rows($0) }
        #expect(small.count > 400)
        var orders: Set<[Int32]> = []
        for start in stride(from: 0, to: small.count - 39, by: 40) {
            let pass = Array(small[start..<start + 40])
            #expect(pass.sorted() == (0..<40).map { Int32($0) })
            orders.insert(pass)
        }
        #expect(orders.count == small.count / 40)
        #expect(plan.leftOut[1] == 0 && plan.leftOut[0] > 0)
    }

    @Test func aDatasetWithoutBatchesIsPassedOver() throws {
        let same = try Table(columns: [("text", [String](repeating: "same", count: 40))])
        let other = try tables([16])[0]
        func plan(_ mixing: DatasetMixing) -> MultiDatasetPlan {
            planDatasets(mixing, count: 2, epoch: 0, seed: 1) { dataset, pass in
                planEpoch(
                    NoDuplicatesBatchSampler(), dataset == 0 ? same : other, globalBatchSize: 4, epoch: 0, seed: 1,
                    dropLast: true,
                    dataset: dataset, pass: pass)
            }
        }
        #expect(datasets(plan(.proportional)) == [1, 1, 1, 1])
        #expect(datasets(plan(.temperature(3))) == [1, 1, 1, 1])
        #expect(plan(.roundRobin).batchCount == 0)
        #expect(plan(.proportional).leftOut == [40, 0])
    }

    private func power(_ base: Double, _ exponent: Double) -> Double {
        // By repeated square roots: a second way to the same number.
        var (result, root, rest) = (1.0, base, exponent)
        for _ in 0..<60 {
            if rest >= 1 {
                result *= root
                rest -= 1
            }
            root = root.squareRoot()
            rest *= 2
        }
        return result
    }
}
