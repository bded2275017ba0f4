// `report_to: mlflow`: arguments, metrics and the model card of a run on an MLflow tracking server.
//
// A server that is down never stops a run, nor slows it: a thread sends, and what it cannot send waits in a file of the output
// directory until the next checkpoint, the end, the run that resumes, or `tutti report --send` (MLflowLines). Names are those of
// metrics.jsonl. The environment variables are MLflow's: MLFLOW_TRACKING_URI, _USERNAME, _PASSWORD, _TOKEN, _INSECURE_TLS, MLFLOW_EXPERIMENT_NAME,
// _ID, MLFLOW_RUN_ID, MLFLOW_TAGS.
//
// Reference: transformers/integrations/integration_utils.py (MLflowCallback), 5.23.

import Foundation
import TuttiFormats
import TuttiGround
import TuttiNet

/// Reports a run to MLflow.
package final class MLflowReport: Report, @unchecked Sendable {
    private let server: MLflowServer
    private let output: String
    private let givenRun: String?
    private let lines: MLflowLines
    private let statePath: String
    private let show: @Sendable (String) -> Void

    private let condition = NSCondition()
    // Guarded by `condition`.
    private var due = 0
    private var isAsked = false
    private var isEnding = false
    private var hasEnded = true
    private var notices: [String] = []

    // The thread's own while there is one; the run's before.
    private var state: MLflowState
    private let runName: String?
    private var isOpen = false
    private var hasSaidThatItFails = false

    /// The report of the run of `context`.
    ///
    /// - Parameters:
    ///   - policy: how often a request is sent.
    ///   - show: gets what a user should know, a line each.
    /// - Throws: `.usage` where the environment names no server.
    package init(
        _ context: ReportContext, environment: [String: String] = ProcessInfo.processInfo.environment,
        policy: RetryPolicy = RetryPolicy(),
        show: @escaping @Sendable (String) -> Void = { line in
            StandardStream.error.put((Terminal.current == nil ? "" : Terminal.erasure) + "tutti: note: \(line)\n")
        }
    ) throws(TuttiError) {
        server = try MLflowServer(environment, policy: policy)
        output = context.outputDirectory
        runName = context.runName
        givenRun = environment["MLFLOW_RUN_ID"].flatMap { $0.isEmpty ? nil : $0 }
        lines = MLflowLines(path: output + "/mlflow.jsonl")
        statePath = output + "/mlflow.json"
        state = try MLflowState(path: statePath)
        self.show = show
    }

    /// A report that only sends what waits in `directory`, while somebody waits for that.
    ///
    /// - Throws: as above.
    package convenience init(toSendFrom directory: String) throws(TuttiError) {
        try self.init(ReportContext(outputDirectory: directory), policy: RetryPolicy(tries: 3))
    }

    /// Its registry entry.
    static let entry = ReportEntry(
        name: "mlflow", summary: "an MLflow tracking server, that of $MLFLOW_TRACKING_URI"
    ) { try MLflowReport($0) }

    // MARK: What a run reports

    /// Drops the lines that will be logged again; those of them that the server has are remembered.
    package func rewind(to step: Int, evaluationIsDue: Bool) throws {
        // Another process may have gone on since this report was made.
        state = try MLflowState(path: statePath)
        let all = try lines.all()
        let point = RewindPoint(step, evaluationIsDue: evaluationIsDue)
        let kept = all.prefix { line in point.keeps(step: line.step) { line.values[$0] != nil } }
        try lines.cut(to: kept.count)
        guard state.sent > kept.count || state.pending > kept.count else { return }
        if state.pending > state.sent {
            // A server that is down must not keep a run from going on: then they count as not sent.
            do throws(TuttiError) { try settle(all) } catch {}
        }
        state.known += all[kept.count..<max(kept.count, min(state.sent, all.count))].map(\.signature)
        (state.sent, state.pending) = (min(state.sent, kept.count), 0)
        try state.save(to: statePath)
    }

    /// Starts the thread, which makes the run on the server or takes it up.
    package func began(_ run: ReportedRun) throws {
        takeServer()
        state.parameters = JSONObject()
        for (key, value) in MLflowReport.parameters(of: run) { state.parameters[key] = .string(value) }
        state.name = run.name ?? runName ?? output.split(separator: "/").last.map(String.init)
        try state.save(to: statePath)
        let covered = try lines.all().count
        condition.withLock { (due, isAsked, hasEnded) = (covered, true, false) }
        let thread = Thread { self.work() }
        thread.name = "tutti-mlflow"
        thread.stackSize = 1 << 20
        thread.start()
    }

    /// Keeps a line until a checkpoint covers it.
    package func logged(_ line: LogLine) throws {
        showNotices()
        let known = MLflowLines.Line(time: 0, values: line.values).signature
        if condition.withLock({ state.known.contains(known) }) { return }
        try lines.append(line.values)
    }

    package func stepped(_ progress: StepProgress) { showNotices() }

    /// Has the lines sent that a checkpoint covers: no resumed run will log them again.
    package func saved(_ path: String) {
        guard let step = MLflowReport.step(ofCheckpoint: path.split(separator: "/").last ?? "") else { return }
        do throws(TuttiError) {
            let covered = try lines.all().prefix { $0.step <= step }.count
            condition.withLock {
                (due, isAsked) = (max(due, covered), true)
                condition.broadcast()
            }
        } catch {
            show("MLflow: \(error)")
        }
        showNotices()
    }

    /// Has everything sent, with the model card, the configuration and metrics.jsonl, and waits for it.
    package func finished() throws {
        let all = try lines.all().count
        condition.lock()
        (due, isAsked, isEnding) = (all, true, true)
        condition.broadcast()
        while !hasEnded { condition.wait() }
        condition.unlock()
        showNotices()
        let missing = all - state.sent
        if missing > 0 {
            show(
                "MLflow: \(missing) of \(all) lines could not be sent to \(HTTPRequest.shown(server.address)); "
                    + "they are in \(lines.path), and 'tutti report --send \(output)' sends them.")
        }
    }

    /// Sends what waits in the folder of a run that does not train: every line of a finished run, else those that its newest
    /// checkpoint covers, because a run that goes on logs the others again.
    ///
    /// - Returns: the lines that were sent, and those that still wait.
    /// - Throws: `.missingFile` where the run reports to no server; as the calls of the server.
    package func sendRest(isFinished: Bool) throws(TuttiError) -> (sent: Int, waiting: Int) {
        guard FileManager.default.fileExists(atPath: lines.path) else {
            throw TuttiError(
                .missingFile, "send what waits", lines.path, "no such file: the run does not report to MLflow",
                hint: "Give the output_dir of a run with report_to: mlflow.")
        }
        takeServer()
        let all = try lines.all()
        let before = state.sent
        let target = isFinished ? all.count : all.prefix { $0.step <= newestCheckpoint }.count
        try open()
        try send(upTo: target)
        if isFinished { try close() }
        showNotices()
        return (state.sent - before, all.count - state.sent)
    }

    /// The step of the newest checkpoint; -1 without one.
    private var newestCheckpoint: Int {
        let names = FileManager.default.enumerator(atPath: output)
        var newest = -1
        while let name = names?.nextObject() as? String {
            names?.skipDescendants()
            newest = max(newest, MLflowReport.step(ofCheckpoint: name) ?? -1)
        }
        return newest
    }

    private static func step(ofCheckpoint name: some StringProtocol) -> Int? {
        name.hasPrefix("checkpoint-") ? Int(name.dropFirst("checkpoint-".count)) : nil
    }

    /// Forgets what another server has.
    private func takeServer() {
        if state.address != server.address { state = state.moved(to: server.address) }
    }

    private func showNotices() {
        let all = condition.withLock {
            defer { notices = [] }
            return notices
        }
        all.forEach(show)
    }

    // MARK: The thread

    private func work() {
        while true {
            condition.lock()
            while !isAsked { condition.wait() }
            let (target, ends) = (due, isEnding)
            isAsked = false
            condition.unlock()
            do throws(TuttiError) {
                try open()
                try send(upTo: target)
                if ends { try close() }
                hasSaidThatItFails = false
            } catch {
                if !hasSaidThatItFails {
                    let line = "MLflow cannot be told now, and training goes on: \(error)"
                    condition.withLock { notices.append(line) }
                }
                hasSaidThatItFails = true
            }
            guard ends else { continue }
            condition.withLock {
                hasEnded = true
                condition.broadcast()
            }
            return
        }
    }

    /// Changes the state and keeps it.
    private func keep(_ change: (inout MLflowState) -> Void) throws(TuttiError) {
        let copy = condition.withLock {
            change(&state)
            return state
        }
        try copy.save(to: statePath)
    }

    private func open() throws(TuttiError) {
        guard !isOpen else { return }
        let run = try takeUpOrMake()
        try keep { ($0.run, $0.artifacts) = (run.id, run.artifacts) }
        if !state.hasParameters {
            try server.log(state.parameters.map { ($0, $1.string ?? "") }, run: run.id)
            try keep { $0.hasParameters = true }
        }
        isOpen = true
    }

    /// The run on the server: the known one, the one that was made when an answer was lost, or a new one.
    private func takeUpOrMake() throws(TuttiError) -> (id: String, artifacts: String) {
        if let id = state.run ?? givenRun { return try server.takeUp(id) }
        let experiment = try server.experiment()
        if let key = state.key, let id = try server.run(withKey: key, in: experiment) { return try server.takeUp(id) }
        let key = UUID().uuidString
        try keep { $0.key = key }
        return try server.makeRun(experiment, name: state.name, key: key)
    }

    /// Sends the lines before `target`, in batches that the server takes whole or not at all.
    private func send(upTo target: Int) throws(TuttiError) {
        let all = try lines.all()
        if state.pending > state.sent { try settle(all) }
        guard let run = state.run else { return }
        while state.sent < min(target, all.count) {
            var batch = all[state.sent].metrics
            var end = state.sent + 1
            while end < min(target, all.count), batch.count + all[end].metrics.count <= MLflowServer.metricLimit {
                batch += all[end].metrics
                end += 1
            }
            try keep { $0.pending = end }
            for start in stride(from: 0, to: batch.count, by: MLflowServer.metricLimit) {
                let part = batch[start..<min(start + MLflowServer.metricLimit, batch.count)]
                try server.log(Array(part), run: run)
            }
            try keep { ($0.sent, $0.pending) = (end, 0) }
        }
    }

    /// Finds out whether lines that were being sent when a process or a connection died are on the server.
    private func settle(_ all: [MLflowLines.Line]) throws(TuttiError) {
        guard let run = state.run, state.sent < all.count else { return }
        let first = all[state.sent..<min(state.pending, all.count)].lazy.compactMap { $0.metrics.first }.first
        let hasArrived = try first.map { metric throws(TuttiError) in try server.has(metric, run: run) } ?? true
        try keep { state in
            if hasArrived { state.sent = min(state.pending, all.count) }
            state.pending = 0
        }
    }

    private func close() throws(TuttiError) {
        guard let run = state.run else { return }
        let files = [
            ("README.md", "final/README.md"), ("tutti_run.json", "tutti_run.json"), ("metrics.jsonl", "metrics.jsonl"),
        ]
        for (name, path) in files where FileManager.default.fileExists(atPath: "\(output)/\(path)") {
            guard try server.send("\(output)/\(path)", as: name, artifacts: state.artifacts) else {
                let line =
                    "MLflow: the server keeps artifacts at \(HTTPRequest.shown(state.artifacts)), where no file was sent."
                condition.withLock { notices.append(line) }
                break
            }
        }
        try server.finish(run)
    }

    // MARK: Parameters

    /// The run's arguments and the model's configuration, flattened: as many as MLflow takes.
    static func parameters(of run: ReportedRun) -> [(key: String, value: String)] {
        var all = JSONObject()
        if let text = run.modelConfiguration {
            do throws(TuttiError) {
                all = try JSONValue.parse(text).object ?? all
            } catch {}  // the model's own file was read before
        }
        for (key, value) in run.arguments { all[key] = value }
        return JSONValue.object(all).leaves(separator: "/", entersArrays: false).compactMap { key, value in
            let text = value.object != nil ? "" : value.string ?? pythonSpelling(of: value)
            let isTaken = !text.isEmpty && text.count <= MLflowServer.valueLength
            return isTaken ? (MLflowMetric.name(key), text) : nil
        }
    }
}
