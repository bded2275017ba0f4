// ScalingAnalysis: what measured worlds say together: the fit, its error on worlds left out, the extrapolation. Written
// as results of a benchmark, and as tables of a report.

import Foundation
import TuttiFormats
import TuttiGround

/// Measured worlds and the model of them.
struct ScalingAnalysis {
    /// One a shape.
    let worlds: [WorldRecord]
    let model: ScalingModel
    let leftOut: [LeftOut]
    /// The world that is extrapolated: the one with the most nodes and ranks, oversubscribed only if all are.
    let base: WorldRecord

    /// - Throws: a data error without a world.
    init(_ records: [WorldRecord], source: String) throws(TuttiError) {
        worlds = WorldRecord.combined(records)
        let plain = worlds.filter { !$0.isOversubscribed }
        guard let base = plain.last ?? worlds.last else {
            throw TuttiError(
                .data, "fit the model", source, "has no measured world",
                hint: "tutti bench scale --json prints one a run; launch/scaling collects them.")
        }
        self.base = base
        model = ScalingModel(worlds)
        leftOut = ScalingModel.leftOut(worlds)
    }

    /// The costs, one object each.
    var parameters: [JSONObject] {
        model.parameters.map { parameter in
            var line: JSONObject = ["name": .string(parameter.name), "unit": .string(parameter.unit)]
            line["value"] = .number(parameter.value)
            line["determined"] = .bool(parameter.isDetermined)
            return line
        }
    }

    /// Each world as measured, as fitted and as predicted by the others.
    var predictions: [JSONObject] {
        leftOut.map { left in
            let record = left.record
            let fitted = model.predict(StepShape(world: record)).step
            var line: JSONObject = ["world": .string(record.title)]
            line.set("ranks", record.ranks)
            line.set("nodes", record.nodes)
            line.set("threads", record.threads)
            line.set("batch_size", record.batchSize)
            line["measured_seconds"] = .number(record.world.step)
            line["fitted_seconds"] = .number(fitted)
            line["fit_error"] = .number(fitted / record.world.step - 1)
            line["predicted_seconds"] = left.predicted.map { .number($0) } ?? .null
            line["error"] = left.error.map { .number($0) } ?? .null
            line["unseen"] = .array(left.unseen.map { .string($0) })
            line["unseen_words"] = .string(left.unseen.joined(separator: ", "))
            return line
        }
    }

    static func object(_ step: ExtrapolatedStep) -> JSONObject {
        var line: JSONObject = ["network": .string("\(Int(step.network.gigabits)) Gbit/s")]
        line["gigabits"] = .number(step.network.gigabits)
        line.set("ranks", step.ranks)
        line.set("nodes", step.nodes)
        line["step_seconds"] = .number(step.parts.step)
        line["work_seconds"] = .number(step.parts.work)
        line["waiting_seconds"] = .number(step.parts.waiting)
        line["gradient_seconds"] = .number(step.gradientSeconds)
        line["gather_seconds"] = .number(step.gatherSeconds)
        line["loss_seconds"] = .number(step.parts.loss - step.gatherSeconds)
        line["efficiency"] = .number(step.efficiency)
        line["efficiency_over_node"] = .number(step.efficiencyOverNode)
        line["hidden_seconds"] = .number(step.hidden)
        line["efficiency_hidden"] = .number(step.efficiency * step.parts.step / (step.parts.step - step.hidden))
        return line
    }

    // Columns of the tables, for the terminal and for pages.
    static let worldColumns = [
        BenchColumn("world", "world", 34, .text), BenchColumn("step ms", "step_ms", 9, .number(1)),
        BenchColumn("p10", "step_ms_p10", 8, .number(1)), BenchColumn("p90", "step_ms_p90", 8, .number(1)),
        BenchColumn("tokens/s", "tokens_per_second", 9, .number(0)),
        BenchColumn("rows/s", "rows_per_second", 8, .number(1)),
        BenchColumn("efficiency", "efficiency", 10, .percent), BenchColumn("contention", "contention", 10, .percent),
        BenchColumn("communication", "communication", 13, .percent), BenchColumn("balance", "balance", 8, .percent),
        BenchColumn("rest", "rest", 8, .percent), BenchColumn("MB sent", "megabytes_sent", 8, .number(1)),
        BenchColumn("busbw GB/s", "busbw", 10, .number(2)),
    ]
    static let parameterColumns = [
        BenchColumn("cost", "name", 26, .text), BenchColumn("value", "shown", 12, .text),
        BenchColumn("unit", "unit", 38, .text), BenchColumn("", "note", 40, .text),
    ]
    static let predictionColumns = [
        BenchColumn("world left out", "world", 34, .text), BenchColumn("measured ms", "measured_ms", 11, .number(1)),
        BenchColumn("predicted ms", "predicted_ms", 12, .number(1)), BenchColumn("error", "error", 9, .percent),
        BenchColumn("error of the fit", "fit_error", 16, .percent),
        BenchColumn("costs that no other world shows", "unseen_words", 32, .text),
    ]
    static let extrapolationColumns = [
        BenchColumn("network", "network", 11, .text), BenchColumn("ranks", "ranks", 7, .number(0)),
        BenchColumn("nodes", "nodes", 7, .number(0)), BenchColumn("step ms", "step_ms", 10, .number(1)),
        BenchColumn("efficiency", "efficiency", 10, .percent),
        BenchColumn("over a node", "efficiency_over_node", 11, .percent),
        BenchColumn("with overlap", "efficiency_hidden", 12, .percent),
        BenchColumn("gradients ms", "gradient_ms", 12, .number(1)),
        BenchColumn("gather ms", "gather_ms", 10, .number(1)),
        BenchColumn("loss ms", "loss_ms", 9, .number(1)), BenchColumn("slowest rank ms", "waiting_ms", 15, .number(1)),
    ]

    /// A line of the table of worlds.
    static func line(_ record: WorldRecord) -> JSONObject {
        var line = record.json
        line["world"] = .string(record.title)
        line["step_ms"] = .number(1e3 * record.world.step)
        for key in ["p10", "p90"] {
            line["step_ms_" + key] = record.facts["step_seconds_" + key]?.double.map { .number(1e3 * $0) }
        }
        line["tokens_per_second"] = .number(record.world.tokensPerSecond)
        line["megabytes_sent"] = .number(record.bytesSent / 1e6)
        line["busbw"] = record.busBandwidth.map { .number($0 / 1e9) }
        return line
    }

    /// A result with times in milliseconds beside those in seconds, as tables show them.
    static func shown(_ result: JSONObject) -> JSONObject {
        var line = result
        for (key, value) in result {
            guard key.hasSuffix("_seconds"), let seconds = value.double else { continue }
            line[String(key.dropLast("seconds".count)) + "ms"] = .number(1e3 * seconds)
        }
        if let value = result["value"]?.double, let isDetermined = result["determined"]?.bool {
            line["shown"] = .string(String(format: "%.3g", value))
            line["note"] = .string(
                isDetermined ? (value == 0 ? "came out negative: taken as zero" : "") : "not determined by these worlds"
            )
        }
        return line
    }
}

extension WorldRecord {
    /// Bytes a second of an all-reduce of the gradients, as nccl-tests counts them; nil for one rank. Over one node, in
    /// memory, as if it were the link: 2 (W - 1) / W n over what the exchange takes.
    var busBandwidth: Double? {
        guard ranks > 1, world.exchange > 0 else { return nil }
        let peers = Double(nodes > 1 && !isPrivate ? nodes : ranks)
        return 2 * (peers - 1) / peers * Double(parameters * wireBytes) / world.exchange
    }
}
