// `tutti bench scale` on made-up worlds: the fit finds the costs that they were made with, predicts worlds left out, the
// simulation keeps its laws, the report's files are well-formed. Measured worlds at tiny sizes: no time is asserted.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround

#if canImport(FoundationXML)
import FoundationXML
#endif

@Suite struct ScaleBenchTests {
    /// Costs of a made-up cluster.
    private enum Cost {
        static let work = 2e-4
        static let contention = 1e-5
        static let fixed = 0.01
        static let similarity = 3e-7
        static let lossRow = 1e-5
        static let gather = 0.002
        static let gatheredByte = 2e-9
        static let norm = 1e-9
        static let memory = 2e-9
        static let meeting = 0.001
        static let sentByte = 1e-9
        static let message = 0.0005
        static let optimizer = 1.5e-9
        static let othersOptimizer = 5e-10
    }
    private static let parameters = 5_000_000

    private struct Times {
        var tokens: Double
        var work: Double
        var loss: Double
        var exchange: Double
        var optimizer: Double

        func object(ranks: Int, slower: Double = 1) -> JSONValue {
            let step = (work + loss + exchange + optimizer) * slower
            var object = JSONObject()
            for (key, value) in [
                ("tokens", tokens), ("work_seconds", work), ("loss_seconds", loss), ("exchange_seconds", exchange),
                ("optimizer_seconds", optimizer), ("step_seconds", step),
                ("tokens_per_second", Double(ranks) * tokens / step),
            ] { object[key] = .number(value) }
            return .object(object)
        }
    }

    /// Steps of `ranks` ranks on `nodes` nodes, `busy` of them on one node at the same time.
    private static func times(_ ranks: Int, _ nodes: Int, _ batch: Int, busy: Int) -> Times {
        let tokens = 50.0 * Double(batch)
        let (k, n) = (Double(ranks / nodes), Double(nodes))
        let floats = Double(parameters)
        let gathered = 2 * Double(batch * ranks * 2 * 32 * 4) * (n - 1) / n
        return Times(
            tokens: tokens, work: tokens * (Cost.work + Cost.contention * Double(busy - 1)) + Cost.fixed,
            loss: Cost.similarity * Double(batch * batch * ranks * 2) + Cost.lossRow * Double(batch)
                + (ranks > 1 ? Cost.gather : 0) + Cost.gatheredByte * gathered,
            exchange: floats * (Cost.norm / k + Cost.memory * (k - 1) / k) + (ranks > 1 ? Cost.meeting : 0)
                + Cost.sentByte * 2 * floats * 4 * (n - 1) / n + (nodes > 1 ? 2 * Cost.message : 0),
            optimizer: floats * (Cost.optimizer / k + Cost.othersOptimizer * (k - 1) / k))
    }

    /// A world that the costs explain; `slower` makes one that they do not.
    private static func world(
        _ ranks: Int, _ nodes: Int, _ batch: Int, slower: Double = 1, facts: JSONObject = JSONObject()
    ) -> JSONObject {
        var object = facts
        object["bench"] = .string("scale")
        object["kind"] = .string("world")
        for (key, value) in [
            ("ranks", ranks), ("threads", 1), ("nodes", nodes), ("batch_size", batch), ("candidates", 2),
            ("width", 32), ("parameters", parameters), ("word_table", 2_000_000), ("wire_bytes", 4),
        ] { object[key] = .integer(Int64(value)) }
        object["oversubscribed"] = .bool(false)
        object["world"] = times(ranks, nodes, batch, busy: ranks / nodes).object(ranks: ranks, slower: slower)
        object["crowd"] = times(1, 1, batch, busy: ranks / nodes).object(ranks: ranks)
        object["alone"] = times(1, 1, batch, busy: 1).object(ranks: 1)
        let step = JSONValue.array([JSONValue](repeating: .number(1), count: ranks))
        object["variation"] = .array([step, step])
        return object
    }

    private static let shapes = [
        (1, 1, 16), (1, 1, 64), (2, 1, 16), (2, 1, 64), (4, 1, 16), (4, 1, 64), (2, 2, 16), (2, 2, 64), (4, 2, 16),
        (4, 2, 64), (6, 3, 16), (8, 4, 64), (4, 4, 64),
    ]

    private static let worlds = shapes.map { world($0.0, $0.1, $0.2) }

    private func write(_ worlds: [JSONObject], to path: String) throws {
        let text = worlds.map { JSONValue.object($0).serialized() + "\n" }.joined()
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    }

    private func objects(_ output: String) throws -> [JSONObject] {
        try output.split(separator: "\n").map { try #require(try JSONValue.parse(String($0)).object) }
    }

    /// What --fit says of worlds, with more options.
    private func fit(_ worlds: [JSONObject], _ more: String...) throws -> [JSONObject] {
        let folder = try TemporaryDirectory()
        let path = folder.path + "/worlds.jsonl"
        try write(worlds, to: path)
        let outcome = try TuttiProcess.run(["bench", "scale", "--json", "--fit", path] + more)
        #expect(outcome.code == 0, "\(outcome.errors)")
        return try objects(outcome.output)
    }

    private func only(_ kind: String, in lines: [JSONObject]) throws -> JSONObject {
        let found = lines.filter { $0["kind"]?.string == kind }
        #expect(found.count == 1)
        return try #require(found.first)
    }

    @Test func theFitFindsTheCosts() throws {
        let lines = try fit(Self.worlds)
        let expected: [(String, Double)] = [
            ("work", Cost.work), ("contention", Cost.contention), ("fixed work", Cost.fixed),
            ("similarities", Cost.similarity), ("loss", Cost.lossRow), ("gather", Cost.gather),
            ("gathered byte", Cost.gatheredByte), ("gradient norm", Cost.norm), ("gradient from memory", Cost.memory),
            ("meeting", Cost.meeting), ("byte sent", Cost.sentByte), ("message time", Cost.message),
            ("optimizer", Cost.optimizer), ("optimizer of other ranks", Cost.othersOptimizer),
        ]
        for (name, value) in expected {
            let line = try #require(lines.first { $0["kind"]?.string == "parameter" && $0["name"]?.string == name })
            let found = try #require(line["value"]?.double)
            #expect(abs(found / value - 1) < 1e-5, "\(name): \(found) instead of \(value)")
            #expect(line["determined"]?.bool == true, "\(name)")
        }
        let serial = try #require(lines.first { $0["name"]?.string == "serial work" })
        #expect(serial["determined"]?.bool == false, "one number of threads cannot tell")
    }

    @Test func aWorldLeftOutIsPredicted() throws {
        func error(_ lines: [JSONObject], _ ranks: Int, _ nodes: Int, _ batch: Int) throws -> Double {
            let found = lines.first {
                $0["kind"]?.string == "prediction" && $0["ranks"]?.int == ranks && $0["nodes"]?.int == nodes
                    && $0["batch_size"]?.int == batch
            }
            let line = try #require(found)
            return try #require(line["error"]?.double)
        }
        let lines = try fit(Self.worlds)
        for (ranks, nodes, batch) in [(2, 1, 64), (4, 1, 16), (4, 2, 64), (8, 4, 64)] {
            #expect(abs(try error(lines, ranks, nodes, batch)) < 1e-5, "\(ranks) ranks, \(nodes) nodes, \(batch) rows")
        }
        // Negative control: a world that takes twice as long as its parts is not explained by the others.
        let odd = Self.shapes.map { Self.world($0.0, $0.1, $0.2, slower: $0 == (4, 2, 64) ? 2 : 1) }
        #expect(abs(try error(try fit(odd), 4, 2, 64) + 0.5) < 1e-4)
        // One world explains nothing else, and says so.
        let alone = try only("prediction", in: try fit([Self.world(1, 1, 16)]))
        #expect(alone["error"]?.isNull == true && alone["unseen"]?.array?.isEmpty == false)
        // From one rank alone, what ranks do to each other is unknown.
        let two = try fit([Self.world(1, 1, 16), Self.world(2, 1, 16)])
        let second = try #require(two.first { $0["kind"]?.string == "prediction" && $0["ranks"]?.int == 2 })
        let unseen = try #require(second["unseen"]?.array).compactMap(\.string)
        #expect(unseen.contains("contention") && unseen.contains("meeting") && !unseen.contains("work"))
    }

    @Test func extrapolationFollowsTheNetwork() throws {
        let lines = try fit(Self.worlds, "--extrapolate", "--ranks-per-node", "4")
        #expect(lines.filter { $0["kind"]?.string == "assumption" }.count >= 5)
        let steps = lines.filter { $0["kind"]?.string == "extrapolation" }
        #expect(Set(steps.compactMap { $0["gigabits"]?.double }) == [10, 25, 100, 200])
        #expect(steps.contains { $0["ranks"]?.int == 10_000 && $0["nodes"]?.int == 2500 })
        for ranks in [16, 1024, 10_000] {
            let same = steps.filter { $0["ranks"]?.int == ranks }
            let efficiencies = same.compactMap { $0["efficiency"]?.double }
            #expect(efficiencies.count == 4 && efficiencies == efficiencies.sorted(), "a faster network is no slower")
            for step in same {
                let nodes = try #require(step["nodes"]?.double)
                let bytes = 2 * (nodes - 1) / nodes * Double(Self.parameters) * 4
                let gradients = try #require(step["gradient_seconds"]?.double)
                let rate = try #require(step["gigabits"]?.double) * 1e9 / 8
                let messages = max(2 * nodes, bytes / 4 / 53_248)  // of one rank of four
                #expect(gradients > bytes / rate && gradients < bytes / rate / 0.9 + 1e-4 + 2e-6 * messages)
            }
        }
        let node = steps.filter { $0["ranks"]?.int == 4 }
        #expect(node.allSatisfy { $0["gradient_seconds"]?.double == 0 && $0["efficiency_over_node"]?.double == 1 })
    }

    @Test func similaritiesThatFewRanksDoNotShowTakeTheirFLOPs() throws {
        let cheap = Self.worlds.map { world in
            var world = world
            for key in ["world", "crowd", "alone"] {
                guard var times = world[key]?.object else { continue }
                times["loss_seconds"] = .number(1e-4)
                world[key] = .object(times)
            }
            return world
        }
        let steps = try fit(cheap, "--extrapolate").filter { $0["ranks"]?.int == 10_000 }
        // 64 rows, 640,000 others of two columns, 32 floats; 3,000,000 parameters outside the word table.
        let least = 64.0 * 640_000 * 2 * Cost.work * 32 / 3e6
        #expect(steps.count == 4)
        for step in steps {
            let loss = try #require(step["loss_seconds"]?.double)
            #expect(loss > 0.99 * least && loss < 1.1 * least, "\(loss) instead of \(least)")
        }
    }

    @Test func withoutFailuresTheSimulationIsTheSumOfItsSteps() throws {
        let lines = try fit(
            Self.worlds, "--simulate", "64", "--simulated-steps", "1000", "--node-hours", "0", "--replicas", "2",
            "--checkpoint-seconds", "7")
        let run = try only("simulation", in: lines)
        let step = try #require(run["model_step_seconds"]?.double)
        let seconds = try #require(run["seconds"]?.double)
        #expect(abs(seconds - (1000 * step + 7)) < 1e-9 * seconds, "ranks that do not vary, one checkpoint at the end")
        #expect(run["failures"]?.double == 0)
        // All of 4096 ranks together have a straggler in nearly every step: the work takes twice as long.
        let slow = try only(
            "simulation",
            in: try fit(
                Self.worlds, "--simulate", "4096", "--simulated-steps", "1000", "--node-hours", "0",
                "--straggler-rate", "0.01"))
        let plain = try #require(slow["model_step_seconds"]?.double)
        let work = Self.times(2, 1, 64, busy: 2).work
        #expect(abs((try #require(slow["step_seconds"]?.double)) - plain - work) < 1e-3 * plain)
    }

    @Test func theSimulationDependsOnItsSeedAlone() throws {
        let options = ["--simulate", "512", "--simulated-steps", "20000", "--node-hours", "200", "--replicas", "3"]
        func run(seed: String) throws -> [String] {
            let folder = try TemporaryDirectory()
            try write(Self.worlds, to: folder.path + "/worlds.jsonl")
            let outcome = try TuttiProcess.run(
                ["bench", "scale", "--json", "--fit", folder.path + "/worlds.jsonl", "--seed", seed] + options)
            #expect(outcome.code == 0, "\(outcome.errors)")
            return outcome.output.split(separator: "\n").map(String.init).filter { $0.contains("\"interval\"") }
        }
        let first = try run(seed: "1")
        #expect(!first.isEmpty)
        #expect(try run(seed: "1") == first)
        #expect(try run(seed: "2") != first)
    }

    @Test func youngAndDalyAreNearTheSimulatedBest() throws {
        let lines = try fit(
            Self.worlds, "--simulate", "1024", "--ranks-per-node", "4", "--node-hours", "500", "--simulated-steps",
            "200000", "--checkpoint-seconds", "30", "--replicas", "20")
        let run = try only("simulation", in: lines)
        let best = try #require(run["seconds"]?.double)
        let bestSteps = try #require(run["best_interval_steps"]?.double)
        #expect(try #require(run["failures"]?.double) > 10)
        for name in ["young", "daly"] {
            #expect(try #require(run[name + "_seconds"]?.double) < 1.01 * best, "\(name)")
            let ratio = try #require(run[name + "_interval_steps"]?.double) / bestSteps
            #expect(ratio > 0.4 && ratio < 2.5, "\(name): \(ratio) times the best interval")
        }
        // Negative control: intervals far from it cost more.
        let intervals = lines.filter { $0["kind"]?.string == "interval" }
        for far in [try #require(intervals.first), try #require(intervals.last)] {
            #expect(try #require(far["seconds"]?.double) > 1.03 * best)
        }
        let lost = try #require(run["failure_seconds"]?.double)
        #expect(lost > 15 + 60, "a failure costs detection, restart, and steps")
    }

    @Test func theReportIsWellFormedAndFetchesNothing() throws {
        let folder = try TemporaryDirectory()
        let facts: JSONObject = ["machine": .string("a <node> & \"b\" | c"), "processor": .string("Zen <4>")]
        try write(
            Self.shapes.map { Self.world($0.0, $0.1, $0.2, facts: facts) }, to: folder.path + "/worlds.jsonl")
        let outcome = try TuttiProcess.run("bench", "scale", "--report", folder.path)
        #expect(outcome.code == 0, "\(outcome.errors)")
        func read(_ name: String) throws -> String {
            try String(contentsOfFile: folder.path + "/" + name, encoding: .utf8)
        }
        for name in ["throughput.svg", "efficiency.svg", "extrapolation.svg", "index.html"] {
            let text = try read(name)
            #expect(XMLParser(data: Data(text.utf8)).parse(), "\(name) is not XML")
            #expect(text.contains("<path d=\"M"))
            for outside in ["src=", "href=", "url(", "<script", "<link", "@import", "<image"] {
                #expect(!text.contains(outside), "\(name): \(outside)")
            }
            #expect(!text.replacing("xmlns=\"http://www.w3.org/2000/svg\"", with: "").contains("://"), "\(name)")
        }
        #expect(try read("index.html").contains("a &lt;node&gt; &amp; &quot;b&quot; | c"))
        let results = try #require(try JSONValue.parse(try read("results.json")).object)
        #expect(results["worlds"]?.array?.count == Self.shapes.count)
        for key in ["parameters", "predictions", "assumptions", "extrapolation"] {
            #expect(results[key]?.array?.isEmpty == false, "\(key)")
        }
        let markdown = try read("results.md")
        for title in ["Measured worlds", "Speed-up", "predicted by a model of the others", "Extrapolation"] {
            #expect(markdown.contains(title), "\(title)")
        }
    }

    @Test(arguments: [1, 2]) func aWorldIsMeasured(_ ranks: Int) throws {
        let said = try TuttiProcess.outputOfRanks(
            ranks,
            [
                "bench", "scale", "--json", "--repetitions", "2", "--rounds", "2", "--warmup", "1", "--batch-size", "4",
                "--vocabulary", "300", "--hidden", "32", "--inner", "64", "--layers", "2", "--heads", "4",
            ])
        let world = try only("world", in: try objects(said))
        #expect(world["ranks"]?.int == ranks && world["nodes"]?.int == 1 && world["steps"]?.int == 4)
        var product = 1.0
        for name in ["contention", "communication", "balance", "rest"] {
            let factor = try #require(world[name]?.double)
            #expect(factor > 0, "\(name)")
            product *= factor
        }
        let efficiency = try #require(world["efficiency"]?.double)
        #expect(abs(product / efficiency - 1) < 1e-9)
        #expect(world["bytes_sent"]?.double == 0, "one node sends nothing")
        #expect(world["variation"]?.array?.count == 4)
        #expect(world["variation"]?.array?.allSatisfy { $0.array?.count == ranks } == true)
        for part in ["world", "crowd", "alone"] {
            let times = try #require(world[part]?.object)
            for key in ["tokens", "work_seconds", "step_seconds", "tokens_per_second"] {
                #expect(try #require(times[key]?.double) > 0, "\(part).\(key)")
            }
        }
        for key in ["machine", "processor", "mpi", "gemm", "sentences_per_second", "step_seconds_p10"] {
            #expect(world.contains(key: key), "no \(key)")
        }
        #expect(world["busbw"] == nil || ranks > 1)
    }

    @Test func errorsNameThePlace() throws {
        let folder = try TemporaryDirectory()
        let path = folder.path + "/worlds.jsonl"
        #expect(try TuttiProcess.run("bench", "scale", "--fit", path).code == 66)
        #expect(try TuttiProcess.run("bench", "scale", "--report", folder.path).code == 66)
        try write([], to: path)
        #expect(try TuttiProcess.run("bench", "scale", "--fit", path).code == 65)
        var broken = Self.world(2, 1, 16)
        broken["crowd"] = nil
        try write([Self.world(1, 1, 16), broken], to: path)
        let outcome = try TuttiProcess.run("bench", "scale", "--fit", path)
        #expect(outcome.code == 65)
        #expect(try outcome.errorLine.contains("worlds.jsonl:2") && outcome.errorLine.contains("crowd"))
        #expect(try TuttiProcess.run("bench", "scale", "--extrapolate").code == 64)
        #expect(try TuttiProcess.run("bench", "scale", "--simulate", "8").code == 64)
        #expect(try TuttiProcess.run("bench", "scale", "--rounds", "0").code == 64)
        #expect(try TuttiProcess.run("bench", "scale", "--fit", path, "--straggler-rate", "1").code == 64)
    }
}
