// `tutti bench`: every subcommand's JSON at tiny sizes, and its errors. Nothing here asserts a time.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround

@Suite struct BenchTests {
    private static let tinyShape = ["--hidden", "32", "--inner", "64", "--layers", "2", "--heads", "4"]

    /// The JSON objects of a run that must succeed.
    private func results(_ arguments: [String]) throws -> [JSONObject] {
        let outcome = try TuttiProcess.run(["bench"] + arguments + ["--json", "--repetitions", "2", "--threads", "1"])
        #expect(outcome.code == 0, "\(outcome.errors)")
        return try objects(outcome.output)
    }

    private func objects(_ output: String) throws -> [JSONObject] {
        try output.split(separator: "\n").map { try #require(try JSONValue.parse(String($0)).object) }
    }

    /// The objects of one kind; each must have all `keys`, numbers positive with their spread around them.
    private func require(
        _ kind: String, _ keys: [String], spread: [String] = [], in objects: [JSONObject]
    ) throws -> [JSONObject] {
        let found = objects.filter { $0["kind"]?.string == kind }
        #expect(!found.isEmpty, "no result of kind \(kind)")
        for object in found {
            for key in ["bench", "ranks", "threads"] + keys { #expect(object.contains(key: key), "\(kind): no \(key)") }
            for key in spread {
                let median = try #require(object[key]?.double, "\(kind): no number \(key)")
                let least = try #require(object[key + "_min"]?.double)
                let most = try #require(object[key + "_max"]?.double)
                #expect(median > 0 && least <= median && median <= most, "\(kind).\(key): \(least) \(median) \(most)")
            }
        }
        return found
    }

    @Test func kernelsMeasureEveryKernelAgainstItsBound() throws {
        let lines = try results(
            ["kernels", "--tokens", "64", "--stream-megabytes", "1", "--vocabulary", "300"] + Self.tinyShape)
        let bounds = try require("bound", ["name", "unit"], spread: ["value"], in: lines)
        #expect(bounds.compactMap { $0["name"]?.string } == ["fma_peak", "copy", "triad", "update", "read", "memcpy"])
        #expect(try #require(bounds.first?["per_thread"]?.double) > 0)
        let products = try require(
            "gemm", ["pass", "name", "m", "n", "k", "provider", "share_of_fma_peak"], spread: ["gflops", "seconds"],
            in: lines)
        let providers = Set(products.compactMap { $0["provider"]?.string })
        #expect(providers.contains("openblas") && products.count == 12 * providers.count)
        let forward = try #require(products.first { $0["pass"]?.string == "forward" && $0["name"]?.string == "inner" })
        #expect(["m", "n", "k"].map { forward[$0]?.int } == [64, 64, 32], "T x F x D")
        let weights = try #require(
            products.first { $0["pass"]?.string == "weight_gradient" && $0["name"]?.string == "qkv" })
        #expect(["m", "n", "k"].map { weights[$0]?.int } == [96, 32, 64], "3 D x D x T")
        let kernels = try require("kernel", ["name", "shape", "bound"], spread: ["microseconds"], in: lines)
        let names = Set(kernels.compactMap { $0["name"]?.string })
        for name in [
            "gelu_forward", "gelu_backward", "gelu_with_gradient", "residual_layernorm_forward",
            "residual_layernorm_backward", "bias_add", "column_sums", "dropout", "embedding_gather",
            "embedding_scatter", "mean_pooling_forward", "adamw",
            "sum_of_squares", "attention_forward", "attention_backward", "attention_disentangled_forward",
            "attention_alibi_backward", "embedding_bag_forward", "embedding_bag_backward",
        ] {
            #expect(names.contains(name), "no \(name)")
        }
        for kernel in kernels {
            let isAttention = kernel["name"]?.string?.hasPrefix("attention") == true
            let share = kernel[isAttention ? "share_of_fma_peak" : "share_of_bandwidth"]?.double
            #expect(try #require(share) > 0)
        }
        let compared = kernels.filter { $0["like"] != nil }
        #expect(compared.count >= 20, "what BERT has not is compared with what it has")
        for kernel in compared {
            let like = try #require(kernels.first { $0["name"] == kernel["like"] })
            func share(_ kernel: JSONObject) -> Double? {
                kernel["share_of_fma_peak"]?.double ?? kernel["share_of_bandwidth"]?.double
            }
            let quotient = try #require(share(kernel)) / #require(share(like))
            #expect(abs(try #require(kernel["share_of_like"]?.double) / quotient - 1) < 1e-6)
        }
    }

    @Test func kernelsMeasureOnePartAlone() throws {
        let small = ["kernels", "--tokens", "16", "--stream-megabytes", "1", "--vocabulary", "300"] + Self.tinyShape
        let parts = [("bounds", ["bound"]), ("gemm", ["bound", "gemm", "gemm_total"]), ("rows", ["bound", "kernel"])]
        for (part, kinds) in parts {
            let found = Set(try results(small + ["--only", part]).compactMap { $0["kind"]?.string })
            #expect(found == Set(kinds), "--only \(part)")
        }
        #expect(try TuttiProcess.run("bench", "kernels", "--only", "everything").code == 64)
    }

    @Test func aStepIsMeasuredWithARandomModelAndWithAGivenOne() throws {
        let keys = ["gemm_provider", "batch_size", "share_of_fma_peak", "peak_resident_mib_per_rank"]
        let spread = [
            "step_seconds", "dense_seconds", "step_over_dense", "tokens", "tokens_per_second", "samples_per_second",
            "gflop", "gflops", "fma_peak_gflops",
        ]
        let made = try results(["step", "--batch-size", "4", "--vocabulary", "300"] + Self.tinyShape)
        let step = try #require(try require("step", keys, spread: spread, in: made).first)
        #expect(step["dense_parameters"]?.int == 2 * (4 * 32 * 32 + 2 * 32 * 64))
        #expect(step["batch_size"]?.int == 4)
        let phases = made.filter { $0["kind"]?.string == "phase" }
        #expect(
            phases.compactMap { $0["name"]?.string }
                == ["data", "forward", "loss", "backward", "exchange", "optimizer", "other"])
        let folder = try TemporaryDirectory()
        let workshop = try Workshop(folder.path)
        let given = try results(
            [
                "step", "--model", workshop.path + "/model", "--data", workshop.path + "/rows.jsonl", "--columns",
                "anchor,positive", "--batch-size", "8",
            ])
        let other = try #require(try require("step", keys, spread: spread, in: given).first)
        // Attention adds to the six FLOPs a parameter and token.
        let least = 6 * Double(2 * (4 * 32 * 32 + 2 * 32 * 64)) * (try #require(other["tokens"]?.double)) / 1e9
        let gflop = try #require(other["gflop"]?.double)
        #expect(gflop > least && gflop < 2 * least)
    }

    @Test func theTokenizerIsMeasured() throws {
        let folder = try TemporaryDirectory()
        let workshop = try Workshop(folder.path)
        try workshop.write("texts.txt", "baba ce\ndi\nfofo gu ha\n")
        let given = try results(
            ["tokenizer", "--model", workshop.path + "/model", "--input", workshop.path + "/texts.txt"])
        let keys = ["name", "used_threads", "texts", "tokens", "megabytes_per_second_per_thread"]
        let own = try #require(
            try require("tokenizer", keys, spread: ["megabytes_per_second", "texts_per_second"], in: given).first)
        #expect(own["name"]?.string == "tutti" && own["texts"]?.int == 3)
        let ids = try TuttiProcess.run(
            "tokenize", "--model", workshop.path + "/model", "--input", workshop.path + "/texts.txt")
        let counts = try objects(ids.output).map { $0["input_ids"]?.array?.count ?? 0 }
        #expect(own["tokens"]?.int == counts.reduce(0, +), "it counts what tokenize prints")
        #expect(try results(["tokenizer", "--kilobytes", "2"]).first?["texts"]?.int ?? 0 > 10)
    }

    @Test func ranksMeasureCollectivesAndSteps() throws {
        func ranked(_ arguments: [String]) throws -> [JSONObject] {
            try objects(TuttiProcess.outputOfRanks(2, arguments + ["--json", "--repetitions", "2"]))
        }
        let lines = try ranked(["bench", "collectives", "--min-bytes", "1024", "--max-bytes", "8192", "--factor", "8"])
        _ = try require("bound", ["name"], spread: ["value"], in: lines)
        _ = try require("barrier", ["name"], spread: ["value"], in: lines)
        let calls = try require(
            "collective", ["name", "bytes", "share_of_memcpy"], spread: ["microseconds", "algbw"], in: lines)
        #expect(calls.count == 4 * 2)
        for call in calls {
            let factor = try #require(call["busbw"]?.double) / (try #require(call["algbw"]?.double))
            let expected = ["all_reduce": 1, "reduce_scatter": 0.5, "all_gather": 0.5, "broadcast": 1.0]
            #expect(abs(factor - (try #require(expected[call["name"]?.string ?? ""]))) < 1e-9, "two ranks")
        }
        let steps = try ranked(["bench", "step", "--batch-size", "4", "--vocabulary", "300"] + Self.tinyShape)
        let step = try #require(steps.first { $0["kind"]?.string == "step" })
        #expect(step["ranks"]?.int == 2)
        let all = try #require(step["samples_per_second"]?.double)
        let own = try #require(step["samples_per_second_per_rank"]?.double)
        #expect(abs(all - 2 * own) <= 1e-9 * all)
    }

    @Test func errorsHaveTheirExitCodes() throws {
        let alone = try TuttiProcess.run("bench", "collectives")
        #expect(alone.code == 64)
        #expect(try alone.errorLine.contains("more than one rank"))
        #expect(try TuttiProcess.run("bench", "step", "--model", "/nowhere/model").code == 66)
        #expect(try TuttiProcess.run("bench", "kernels", "--model", "/nowhere/model").code == 66)
        #expect(try TuttiProcess.run("bench", "tokenizer", "--model", "/nowhere/model").code == 66)
        let loss = ["bench", "step", "--loss", "NoLoss", "--vocabulary", "300"]
        #expect(try TuttiProcess.run(loss + Self.tinyShape).code == 64)
        #expect(try TuttiProcess.run("bench", "kernels", "--hidden", "33").code == 64)
        #expect(try TuttiProcess.run("bench", "step", "--repetitions", "0").code == 64)
    }
}
