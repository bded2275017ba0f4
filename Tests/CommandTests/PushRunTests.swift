// Runs that push their models to the hub while they train.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround

@Suite(.serialized) struct PushRunTests {
    /// Runs a training of four steps, with a checkpoint after every two, before a hub without repositories.
    private func run(
        _ args: String, _ more: [String: String] = [:], faults: String? = nil,
        _ body: (HubStandIn, Workshop, Outcome) throws -> Void
    ) throws {
        try withTemporaryDirectory { folder in
            let hub = try HubStandIn(in: folder)
            let workshop = try Workshop(folder)
            try workshop.configure(
                args: "  push_to_hub: true\n  hub_model_id: org/trained\n  max_steps: 4\n  save_steps: 2\n" + args)
            if let faults { try hub.fail(faults) }
            let environment = hub.environment(["HF_HUB_OFFLINE": "0"]).merging(more) { $1 }
            let outcome = try TuttiProcess.run(["train", folder + "/run.yaml"], environment: environment)
            try withExtendedLifetime(hub) { try body(hub, workshop, outcome) }
        }
    }

    /// The files that the hub has, read back by `tutti download` and as the hub lists them.
    private func names(_ hub: HubStandIn) throws -> Set<String> {
        Set(try hub.json("/api/models/org/trained")["siblings"]?.array?.compactMap { $0["rfilename"]?.string } ?? [])
    }

    private func commits(_ hub: HubStandIn) throws -> Int {
        try hub.requests().count { $0.text.contains("/commit/") }
    }

    @Test func everyCheckpointAndTheEnd() throws {
        try run("  hub_always_push: true\n  hub_private_repo: true\n") { (hub: HubStandIn, workshop, outcome) throws in
            #expect(outcome.code == 0, "\(outcome.errors)")
            #expect(outcome.output.contains("Pushed \(workshop.path)/run/final to"), "\(outcome.output)")
            let found = try names(hub)
            #expect(
                found.contains("model.safetensors") && found.contains("README.md") && found.contains("modules.json"))
            #expect(!found.contains { $0.contains("optimizer") || $0.contains("state") }, "\(found)")
            // The final model is that of the last checkpoint; its card may tell of a tenth of a second more.
            #expect(try (2...3).contains(commits(hub)))
            let weights = try workshop.read("run/final/model.safetensors").withUnsafeBytes { Digest.of($0).hexadecimal }
            #expect(try hub.requests().count { $0.text.hasSuffix("/part/\(weights)/1") } == 1, "sent once")
            let back = try TuttiProcess.run(
                ["download", "org/trained"],
                environment: hub.environment(["HF_HUB_OFFLINE": "0"]))
            let place = back.output.trimmingCharacters(in: .newlines)
            #expect(
                try workshop.read("run/final/model.safetensors")
                    == FileManager.default.contents(atPath: place + "/model.safetensors"))
            let left = try FileManager.default.contentsOfDirectory(atPath: workshop.path + "/run")
            #expect(!left.contains { $0.hasSuffix(".tmp") }, "\(left)")
        }
    }

    @Test func theEndAlone() throws {
        try run("  hub_strategy: end\n  hub_revision: v1\n") { (hub: HubStandIn, _, outcome) throws in
            #expect(outcome.code == 0, "\(outcome.errors)")
            #expect(try commits(hub) == 1)
            #expect(try names(hub).isEmpty, "main is another branch")
        }
    }

    @Test(arguments: ["checkpoint", "all_checkpoints"])
    func wholeCheckpoints(_ strategy: String) throws {
        try run("  hub_strategy: \(strategy)\n  hub_always_push: true\n") { (hub: HubStandIn, _, outcome) throws in
            #expect(outcome.code == 0, "\(outcome.errors)")
            let found = try names(hub)
            let folders = strategy == "checkpoint" ? ["last-checkpoint"] : ["checkpoint-2", "checkpoint-4"]
            for folder in folders {
                #expect(
                    found.contains(folder + "/optimizer.safetensors") && found.contains(folder + "/tutti_state.json"))
            }
            #expect(found.contains { $0.hasPrefix("checkpoint-") } == (strategy != "checkpoint"))
        }
    }

    @Test func aFailedPushStopsNothing() throws {
        try run("", faults: #"{"path": "/preupload/", "status": 403, "times": 99}"#) {
            (hub: HubStandIn, workshop, outcome) throws in
            #expect(outcome.code == 0, "\(outcome.errors)")
            let folder = "\(workshop.path)/run/final"
            #expect(outcome.output.contains("tutti push \(folder) org/trained"), "\(outcome.output)")
            // The command that the run names does it.
            try hub.forget()
            let push = try TuttiProcess.run(
                ["push", folder, "org/trained"], environment: hub.environment(["HF_HUB_OFFLINE": "0"]))
            #expect(push.code == 0, "\(push.errors)")
            #expect(try names(hub).contains("model.safetensors"))
        }
    }

    @Test func theTokenIsKeptNowhere() throws {
        try run("  hub_token: hf_good\n", ["HF_TOKEN": ""]) { (hub: HubStandIn, workshop, outcome) throws in
            #expect(outcome.code == 0, "\(outcome.errors)")
            #expect(try commits(hub) >= 1)
            let written = try FileManager.default.subpathsOfDirectory(atPath: workshop.path + "/run")
            #expect(written.count > 10)
            for path in written {
                let data = FileManager.default.contents(atPath: workshop.path + "/run/" + path) ?? Data()
                #expect(data.firstRange(of: Data("hf_good".utf8)) == nil, "\(path)")
            }
            #expect(!(outcome.output + outcome.errors).contains("hf_good"))
        }
    }

    @Test func withoutATokenTheRunDoesNotBegin() throws {
        try run("", ["HF_TOKEN": ""]) { _, workshop, outcome in
            #expect(outcome.code == 64 && outcome.errors.contains("push_to_hub"), "\(outcome.errors)")
            #expect(!workshop.exists("run/metrics.jsonl"))
        }
    }
}
