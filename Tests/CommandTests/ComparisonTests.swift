// The parts of launch/compare that need no run: tables, ratios, plot, texts, the output folder, and its options.

import Foundation
import Testing

@Suite struct ComparisonTests {
    @Test func tablesPlotAndTextsAreChecked() throws {
        let outcome = try python("check.py")
        #expect(outcome.code == 0 && outcome.errors.hasSuffix("OK\n"), "\(outcome.errors)")
    }

    @Test func optionsAreCheckedBeforeAnythingIsFetched() throws {
        #expect(try python("", "--needs", "--only", "minilm-long,minilm-encode").output == "minilm\n")
        #expect(try python("", "--needs").output == "minilm\nmpnet\n")
        let wrong = [
            (["--only", "minilm"], 64, "minilm-triplets"), (["--rounds", "0"], 64, "--rounds"),
            (["--nli", "/nowhere.csv"], 66, "/nowhere.csv"), (["--step", "3"], 64, "--step"),
        ]
        for (arguments, code, named) in wrong {
            let outcome = try python("", ["--needs"] + arguments)
            #expect(outcome.code == Int32(code) && outcome.errors.contains(named), "\(arguments): \(outcome.errors)")
        }
    }

    private func python(_ file: String, _ arguments: String...) throws -> Outcome { try python(file, arguments) }

    /// Runs a file of launch/comparison, or the folder itself, with the python3 of PATH.
    private func python(_ file: String, _ arguments: [String]) throws -> Outcome {
        let (process, output, errors) = (Process(), Pipe(), Pipe())
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-B", TuttiProcess.root + "/launch/comparison/" + file] + arguments
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        return TuttiProcess.outcome(of: process, output, errors)
    }
}
