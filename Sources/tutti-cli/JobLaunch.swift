// JobLaunch: one job from the plan to its exit code: hosts, mpirun's command line, leftovers, supervision, restarts.

import Foundation
import TuttiEnsembleMPI
import TuttiGround
import TuttiLaunch
import TuttiReports

/// A job of `tutti launch`.
struct JobLaunch {
    private let options: LaunchOptions
    private let program: (words: [String], isTutti: Bool)
    private let mpirun: String
    private let tutti: String
    private let launcher: String
    private let environment: [String: String]
    private let shell: HostShell
    private let singleCopy = MachinePlan.probesSingleCopy()
    private let plan: MachinePlan

    /// Plans the job.
    ///
    /// - Parameters:
    ///   - tutti: the path of this program.
    ///   - launcher: the launcher's command line up to the subcommand.
    /// - Throws: code 64, 65 or 66 about hosts and the machine.
    init(
        _ options: LaunchOptions, program: (words: [String], isTutti: Bool), mpirun: String, tutti: String,
        launcher: String, environment: [String: String]
    ) throws(TuttiError) {
        self.options = options
        self.program = program
        self.mpirun = mpirun
        self.tutti = tutti
        self.launcher = launcher
        self.environment = environment
        let machine = try Machine(root: environment["TUTTI_MACHINE_ROOT"] ?? "")
        let batch = try BatchJob(environment)
        plan = try MachinePlan(options, machine: machine, batch: batch, environment: environment)
        shell = HostShell.of(options, batch: batch, environment: environment)
    }

    /// Runs the job, again if it is to be, and returns its exit code.
    func run(_ signals: SignalQueue) throws(TuttiError) -> Int32 {
        let first = command(plan, mark: JobProcesses.newMark(hostName: Machine.hostName), network: nil)
        if !options.isQuiet || options.isDryRun {
            Self.say(plan.summary(hostName: Machine.hostName))
            Self.say(plan.host(singleCopy: singleCopy))
            if !first.forwarded.isEmpty {
                Self.say("variables for ranks on other hosts: \(first.forwarded.joined(separator: ", "))")
            }
        }
        if options.isDryRun {
            try Output.line(first.shellLine)
            return 0
        }
        let cleared = Leftovers.own(environment).clear()
        if cleared.folders > 0, !options.isQuiet {
            let megabytes = String(format: "%.1f", Double(cleared.bytes) / 1_048_576)
            Self.say("removed leftovers of a killed mpirun: \(megabytes) MB of shared memory")
        }
        var signals = signals
        var restarts = Restarts(limit: options.restarts ?? 0)
        while true {
            let attempt = try attempt(restarts.attempt, signals)
            let number = restarts.attempt
            let pause = restarts.pause(after: attempt.code, isStopped: attempt.isStopped)
            if options.restarts != nil {
                let reason = attempt.reason.map { ": \($0)" } ?? ""
                Self.say("attempt \(number) on \(attempt.place): code \(attempt.code)\(reason)")
            }
            guard let pause else { return attempt.code }
            Self.say("attempt \(restarts.attempt) starts in \(Int(pause)) s")
            if Self.isStopped(within: pause, &signals) {
                Self.say("stopped between two attempts; the same command resumes from the last checkpoint")
                return TuttiError.Kind.preempted.rawValue
            }
        }
    }

    /// How an attempt has ended.
    private struct Attempt {
        var code: Int32
        var reason: String?
        var place: String
        var isStopped = false
    }

    private func attempt(_ number: Int, _ signals: SignalQueue) throws(TuttiError) -> Attempt {
        var plan = plan
        var network: JobNetwork?
        if plan.isElsewhere, !plan.hosts.isEmpty, number > 1 || !options.isUnchecked {
            let check = try check(plan)
            if number > 1 { plan = plan.without(check.deadHosts) }
            let faults = check.faults.filter { fault in
                plan.hosts.contains { $0.name == fault.host } && (!options.isUnchecked || fault.code == .retryable)
            }
            if let kind = faults.first?.code {
                for fault in faults { Self.say("\(fault.line)") }
                return Attempt(code: kind.rawValue, reason: faults[0].problem, place: plan.place)
            }
            guard !plan.hosts.isEmpty else {
                return Attempt(code: TuttiError.Kind.retryable.rawValue, reason: "no host answers", place: "no host")
            }
            network = check.network
            if number > 1, !check.deadHosts.isEmpty {
                Self.say(
                    "goes on without \(check.deadHosts.joined(separator: ", ")): \(plan.summary(hostName: Machine.hostName))"
                )
            }
        }
        let mark = JobProcesses.newMark(hostName: Machine.hostName)
        let sweep = plan.isElsewhere ? HostSweep(shell, hosts: plan.hosts.map(\.name), program: tutti, mark: mark) : nil
        let supervisor = Supervisor(
            command(plan, mark: mark, network: network), isTutti: program.isTutti, patience: options.patience,
            sweep: sweep
        ) { Self.say($0) }
        let end = try supervisor.run(signals) { end in
            if let message = end.message, options.restarts == nil { Self.say(message) }
        }
        return Attempt(code: end.code, reason: end.message, place: plan.place, isStopped: supervisor.isStopped)
    }

    /// Looks at the hosts; says what may slow the job, and the network.
    private func check(_ plan: MachinePlan) throws(TuttiError) -> HostCheck {
        let names = plan.hosts.map(\.name)
        let own = try HostReport.own(names: names, directory: shell.directory, library: MPILibrary.version)
        let check = HostCheck(
            try Preflight(shell, program: tutti).ask(plan.hosts), own: own, threads: plan.threads,
            megabytesPerRank: options.megabytesPerRank, directory: shell.directory)
        if !options.isQuiet {
            for warning in check.warnings { Self.say("warning: \(warning.line)") }
            if let network = check.network { Self.say("network of the ranks: \(network.description)") }
        }
        return check
    }

    private func command(_ plan: MachinePlan, mark: String, network: JobNetwork?) -> Mpirun {
        var settings: Mpirun.Network?
        if plan.isElsewhere {
            settings = Mpirun.Network(mark: mark, directory: shell.directory)
            if let network, network.mustBeNamed {
                settings?.interfaces = network.list
                settings?.isForDaemons = network.reachesLauncher
            }
        }
        return Mpirun(
            mpirun, plan: plan, options: options, program: program.words, isTutti: program.isTutti,
            launcher: launcher, columns: isatty(STDERR_FILENO) == 1 ? Terminal.current?.columns : nil,
            showsOutput: isatty(STDOUT_FILENO) == 1, singleCopy: singleCopy, isRoot: geteuid() == 0,
            environment: environment, network: settings)
    }

    /// Whether a signal asks the job to end during the pause.
    private static func isStopped(within seconds: Double, _ signals: inout SignalQueue) -> Bool {
        let end = Date() + seconds
        while true {
            let rest = end.timeIntervalSinceNow
            guard rest > 0 else { return false }
            if let signal = signals.next(within: rest), SignalQueue.stopping.contains(signal) { return true }
        }
    }

    static func say(_ text: String) { Output.say("tutti launch: \(text)") }
}

extension HostShell {
    /// The way to the hosts of a job with these options.
    static func of(_ options: LaunchOptions, batch: BatchJob?, environment: [String: String]) -> HostShell {
        let isBatch = options.hostfile == nil && options.hosts == nil
        return HostShell(
            environment: environment, mca: options.mca, batch: isBatch ? batch : nil, hostName: Machine.hostName,
            directory: workingDirectory(environment))
    }

    /// The working directory by the name that the user knows it by, which other hosts may share where its real one is this
    /// host's alone (automounted homes).
    private static func workingDirectory(_ environment: [String: String]) -> String {
        let real = FileManager.default.currentDirectoryPath
        guard let named = environment["PWD"], named.hasPrefix("/") else { return real }
        var (one, other) = (stat(), stat())
        let isSame =
            stat(named, &one) == 0 && stat(real, &other) == 0 && one.st_ino == other.st_ino
            && one.st_dev == other.st_dev
        return isSame ? named : real
    }
}
