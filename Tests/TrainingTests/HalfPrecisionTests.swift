// Runs in half precision: their losses, their memory, worlds, resumption, what processors can do.

import Foundation
import TestSupport
import Testing
import TuttiEncoders
import TuttiEnsemble
import TuttiGround
import TuttiKernels
import TuttiTraining

@Suite(.serialized) struct HalfPrecisionTests {
    private func run(_ change: (inout TrainingArguments) -> Void = { _ in }) -> TinyRun {
        var run = TinyRun.elevenSteps()
        run.arguments.perDeviceTrainBatchSize = 8
        run.arguments.globalTrainBatchSize = 8
        run.arguments.learningRate = 0.05
        run.arguments.loggingSteps = 1
        run.arguments.saveSteps = 1
        change(&run.arguments)
        return run
    }

    private func train(_ run: TinyRun, _ output: String, world: Int = 1, stopAfter step: Int? = nil) throws -> [Double]
    {
        _ = try LocalEnsemble.run(world: world) { ensemble in
            try run.train(output, ensemble: ensemble, report: step.map { AskAfter(step: $0) }).outcome
        }
        return try trainingLines(output).compactMap { $0["loss"]?.double }
    }

    private func weights(_ output: String) throws -> Data {
        try Data(contentsOf: URL(fileURLWithPath: output + "/final/model.safetensors"))
    }

    /// Within a hundredth of the losses in fp32, and not the same.
    @Test(arguments: [1, 2, 4]) func bf16FollowsTheRunInFP32(world: Int) throws {
        let scratch = try TemporaryDirectory()
        let plain = try train(run(), scratch.path + "/plain", world: world)
        let half = try train(run { $0.bf16 = true }, scratch.path + "/half", world: world)
        #expect(plain.count == 11 && half.count == 11 && plain != half)
        for (a, b) in zip(plain, half) { #expect(abs(a - b) <= 0.01 * a, "\(a) and \(b)") }
        // The same bits again.
        #expect(try train(run { $0.bf16 = true }, scratch.path + "/again", world: world) == half)
        #expect(try weights(scratch.path + "/again") == weights(scratch.path + "/half"))
        // On other numbers of ranks sums differ in their last bits, and where that changes a rounding, by 2^-8 of a number,
        // which steps magnify. The next test has the law for all steps, to the bit.
        let alone = try train(run { $0.bf16 = true }, scratch.path + "/alone")
        for (step, (a, b)) in zip(alone, half).enumerated().prefix(5) {
            #expect(abs(a - b) <= (step == 0 ? 1e-6 : 0x1p-9) * a, "step \(step): \(a) and \(b)")
        }
    }

    @Test func oneNumberOfRanksLikeAnotherInTheInvariantMode() throws {
        let scratch = try TemporaryDirectory()
        let invariant = run {
            ($0.bf16, $0.deterministic) = (true, .worldSize)
            $0.deterministicShards = 4
        }
        for world in [1, 2, 4] { _ = try train(invariant, scratch.path + "/\(world)", world: world) }
        #expect(try weights(scratch.path + "/2") == weights(scratch.path + "/1"))
        #expect(try weights(scratch.path + "/4") == weights(scratch.path + "/1"))
    }

    @Test(arguments: [1, 2]) func aResumedRunHasTheSameBits(world: Int) throws {
        let scratch = try TemporaryDirectory()
        let half = run { $0.bf16 = true }
        let whole = try train(half, scratch.path + "/whole", world: world)
        _ = try train(half, scratch.path + "/parts", world: world, stopAfter: 5)
        #expect(try train(half, scratch.path + "/parts", world: world) == whole)
        #expect(try weights(scratch.path + "/parts") == weights(scratch.path + "/whole"))
    }

    @Test(arguments: [1, 2]) func gradientCheckpointingChangesNoBit(world: Int) throws {
        let scratch = try TemporaryDirectory()
        let plain = try train(run(), scratch.path + "/plain", world: world)
        #expect(try train(run { $0.gradientCheckpointing = true }, scratch.path + "/less", world: world) == plain)
        #expect(try weights(scratch.path + "/less") == weights(scratch.path + "/plain"))
        // With chunks, whose forward runs once more.
        let chunked = run { ($0.gradientCheckpointing, $0.miniBatchSize) = (true, 3) }
        #expect(try train(chunked, scratch.path + "/chunks", world: world).count == 11)
    }

    /// What is asked for, and what processors can do.
    @Test func whatAProcessorCanDoDecides() throws {
        var arguments = TrainingArguments()
        #expect(TrainingPrecision(arguments, products: .tiles) == TrainingPrecision(arguments, products: nil))
        arguments.bf16 = true
        let with = TrainingPrecision(arguments, products: .tiles)
        #expect(with.products == .tiles && with.kept == .bf16 && with.notice?.contains("amx") == true)
        let without = TrainingPrecision(arguments, products: nil)
        #expect(without.products == nil && without.kept == .bf16 && without.notice?.contains("stay in fp32") == true)
        (arguments.bf16, arguments.fp16) = (false, true)
        #expect(TrainingPrecision(arguments, products: .vectors).kept == .bf16)
        let plain = TrainingPrecision(arguments, products: nil)
        #expect(plain.products == nil && plain.kept == .fp32 && plain.notice?.contains("is in fp32") == true)
        arguments.gradientCheckpointing = true
        #expect(TrainingPrecision(arguments, products: .tiles).kept == .recomputed)
    }
}
