// auto_find_batch_size: the same size on all ranks, by estimate, by memory that is refused, after a kill; and its run is the run
// with that size.

import Foundation
import TestSupport
import Testing
import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiReports
import TuttiTraining

@Suite(.serialized) struct BatchSizeTests {
    /// Every size that can be found, by the reference's rule.
    private static func chain(from asked: Int) -> [Int] {
        Array(sequence(first: asked) { Int(Double($0) * 0.9) }.prefix { $0 > 0 })
    }

    /// A machine with so much free memory, which refuses more than `limit` bytes.
    private static func machine(free: Int?, limit: Int = .max, kills: Int = 0) -> MachineMemory {
        var machine = MachineMemory()
        machine.freeMegabytes = { free }
        machine.take = { bytes, _ in bytes > limit ? nil : TakenMemory.take(bytes: 1) { true } }
        machine.kills = { kills }
        return machine
    }

    private func run(_ rows: Int, finds: Bool = true) -> TinyRun {
        var run = TinyRun("bert-sgd")
        run.arguments.numTrainEpochs = 2
        run.arguments.perDeviceTrainBatchSize = rows
        run.arguments.autoFindBatchSize = finds
        run.arguments.learningRate = 1e-3
        run.arguments.loggingSteps = 1
        run.overrides = ["hidden_dropout_prob": .number(0.1), "attention_probs_dropout_prob": .number(0.1)]
        return run
    }

    /// Trains on `world` ranks, each with the machine that `machine` gives it; what the run kept of its batch.
    @discardableResult private func train(
        _ run: TinyRun, _ output: String, world: Int, report: (any Report)? = nil,
        callback: (any TrainerCallback)? = nil,
        _ machine: @escaping @Sendable (_ rank: Int) -> MachineMemory
    ) throws -> (asked: Int, found: Int, global: Int) {
        nonisolated(unsafe) let report = report  // rank zero's is called
        nonisolated(unsafe) let callback = callback
        try withEvery(world: world...world) { ensemble in
            var inputs = try run.inputs(output)
            inputs.machineMemory = machine(ensemble.rank)
            if let asking = report as? any AsksToStop { inputs.stop = asking.stop }
            if let callback { inputs.callbacks = [callback] }
            _ = try Trainer(inputs, ensemble: ensemble, reports: report.map { [$0] } ?? []).train()
        }
        let file = try JSONValue.parse(file: output + "/tutti_run.json")
        let found = try #require(file["auto_find_batch_size"])
        return (
            try #require(found["asked"]?.int), try #require(found["found"]?.int),
            try #require(file["global_train_batch_size"]?.int)
        )
    }

    private func weights(_ output: String) throws -> Data {
        try Data(contentsOf: URL(fileURLWithPath: output + "/final/model.safetensors"))
    }

    /// Keeps what a run says.
    private final class Notices: Report {
        private var lines: [String] = []
        func notice(_ text: String) { lines.append(text) }
        var ofTheBatch: [String] { lines.filter { $0.hasPrefix("auto_find_batch_size") } }
    }

    /// Refuses memory once.
    private final class Once: @unchecked Sendable {
        private let lock = NSLock()
        private var isOver = false
        func take() -> TakenMemory? {
            lock.withLock {
                defer { isOver = true }
                return isOver ? TakenMemory.take(bytes: 1) { true } : nil
            }
        }
    }

    @Test(arguments: [1, 2]) func lessMemoryIsASmallerBatch(world: Int) throws {
        try withTemporaryDirectory { folder in
            var run = run(40)
            run.arguments.maxSteps = 1
            var sizes: [Int] = []
            for free in [0, 1, 2, 3, 4, 6, 8, 10, 12, 16, 24, 32, 64, 1000] {
                let output = "\(folder)/\(free)"
                do {
                    let kept = try train(run, output, world: world) { _ in Self.machine(free: free) }
                    #expect(kept.asked == 40 && kept.global == kept.found * world)
                    sizes.append(kept.found)
                } catch {
                    let problem = "\((error as? WorldFailure)?.error ?? error)"
                    #expect(problem.contains("args.auto_find_batch_size") && problem.contains("no batch fits"))
                    #expect(TuttiError((error as? WorldFailure)?.error ?? error).kind == .retryable)
                    #expect(sizes.isEmpty && !FileManager.default.fileExists(atPath: output + "/tutti_run.json"))
                }
            }
            #expect(sizes == sizes.sorted() && sizes.last == 40, "\(sizes)")
            #expect(sizes.allSatisfy(Self.chain(from: 40).contains) && Set(sizes).count >= 4, "\(sizes)")
            #expect(sizes.count < 14, "nothing fits no memory")
            let unknown = try train(run, folder + "/unknown", world: world) { _ in Self.machine(free: nil) }
            #expect(unknown.found == 40)
        }
    }

    /// A rank of a small machine decides for all, in its estimate and when it does not get what it takes.
    @Test(arguments: [1, 2, 4]) func theRankThatHasLeastDecides(world: Int) throws {
        try withTemporaryDirectory { folder in
            var run = run(40)
            run.arguments.maxSteps = 1
            let last = world - 1
            let notices = Notices()
            let refused = try train(run, folder + "/refused", world: world, report: notices) { rank in
                Self.machine(free: 1000, limit: rank == last ? 3 << 20 : .max)
            }
            #expect(Self.chain(from: 40).dropFirst().contains(refused.found) && refused.global == refused.found * world)
            #expect(notices.ofTheBatch.count == 1, "\(notices.ofTheBatch)")
            let line = notices.ofTheBatch.first ?? ""
            #expect(line.contains("\(refused.found) rows on a rank in place of 40") && line.contains("was refused"))
            #expect {
                try train(run, folder + "/none", world: world) { rank in
                    Self.machine(free: 1000, limit: rank == last ? 0 : .max)
                }
            } throws: {
                "\($0)".contains("no batch fits")
            }
        }
    }

    /// The run with the size found has the bits of a run that is given it, and keeps it over resumptions, whatever memory
    /// is free then and however many ranks go on.
    @Test(arguments: [1, 2]) func theSizeFoundBinds(world: Int) throws {
        try withTemporaryDirectory { folder in
            let free = 6 * world
            let found = try train(run(40), folder + "/whole", world: world) { _ in Self.machine(free: free) }
            #expect((1..<40).contains(found.found))
            let given = run(found.found, finds: false)
            _ = try withEvery(world: world...world) { ensemble in
                try given.train(folder + "/given", ensemble: ensemble).outcome
            }
            #expect(try weights(folder + "/whole") == weights(folder + "/given"))
            let card = try String(contentsOfFile: folder + "/whole/final/README.md", encoding: .utf8)
            #expect(card.contains("`per_device_train_batch_size`: \(found.found)"))

            for (number, later) in [1, 1000].enumerated() {
                let output = "\(folder)/parts-\(number)"
                try train(run(40), output, world: world, report: AskAfter(step: 2)) { _ in Self.machine(free: free) }
                let notices = Notices()
                let resumed = try train(run(40), output, world: world, report: notices) { _ in
                    Self.machine(free: later, limit: 0, kills: 5)
                }
                #expect(resumed == found)
                #expect(try weights(output) == weights(folder + "/whole"))
                #expect(notices.ofTheBatch.first?.contains("stay \(found.global) rows, as found") == true)
            }
            let output = folder + "/fewer"
            try train(run(40), output, world: world, report: AskAfter(step: 2)) { _ in Self.machine(free: free) }
            let resumed = try train(run(40), output, world: 3 - world) { _ in Self.machine(free: later) }
            #expect(resumed.global == found.global)
            #expect(try metricsLines(output).count == metricsLines(folder + "/whole").count)
        }
    }

    private let later = 1000

    /// A run that dies before its first checkpoint begins again with fewer rows only if the kernel has killed meanwhile.
    @Test(arguments: [1, 2]) func aKillForWantOfMemoryIsPressure(world: Int) throws {
        final class Die: TrainerCallback {
            func onStepEnd(_ state: TrainerState, control: inout TrainerControl) throws {
                if state.globalStep == 2 { throw TuttiError(.retryable, "test", "step 2", "dies") }
            }
        }
        try withTemporaryDirectory { folder in
            let output = folder + "/run"
            func die(kills: Int) {
                #expect(throws: (any Error).self) {
                    try train(run(10), output, world: world, callback: Die()) { _ in
                        Self.machine(free: 1000, kills: kills)
                    }
                }
            }
            func kept() throws -> Int? {
                try JSONValue.parse(file: output + "/tutti_run.json")["auto_find_batch_size"]?["found"]?.int
            }
            die(kills: 3)
            #expect(try kept() == 10)
            die(kills: 3)
            #expect(try kept() == 10, "it died of something else")
            die(kills: 4)
            #expect(try kept() == 9)
            let notices = Notices()
            let last = try train(run(10), output, world: world, report: notices) { _ in
                Self.machine(free: 1000, kills: 6)
            }
            #expect(last == (10, 8, 8 * world))
            #expect(notices.ofTheBatch.first?.contains("With 9 the kernel killed a process") == true)
            let given = run(8, finds: false)
            _ = try withEvery(world: world...world) { try given.train(folder + "/given", ensemble: $0).outcome }
            #expect(try weights(output) == weights(folder + "/given"), "from step 0")
            #expect(try timeless(trainingLines(output)) == timeless(trainingLines(folder + "/given")))
            #expect(try train(run(10), output, world: world) { _ in Self.machine(free: 1000, kills: 9) } == last)
        }
    }

    /// Chunks bound what a batch takes, and samplers say which sizes they can make.
    @Test func chunksAndSamplersCount() throws {
        try withTemporaryDirectory { folder in
            var chunked = run(40)
            chunked.arguments.maxSteps = 1
            let plain = try train(chunked, folder + "/plain", world: 1) { _ in Self.machine(free: 6) }
            chunked.arguments.miniBatchSize = 6
            let inChunks = try train(chunked, folder + "/chunks", world: 1) { _ in Self.machine(free: 6) }
            #expect(plain.found < 40 && inChunks.found == 40)

            var labelled = run(10)
            labelled.arguments.maxSteps = 1
            labelled.arguments.batchSampler = GroupByLabelBatchSampler()
            labelled.loss = .init(name: "BatchAllTripletLoss")
            labelled.change = { table in
                let texts = table.texts(column: 0)
                return try Table(columns: [("text", texts)], labels: texts.indices.map { .integer($0 % 4) })
            }
            let once = Once()
            let fitting = try train(labelled, folder + "/labelled", world: 1) { _ in
                var machine = Self.machine(free: 1000)
                machine.take = { _, _ in once.take() }
                return machine
            }
            #expect(fitting.found == 8, "nine rows make no pairs")
        }
    }

    @Test func aGivenGlobalBatchIsNotForMemoryToChoose() throws {
        let args: JSONObject = ["global_train_batch_size": .integer(8), "auto_find_batch_size": .bool(true)]
        #expect {
            try TrainingArguments(json: args, places: ConfigurationPlaces(file: "run.yaml")) { _ in }
        } throws: { error in
            let line = "\(error)"
            return (error as? TuttiError)?.kind == .usage && line.contains("args.auto_find_batch_size")
                && line.contains("mini_batch_size")
        }
    }

    @Test func memoryIsTakenForReal() {
        #expect(TakenMemory.take(bytes: 3 << 20) { true } != nil)
        #expect(TakenMemory.take(bytes: 3 << 20) { false } == nil)
        var asked = 0
        let refused = TakenMemory.take(bytes: 1 << 47) {
            asked += 1
            return false
        }
        #expect(refused == nil && asked == 0, "there are no so many addresses")
        #expect(MachineMemory().freeMegabytes() ?? 0 > 0 && MachineMemory().kills() >= 0)
    }
}
