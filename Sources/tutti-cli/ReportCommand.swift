// `tutti report RUN [RUN ...]`: a page about a run, or about several side by side; or what still waits for a server.

import ArgumentParser
import TuttiFormats
import TuttiGround
import TuttiReports

struct ReportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report",
        abstract: "Write a page about runs: charts of training and evaluation, data, configuration.",
        discussion: """
            The page is one file that fetches nothing. It is made of what the runs have logged so far; of several runs it \
            shows their lines in the same charts, and in what their configurations differ. A run keeps its own report.html \
            up to date while it trains, unless its report_to says otherwise.

            With --send, lines that an MLflow server has not got, because it was down when a run ended, are sent to it \
            ($MLFLOW_TRACKING_URI); of a run that is not finished, those that its newest checkpoint covers.
            """)

    @Argument(help: ArgumentHelp("Output directories of runs.", valueName: "run"))
    var runs: [String]

    @Option(help: ArgumentHelp("The page (default: report.html in the first run's directory).", valueName: "file"))
    var output: String?

    @Flag(help: "Send what waits for an MLflow server, and write no page.")
    var send = false

    func validate() throws {
        guard !runs.isEmpty else { throw ValidationError("a report needs a run") }
        guard !send || output == nil else { throw ValidationError("--send writes no page: leave --output out") }
    }

    func run() throws {
        if send { return try runs.forEach(sendRest) }
        var records: [RunRecord] = []
        for path in runs { records.append(try RunRecord(path: path)) }
        let path = output ?? runs[0] + "/report.html"
        try AtomicWrite.file(path: path, text: RunPage(records).html)
        try Output.line(path)
    }

    /// Sends what waits in the folder of a run that does not train now.
    private func sendRest(of path: String) throws {
        var times = FolderLock.Times()
        times.patience = 0
        let isFinished = try RunRecord(path: path).status == "finished"
        let lock = try FolderLock(path: path + "/tutti_run.lock", purpose: "report --send", times: times) {}
        defer { lock.release() }
        let report = try MLflowReport(toSendFrom: path)
        let (sent, waiting) = try report.sendRest(isFinished: isFinished)
        let rest = waiting > 0 ? "; \(waiting) wait for a checkpoint" : ""
        try Output.line("\(path): sent \(sent) line\(sent == 1 ? "" : "s")\(rest)")
    }
}
