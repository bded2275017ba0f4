// `tutti doctor` over several hosts: the checks that `tutti launch` makes as a table, and the links between the hosts.

import Foundation
import TuttiEnsembleMPI
import TuttiFormats
import TuttiGround
import TuttiLaunch

/// Looks at hosts.
struct HostsDoctor {
    /// Seconds that all links have to be measured.
    private static let limit = 300.0

    private let options: LaunchOptions
    private let plan: MachinePlan
    private let shell: HostShell
    private let environment = ProcessInfo.processInfo.environment
    private let tutti: String

    /// - Throws: code 64, 65 or 66 about the hosts.
    init(_ options: LaunchOptions) throws(TuttiError) {
        self.options = options
        let batch = try BatchJob(environment)
        plan = try MachinePlan(
            options, machine: try Machine(root: environment["TUTTI_MACHINE_ROOT"] ?? ""), batch: batch,
            environment: environment)
        shell = HostShell.of(options, batch: batch, environment: environment)
        tutti = try LaunchCommand.ownPath()
    }

    /// Prints what it finds.
    ///
    /// - Throws: the first fault, after everything is printed.
    func run(json: Bool) throws {
        let names = plan.hosts.map(\.name)
        let own = try HostReport.own(names: names, directory: shell.directory, library: MPILibrary.version)
        let answers = try Preflight(shell, program: tutti).ask(plan.hosts)
        let check = HostCheck(
            answers, own: own, threads: plan.threads, megabytesPerRank: options.megabytesPerRank,
            directory: shell.directory)
        var (matrix, problem) = (LinkMatrix?.none, "")
        if check.faults.isEmpty, names.count > 1 { (matrix, problem) = try links(check.network) }
        if json {
            try Output.line(JSONValue.object(object(answers, check, matrix, problem)).serialized(indent: 2))
        } else {
            try print(answers, check, matrix, problem)
        }
        if let fault = check.faults.first, let kind = fault.code {
            throw TuttiError(kind, "", fault.host, fault.problem, hint: fault.advice)
        }
        if !problem.isEmpty { throw TuttiError(.retryable, "measure the links", "mpirun", problem) }
    }

    /// The links between the hosts, one rank on each; or why they could not be measured.
    private func links(_ network: JobNetwork?) throws(TuttiError) -> (LinkMatrix?, String) {
        var options = options
        (options.hostfile, options.hosts) = (nil, plan.hosts.map { "\($0.name):1" }.joined(separator: ","))
        (options.ranks, options.threads) = (nil, 1)
        let plan = try MachinePlan(options, machine: plan.machine, batch: nil)
        var settings = Mpirun.Network(
            mark: JobProcesses.newMark(hostName: Machine.hostName), directory: shell.directory)
        if let network, network.mustBeNamed {
            (settings.interfaces, settings.isForDaemons) = (network.list, network.reachesLauncher)
        }
        let command = Mpirun(
            try LaunchCommand.mpirun(environment), plan: plan, options: options, program: [tutti, "launch-links"],
            isTutti: true, launcher: "", singleCopy: MachinePlan.probesSingleCopy(), isRoot: geteuid() == 0,
            environment: environment, network: settings)
        let result = try command.collect(within: Self.limit)
        do {
            let line = result.output.split(separator: "\n").last { $0.hasPrefix("{") } ?? ""
            return (try JSONDecoder().decode(LinkMatrix.self, from: Data(line.utf8)), "")
        } catch {
            return (nil, HostShell.reason(result))
        }
    }

    private func print(
        _ answers: [HostAnswer], _ check: HostCheck, _ matrix: LinkMatrix?, _ problem: String
    ) throws {
        var rows = [["host", "ranks", "cores", "memory MB", "shm MB", "clock s", "addresses"]]
        for answer in answers {
            guard let report = answer.report else {
                rows.append([answer.host.name, "\(answer.host.slots)", "-", "-", "-", "-", "no answer"])
                continue
            }
            let addresses = report.interfaces.map { "\($0.name) \($0.address)/\($0.bits)" }.joined(separator: ", ")
            rows.append([
                answer.host.name, "\(answer.host.slots)", "\(report.cores)", "\(report.freeMegabytes)",
                report.sharedMegabytes.map { "\($0)" } ?? "-", String(format: "%+.1f", answer.skew), addresses,
            ])
        }
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        for row in rows {
            let cells = zip(row, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }
            try Output.line(cells.joined(separator: "  "))
        }
        for fault in check.faults { try Output.line("fault: \(fault.line)") }
        for warning in check.warnings { try Output.line("warning: \(warning.line)") }
        if let network = check.network { try Output.line("network of the ranks: \(network.description)") }
        guard let matrix else {
            return try Output.line("links: not measured" + (problem.isEmpty ? "" : ": \(problem)"))
        }
        try Output.line("links: microseconds one way above the diagonal, Mbit/s below it")
        for line in matrix.table { try Output.line(line) }
        let judgement = matrix.judgement
        for line in judgement { try Output.line("slow: \(line)") }
        if judgement.isEmpty { try Output.line("no pair is much slower than the others") }
    }

    private func object(
        _ answers: [HostAnswer], _ check: HostCheck, _ matrix: LinkMatrix?, _ problem: String
    ) -> JSONObject {
        var object = JSONObject()
        object["hosts"] = .array(
            answers.map { answer in
                var host = JSONObject()
                host["host"] = .string(answer.host.name)
                host["ranks"] = .integer(Int64(answer.host.slots))
                host["answers"] = .bool(answer.report != nil)
                guard let report = answer.report else { return .object(host) }
                host["cores"] = .integer(Int64(report.cores))
                host["free_memory_mb"] = .integer(Int64(report.freeMegabytes))
                host["free_shared_memory_mb"] = report.sharedMegabytes.map { .integer(Int64($0)) } ?? .null
                host["clock_skew_seconds"] = .number(answer.skew)
                host["mpi"] = .string(report.library)
                host["program_sha256"] = .string(report.program)
                host["interfaces"] = .array(
                    report.interfaces.map { .string("\($0.name) \($0.address)/\($0.bits)") })
                return .object(host)
            })
        object["faults"] = .array(check.faults.map { .string($0.line) })
        object["warnings"] = .array(check.warnings.map { .string($0.line) })
        object["networks"] = .array((check.network?.networks ?? []).map { .string($0) })
        guard let matrix else {
            object["links"] = problem.isEmpty ? .null : .string(problem)
            return object
        }
        object["links"] = .array(
            matrix.pairs.map { pair in
                var link = JSONObject()
                link["hosts"] = .array([.string(matrix.hosts[pair.first]), .string(matrix.hosts[pair.second])])
                link["latency_us"] = .number(pair.latency)
                link["mbit_per_second"] = .number(pair.bandwidth)
                return .object(link)
            })
        object["slow"] = .array(matrix.judgement.map { .string($0) })
        return object
    }
}
