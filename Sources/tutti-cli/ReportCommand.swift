// `tutti report RUN [RUN ...]`: a page about a run, or about several side by side.

import ArgumentParser
import TuttiFormats
import TuttiGround
import TuttiReports

struct ReportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report", abstract: "Write a page about runs: charts of training and evaluation, configuration.",
        discussion: """
            The page is one file that fetches nothing. It is made of what the runs have logged so far; of several runs it \
            shows their lines in the same charts, and in what their configurations differ. `report_to: html` keeps \
            report.html of a run up to date while it trains.
            """)

    @Argument(help: ArgumentHelp("Output directories of runs.", valueName: "run"))
    var runs: [String]

    @Option(help: ArgumentHelp("The page (default: report.html in the first run's directory).", valueName: "file"))
    var output: String?

    func validate() throws {
        guard !runs.isEmpty else { throw ValidationError("a report needs a run") }
    }

    func run() throws {
        var records: [RunRecord] = []
        for path in runs { records.append(try RunRecord(path: path)) }
        let path = output ?? runs[0] + "/report.html"
        try AtomicWrite.file(path: path, text: RunPage(records).html)
        try Output.line(path)
    }
}
