// WorldRecord: what `tutti bench scale` measured on one world of ranks; a JSON object, one line of a file.
//
// Times are seconds a step. "Crowd" is the same steps with all exchanges left out, all ranks at once, each training
// alone; "alone" is rank zero while the others sleep. Files that other programs made need the members without default.

import Foundation
import TuttiFormats
import TuttiGround

/// The time of a step's parts, and the tokens of a rank.
struct PartTimes: Equatable {
    /// Tokens a rank, the mean over ranks.
    var tokens: Double
    /// Data, forward, backward and what is none of the parts below: the mean over ranks.
    var work: Double
    /// The loss, gathers included: the rank that waits least.
    var loss: Double
    /// What the sum of gradients keeps a rank waiting: the rank that waits least.
    var exchange: Double
    var optimizer: Double
    /// The whole step: the slowest rank's.
    var step: Double
    /// Tokens a second, the sum over ranks.
    var tokensPerSecond: Double
}

/// One measured world.
struct WorldRecord {
    var ranks = 1
    var nodes = 1
    var threads = 1
    /// Rows a rank and step.
    var batchSize = 1
    /// Columns of texts whose embeddings are gathered from all ranks: positives and negatives.
    var candidates = 1
    /// Width of an embedding.
    var width = 1
    /// Floats of a gradient, and those of them that are the word table.
    var parameters = 0
    var wordTable = 0
    /// Bytes of a number in messages.
    var wireBytes = 4
    /// Whether every rank keeps memory of its own: the exchange is plain messages.
    var isPrivate = false
    var isOversubscribed = false
    var world: PartTimes
    var crowd: PartTimes
    var alone: PartTimes
    /// Each rank's work in each step over the mean of all: what a rank's speed varies by.
    var variation: [[Double]] = []
    /// The object as it was read or measured, with machine, processor and the rest.
    var facts = JSONObject()

    /// Ranks of a node, of the fullest if they differ.
    var ranksPerNode: Int { (ranks + nodes - 1) / nodes }
    /// What the model tells worlds apart by.
    var shape: String { "\(ranks) ranks, \(nodes) nodes, \(threads) threads, \(batchSize) rows" }
    /// A line's words for people.
    var title: String {
        "\(ranks) x \(threads)" + (nodes > 1 ? " on \(nodes) nodes" : "") + ", \(batchSize) rows"
            + (isOversubscribed ? ", oversubscribed" : "")
    }

    // Efficiency and its factors: tokens a second over those of as many ranks as rank zero alone.
    var efficiency: Double { world.tokensPerSecond / (Double(ranks) * alone.tokensPerSecond) }
    var contention: Double { crowd.tokensPerSecond / (Double(ranks) * alone.tokensPerSecond) }
    var communication: Double { 1 - max(0, world.exchange - alone.exchange) / world.step }
    var balance: Double {
        let steps = variation.filter { !$0.isEmpty }
        guard !steps.isEmpty else { return 1 }
        var samples = Samples()
        for step in steps { samples.add(step.reduce(0, +) / Double(step.count) / max(1e-12, step.max() ?? 1)) }
        return samples.median
    }
    var rest: Double { efficiency / (contention * communication * balance) }

    /// Bytes that a node sends a step by the formula 2 (N - 1) / N n; where ranks keep memory of their own, a rank.
    var bytesSent: Double {
        let peers = Double(isPrivate ? ranks : nodes)
        return 2 * (peers - 1) / peers * Double(parameters * wireBytes)
    }
    /// The standard deviation of a rank's work within a step, relative.
    var spread: Double {
        let deviations = variation.filter { $0.count > 1 }.flatMap { step -> [Double] in
            let mean = step.reduce(0, +) / Double(step.count)
            let scale = (Double(step.count) / Double(step.count - 1)).squareRoot()
            return step.map { ($0 / mean - 1) * scale }
        }
        guard !deviations.isEmpty else { return 0 }
        return (deviations.reduce(0) { $0 + $1 * $1 } / Double(deviations.count)).squareRoot()
    }
}

extension WorldRecord {
    /// The object of one line, with what follows from the measurement.
    var json: JSONObject {
        var object = facts
        for (key, value) in [
            ("ranks", ranks), ("nodes", nodes), ("threads", threads), ("batch_size", batchSize),
            ("candidates", candidates), ("width", width), ("parameters", parameters), ("word_table", wordTable),
            ("wire_bytes", wireBytes),
        ] { object.set(key, value) }
        object["private_memory"] = .bool(isPrivate)
        object["oversubscribed"] = .bool(isOversubscribed)
        object["world"] = .object(world.json)
        object["crowd"] = .object(crowd.json)
        object["alone"] = .object(alone.json)
        object["bytes_sent"] = .number(bytesSent)
        for (key, value) in factors { object[key] = .number(value) }
        object["variation"] = .array(variation.map { .array($0.map { .number($0) }) })
        return object
    }

    /// Efficiency and its factors.
    var factors: [(name: String, value: Double)] {
        [
            ("efficiency", efficiency), ("contention", contention), ("communication", communication),
            ("balance", balance), ("rest", rest),
        ]
    }

    /// The record of one JSON object.
    /// - Throws: a data error that names the member that is missing.
    init(_ object: JSONObject, place: String) throws(TuttiError) {
        func number(_ key: String, in object: JSONObject, default fallback: Double? = nil) throws(TuttiError) -> Double
        {
            if let value = object[key]?.double ?? object[key]?.int.map(Double.init), value.isFinite { return value }
            guard let fallback, object[key] == nil else {
                throw TuttiError(.data, "read measured worlds", place, "\(key) is not a number")
            }
            return fallback
        }
        func count(_ key: String, default fallback: Int? = nil) throws(TuttiError) -> Int {
            let value = try number(key, in: object, default: fallback.map(Double.init))
            guard value >= 0, value < 1e15 else {
                throw TuttiError(.data, "read measured worlds", place, "\(key) is \(value)")
            }
            return Int(value)
        }
        func times(_ key: String) throws(TuttiError) -> PartTimes {
            guard let parts = object[key]?.object else {
                throw TuttiError(.data, "read measured worlds", place, "\(key) is not an object")
            }
            let times = PartTimes(
                tokens: try number("tokens", in: parts), work: try number("work_seconds", in: parts),
                loss: try number("loss_seconds", in: parts), exchange: try number("exchange_seconds", in: parts),
                optimizer: try number("optimizer_seconds", in: parts), step: try number("step_seconds", in: parts),
                tokensPerSecond: try number("tokens_per_second", in: parts))
            guard times.tokens > 0, times.work > 0, times.step > 0, times.tokensPerSecond > 0 else {
                throw TuttiError(
                    .data, "read measured worlds", place, "\(key) has a time or a count that is not positive")
            }
            return times
        }
        self.init(world: try times("world"), crowd: try times("crowd"), alone: try times("alone"))
        ranks = max(1, try count("ranks"))
        nodes = min(max(1, try count("nodes", default: 1)), ranks)
        threads = max(1, try count("threads", default: 1))
        batchSize = max(1, try count("batch_size"))
        candidates = try count("candidates", default: 1)
        width = try count("width", default: 1)
        parameters = try count("parameters")
        wordTable = min(try count("word_table", default: 0), parameters)
        wireBytes = try count("wire_bytes", default: 4)
        isPrivate = object["private_memory"]?.bool ?? false
        isOversubscribed = object["oversubscribed"]?.bool ?? false
        variation = (object["variation"]?.array ?? []).map { ($0.array ?? []).compactMap(\.double).filter { $0 > 0 } }
        facts = object
    }

    /// The worlds in a file of JSON lines; other objects of `tutti bench` are skipped.
    static func read(_ path: String) throws -> [WorldRecord] {
        guard let bytes = FileManager.default.contents(atPath: path) else {
            throw TuttiError(.missingFile, "read measured worlds", path, "cannot be read")
        }
        var records: [WorldRecord] = []
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() where !line.allSatisfy(\.isWhitespace) {
            let place = "\(path):\(index + 1)"
            guard let object = try JSONValue.parse(String(line), source: place).object,
                object["kind"]?.string == "world"
            else { continue }
            records.append(try WorldRecord(object, place: place))
        }
        return records
    }

    /// One record a shape, in the order of ranks: of each member the median over the records of that shape.
    static func combined(_ records: [WorldRecord]) -> [WorldRecord] {
        var order: [String] = []
        var groups: [String: [WorldRecord]] = [:]
        for record in records {
            if groups[record.shape] == nil { order.append(record.shape) }
            groups[record.shape, default: []].append(record)
        }
        let combined = order.compactMap { shape -> WorldRecord? in
            guard let group = groups[shape], var record = group.first else { return nil }
            record.world = PartTimes(medianOf: group.map(\.world))
            record.crowd = PartTimes(medianOf: group.map(\.crowd))
            record.alone = PartTimes(medianOf: group.map(\.alone))
            record.variation = group.flatMap(\.variation)
            record.isOversubscribed = group.contains(where: \.isOversubscribed)
            record.facts.set("rounds", group.count)
            for key in ["step_seconds_p10", "step_seconds_p90", "rows_per_second", "sentences_per_second"] {
                let values = Samples(group.compactMap { $0.facts[key]?.double })
                if !values.values.isEmpty { record.facts[key] = .number(values.median) }
            }
            return record
        }
        return combined.sorted {
            ($0.nodes, $0.ranks, $0.threads, $0.batchSize) < ($1.nodes, $1.ranks, $1.threads, $1.batchSize)
        }
    }
}

extension PartTimes {
    private static let members: [(String, WritableKeyPath<PartTimes, Double> & Sendable)] = [
        ("tokens", \.tokens), ("work_seconds", \.work), ("loss_seconds", \.loss), ("exchange_seconds", \.exchange),
        ("optimizer_seconds", \.optimizer), ("step_seconds", \.step), ("tokens_per_second", \.tokensPerSecond),
    ]

    var json: JSONObject {
        var object = JSONObject()
        for (key, path) in Self.members { object[key] = .number(self[keyPath: path]) }
        return object
    }

    /// Of each member the median.
    init(medianOf group: [PartTimes]) {
        self.init(tokens: 0, work: 0, loss: 0, exchange: 0, optimizer: 0, step: 0, tokensPerSecond: 0)
        for (_, path) in Self.members {
            var samples = Samples()
            for times in group { samples.add(times[keyPath: path]) }
            self[keyPath: path] = samples.median
        }
    }
}
