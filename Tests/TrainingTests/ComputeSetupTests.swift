// Threads and products as the command and the library both set them.

import TestSupport
import Testing
import Tutti
import TuttiGround

@Suite(.serialized) struct ComputeSetupTests {
    @Test func threadsComeFromTheOptionThenTheEnvironmentThenTheCores() throws {
        let environment = ["TUTTI_THREADS": "3", "OPENBLAS_NUM_THREADS": "5"]
        #expect(try ComputeSetup(threads: 2).plan(cores: 8, environment: environment) == 2)
        #expect(try ComputeSetup().plan(cores: 8, environment: environment) == 3)
        #expect(try ComputeSetup().plan(cores: 8, environment: ["OPENBLAS_NUM_THREADS": "5"]) == 5)
        #expect(try ComputeSetup().plan(cores: 8, environment: [:]) == 8)
        for (setup, environment) in [
            (ComputeSetup(threads: 0), [:]), (ComputeSetup(), ["TUTTI_THREADS": "many"]),
        ] {
            let error = #expect(throws: TuttiError.self) { try setup.plan(cores: 8, environment: environment) }
            #expect(error?.kind == .usage)
        }
    }

    @Test func ranksOfOneProcessShareItsCores() throws {
        let cores = try withEvery(world: 1...3) { $0.computeThreads }
        for (world, threads) in cores {
            #expect(threads.allSatisfy { $0 >= 1 && $0 <= max(1, LocalEnsemble.single().computeThreads / world) })
        }
    }

    /// A trainer of the library computes with what it is asked for, and says so; the plain one with what the model has.
    @Test func theLibrarySetsUpAsTheCommandDoes() throws {
        let scratch = try TemporaryDirectory()
        var run = TinyRun("bert-sgd")
        run.arguments.maxSteps = 1
        run.arguments.saveStrategy = .no
        let inputs = try run.inputs(scratch.path)
        let notes = Notes()
        let setup = ComputeSetup(threads: 1, gemm: .tutti)
        // The model computes with the settings of the process.
        try withCompute(products: GemmChoice(.openblas), threads: 2) {
            let outcome = try SentenceTransformerTrainer(inputs, reports: [notes], setup: setup).train()
            #expect(outcome == .finished)
            #expect(inputs.model.encoder.compute.products == GemmChoice(.tutti) && Compute.process.threads == 1)
        }
        #expect(notes.lines.contains("Matrix products: tutti"))
    }
}

private final class Notes: Report {
    private(set) var lines: [String] = []
    func notice(_ text: String) { lines.append(text) }
}
