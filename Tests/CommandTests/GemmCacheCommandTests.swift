// Fresh runs on one machine choose the same providers: the second takes what the first has measured.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround

@Suite struct GemmCacheCommandTests {
    /// Trains one step with the cache in `cache`; returns the providers that the run keeps.
    private func providers(_ workshop: Workshop, cache: String) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try TuttiProcess.executable)
        process.arguments = ["train", workshop.path + "/run.yaml", "--overwrite", "--threads", "1"]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        var environment = ProcessInfo.processInfo.environment
        environment["XDG_CACHE_HOME"] = cache
        process.environment = environment
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
        let run = try JSONValue.parse(file: workshop.path + "/run/tutti_run.json").object
        return try #require(run?["gemm_provider"]?.string)
    }

    @Test func theSecondRunTakesTheFirstOnesMeasurement() throws {
        let scratch = try TemporaryDirectory()
        let (workshop, cache) = (try Workshop(scratch.path), scratch.path + "/cache")
        try workshop.configure(args: "  max_steps: 1")
        let first = try providers(workshop, cache: cache)
        let folder = cache + "/tutti/products"
        let files = try FileManager.default.contentsOfDirectory(atPath: folder)
        #expect(files.count == 1)
        let file = folder + "/" + (try #require(files.first))
        #expect(try providers(workshop, cache: cache) == first)

        // The kept figures decide, not a new measurement: with other figures the choice is another one.
        var kept = try #require(try JSONValue.parse(file: file).object)
        let slow: JSONObject = ["openblas": .number(2), "tutti": .number(1)]
        let fast: JSONObject = ["openblas": .number(1), "tutti": .number(2)]
        let seconds: JSONObject = [
            "forward": .object(slow), "input_gradient": .object(fast), "weight_gradient": .object(slow),
        ]
        kept["seconds"] = .object(seconds)
        try Data(JSONValue.object(kept).serialized().utf8).write(to: URL(fileURLWithPath: file))
        let chosen = "forward=tutti,input_gradient=openblas,weight_gradient=tutti"
        #expect(try providers(workshop, cache: cache) == chosen)

        // A cache that cannot be made does not keep a run from starting.
        try Data().write(to: URL(fileURLWithPath: scratch.path + "/file"))
        _ = try providers(workshop, cache: scratch.path + "/file")
    }
}
