// What a run logs and reports between steps, and the clock behind it.
//
// Lines of training, of evaluations and of the end go to the history in the run's state and to every report. Rank zero
// alone has reports; what one of them throws is every rank's error.

import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiReports

/// The log of a run.
final class RunLog {
    private let ensemble: any Ensemble
    /// Rank zero's reports; none on the other ranks.
    private let reports: [any Report]
    /// Main-thread time by phase, of the steps since the last training line.
    var clock: PhaseClock
    private var stepsOnClock = 0
    private var tokensOnClock = 0
    private var ownTokensOnClock = 0
    private var stragglers: StragglerWatch
    private var host = HostPace()
    /// Steps and rows of all ranks that this process has trained on, and its seconds before the clock's.
    private var ownSteps = 0
    private var ownRows = 0
    private var earlierSeconds = 0.0
    private let startedAt = PhaseClock.now()
    /// What the reports ask for, agreed when the run begins.
    private(set) var details: ReportDetails = []
    /// How the gradients of single tensors are measured.
    var tensorNorms: TensorNorms?
    /// Fused multiply-adds of all ranks together, as floating-point operations a second; measured when the run begins.
    private var fmaPeak = 0.0
    private var flopsOnClock = 0.0
    /// Called on rank zero before a line is written; what it throws ends the run.
    var beforeWriting: () throws -> Void = {}

    /// A log that reports to `reports`, which are empty but on rank zero.
    init(_ reports: [any Report], ensemble: any Ensemble) {
        self.reports = reports
        self.ensemble = ensemble
        stragglers = StragglerWatch(names: (0..<ensemble.size).map { ensemble.name(of: $0) })
        clock = PhaseClock(ensemble.ownActivity)
    }

    // MARK: Reports

    /// Tells every report of something that cannot fail.
    func tell(_ body: (any Report) -> Void) {
        for report in reports { body(report) }
    }

    /// Reports something worth one line.
    func notice(_ text: String) { tell { $0.notice(text) } }

    /// Has every report do something that may fail, on rank zero. Collective.
    func onReports(_ body: (any Report) throws -> Void) throws {
        try ensemble.onRoot { for report in reports { try body(report) } }
    }

    /// Cuts the reports back to what a checkpoint knows; without one, to nothing. Rank zero only.
    func rewind(to state: TrainerState?) throws {
        for report in reports {
            try report.rewind(to: state?.globalStep ?? -1, evaluationIsDue: state?.evaluationIsDue ?? false)
        }
    }

    /// Reports that training begins. Collective.
    func begin(_ run: ReportedRun) throws {
        let asked = reports.reduce(into: ReportDetails()) { $0.formUnion($1.details) }
        fmaPeak = try measurePeak()
        details = ReportDetails(rawValue: Int(try ensemble.agree(code: Int32(asked.rawValue))))
        try onReports { try $0.began(run) }
    }

    /// The FMA peak of all ranks, computing at the same time as in a step: of short samples the best, which other programs
    /// have not disturbed. Collective.
    private func measurePeak() throws -> Double {
        let machine = MachineBounds(streamBytes: 64, fmaSeconds: 0.001)
        try ensemble.barrier()
        var peak = (0..<20).reduce(0) { best, _ in max(best, machine.fmaPeak()) }
        try withUnsafeMutablePointer(to: &peak) {
            try ensemble.allReduceSum(UnsafeMutableBufferPointer(start: $0, count: 1))
        }
        return peak
    }

    /// Reports that the run is finished. Collective.
    func finish() throws {
        try onReports { try $0.finished() }
    }

    // MARK: Steps

    /// Counts a step of `rows` rows, `tokens` tokens and `flops` operations of all ranks, `own` of the tokens this rank's.
    func count(rows: Int, tokens: Int, own: Int, flops: Double) {
        stepsOnClock += 1
        tokensOnClock += tokens
        ownTokensOnClock += own
        flopsOnClock += flops
        ownSteps += 1
        ownRows += rows
    }

    /// Reports the step that the state has just taken.
    func step(_ state: TrainerState) {
        let progress = StepProgress(
            step: state.globalStep, totalSteps: state.maxSteps, ownSteps: ownSteps,
            ownSeconds: earlierSeconds + clock.total)
        tell { $0.stepped(progress) }
    }

    /// Starts the clock of the steps.
    func startClock() { clock.reset() }

    /// Runs what is no part of a training step, such as an evaluation: the clock stands still.
    func pausing<Result>(for work: StaticString, _ body: () throws -> Result) rethrows -> Result {
        clock.enter(.other)
        ensemble.ownActivity?.enter(work)
        let paused = clock
        let result = try body()
        clock = paused
        clock.skip()
        return result
    }

    // MARK: Lines

    /// Logs the mean loss since the last training line, with the norm and rate of the last step. Collective.
    func writeTraining(_ state: inout TrainerState, last: StepReport) throws {
        var line = state.linePlace
        line["loss"] = .number(state.lossSum / Double(max(1, state.lossSteps)))
        let parts = state.parts.means
        for (name, mean) in parts { line[name] = .number(mean) }
        line["grad_norm"] = .number(last.gradientNorm)
        line["learning_rate"] = .number(last.learningRate)
        try addPaces(to: &line)
        addTimes(to: &line, tokens: state.tokensSinceLog)
        state.lossSum = 0
        state.lossSteps = 0
        state.parts = LossPartSums()
        state.tokensSinceLog = 0
        let keys = ["epoch", "grad_norm", "learning_rate", "loss", "step"] + parts.map(\.name)
        var logged = LogLine(.training, line)
        if details.contains(.gradientNorms), let tensorNorms {
            logged.gradientNorms = try tensorNorms.measure(ensemble)
        }
        try write(logged, &state, historyKeys: keys)
    }

    /// How evenly the ranks have computed since the last training line, and the peak resident memory of the one that has had
    /// most; a notice about one that is slow. Collective.
    private func addPaces(to line: inout JSONObject) throws {
        var own = RankPace(peakMemory: Double(ProcessMemory.peakResident))
        guard ensemble.size > 1 else {
            line["peak_memory"] = .integer(Int64(own.peakMemory))
            return
        }
        own.seconds = clock.seconds(in: .forward) + clock.seconds(in: .backward)
        own.tokens = Double(ownTokensOnClock)
        (own.stolen, own.megahertz) = (host.stolenShare(), HostPace.megahertz())
        let paces = try RankPace.all(own, among: ensemble)
        if let balance = RankPace.balance(paces) { line["balance"] = .number(balance) }
        line["peak_memory"] = .integer(Int64(paces.map(\.peakMemory).max() ?? 0))
        if ensemble.isRoot { stragglers.note(paces).forEach(notice) }
    }

    /// Tokens and main-thread seconds a step, by phase, over the steps since the last training line.
    private func addTimes(to line: inout JSONObject, tokens: Int) {
        clock.enter(.other)
        let steps = Double(max(1, stepsOnClock))
        let seconds = clock.total
        line["tokens"] = .integer(Int64(tokens))
        line["tokens_per_second"] = .number(Double(tokensOnClock) / max(seconds, 1e-9))
        if flopsOnClock > 0 {  // a static model has no products but the loss's
            line["share_of_peak"] = .number(flopsOnClock / max(seconds, 1e-9) / max(fmaPeak, 1))
        }
        line["step_seconds"] = .number(seconds / steps)
        var phases = JSONObject()
        for phase in StepPhase.allCases { phases["\(phase)"] = .number(clock.seconds(in: phase) / steps) }
        line["seconds"] = .object(phases)
        earlierSeconds += seconds
        stepsOnClock = 0
        tokensOnClock = 0
        ownTokensOnClock = 0
        flopsOnClock = 0
        clock.reset()
    }

    /// Logs the closing line: `metrics`, those of the test evaluators, and sums of the run. Collective.
    func writeClosing(
        _ metrics: JSONObject, mainMetrics: [String], _ state: inout TrainerState
    ) throws {
        var line = metrics
        let runtime = PhaseClock.now() - startedAt
        for (key, value) in state.linePlace { line[key] = value }
        line["train_loss"] = .number(state.totalLoss / Double(max(1, state.globalStep)))
        line["train_runtime"] = .number(runtime)
        line["train_samples_per_second"] = .number(Double(ownRows) / max(runtime, 1e-9))
        line["train_steps_per_second"] = .number(Double(ownSteps) / max(runtime, 1e-9))
        try write(LogLine(.closing, line, mainMetrics: mainMetrics), &state)
    }

    /// Appends a line to the history, in which only `historyKeys` are kept if given, and reports it. Collective.
    func write(_ line: LogLine, _ state: inout TrainerState, historyKeys: [String]? = nil) throws {
        var entry = JSONObject()
        for key in historyKeys ?? line.values.keys { entry[key] = line.values[key] }
        state.logHistory.append(entry)
        try ensemble.onRoot {
            try beforeWriting()
            for report in reports { try report.logged(line) }
        }
    }
}

extension TrainerState {
    /// The beginning of every line: step and epoch.
    var linePlace: JSONObject {
        var line = JSONObject()
        line["step"] = .integer(Int64(globalStep))
        line["epoch"] = .number(epoch)
        return line
    }
}
