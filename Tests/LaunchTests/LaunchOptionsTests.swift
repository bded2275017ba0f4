// The command line of the launcher.

import Testing
import TuttiGround
import TuttiLaunch

@Suite struct LaunchOptionsTests {
    @Test func everyOptionIsRead() throws {
        let words = [
            "-np", "3", "--threads", "2", "--hostfile", "h", "--host", "a:1", "--bind", "none", "--memory-per-rank",
            "9",
            "--restarts", "0", "--patience", "30", "--no-check",
            "-x", "A", "-x", "B=1", "--mca", "k", "v", "--quiet", "--dry-run", "train", "--set", "-np", "--", "x",
        ]
        let options = try LaunchOptions(words)
        #expect(options.ranks == 3 && options.threads == 2 && options.hostfile == "h" && options.hosts == "a:1")
        #expect(options.binding == LaunchOptions.Binding.none && options.megabytesPerRank == 9)
        #expect(
            options.exported == ["A", "B=1"] && options.mca.map(\.key) == ["k"] && options.mca.map(\.value) == ["v"])
        #expect(options.restarts == 0 && options.patience == 30 && options.isUnchecked)
        #expect(options.isQuiet && options.isDryRun)
        #expect(options.job == .subcommand(["train", "--set", "-np", "--", "x"]), "the rest is the subcommand's")
        #expect(try LaunchOptions(["-n", "4", "--", "prog", "--quiet"]).job == .program(["prog", "--quiet"]))
        #expect(try LaunchOptions(["--ranks", "4", "tutti", "encode"]).job == .subcommand(["encode"]))
        #expect(try LaunchOptions(["--quiet", "--help"]).wantsHelp)
    }

    @Test(
        arguments: [
            ["-np", "0", "train"], ["-np", "two", "train"], ["-np", "-2", "train"], ["-np", "+2", "train"], ["-np"],
            ["--threads", "1.5", "train"], ["--bind", "socket", "train"], ["--mca", "k"], ["--nosuch", "train"], [],
            ["-np", "2"], ["--"], ["tutti"], ["--memory-per-rank", "", "train"],
            ["--restarts", "-1", "train"], ["--restarts", "many", "train"], ["--patience", "0", "train"],
        ])
    func mistakesAreUsageErrors(_ words: [String]) {
        do {
            _ = try LaunchOptions(words)
            Issue.record("\(words) was taken")
        } catch {
            #expect(error.kind == .usage)
            if let option = words.first(where: { $0.hasPrefix("-") && $0 != "--" }), words != ["-np", "2"] {
                #expect(error.description.contains(option))
            }
        }
    }
}
