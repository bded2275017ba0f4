// HostCheck: judges the reports of the hosts of a job before mpirun starts: what would stop it, what may, and over which
// network the ranks talk.
//
// A fault stops the job with a code of the contract: what passes by itself is 75 (a host that does not answer), the rest is 64
// or 66. A warning does not. Each names the host and says what to do.

import TuttiGround

/// The answer of a host, or why there is none.
package struct HostAnswer: Sendable {
    /// The host.
    package var host: Host
    /// Its report, or nil.
    package var report: HostReport?
    /// How the probe ended without a report.
    package var failure: CommandResult?
    /// The launcher's clock before the probe started and after it had ended.
    package var asked: ClosedRange<Double>

    /// Seconds by which its clock is ahead, beyond what the question took; 0 without a report.
    package var skew: Double {
        guard let clock = report?.clock else { return 0 }
        return clock - min(max(clock, asked.lowerBound), asked.upperBound)
    }

    /// The given facts.
    package init(host: Host, report: HostReport?, failure: CommandResult? = nil, asked: ClosedRange<Double>) {
        (self.host, self.report, self.failure, self.asked) = (host, report, failure, asked)
    }
}

/// What is wrong with the hosts of a job.
package struct HostCheck: Sendable {
    /// A fault or a warning.
    package struct Finding: Equatable, Sendable {
        /// The host.
        package var host: String
        /// What is wrong.
        package var problem: String
        /// What to do.
        package var advice: String
        /// The code that a fault ends the job with; nil: a warning.
        package var code: TuttiError.Kind?

        /// In one line.
        package var line: String { "\(host): \(problem). \(advice)" }
    }

    /// What was found, faults first.
    package private(set) var findings: [Finding] = []
    /// The network of the ranks.
    package private(set) var network: JobNetwork?

    /// What stops the job; the first decides the code.
    package var faults: [Finding] { findings.filter { $0.code != nil } }
    /// What does not stop it.
    package var warnings: [Finding] { findings.filter { $0.code == nil } }
    /// Hosts that do not answer.
    package var deadHosts: [String] { faults.filter { $0.code == .retryable }.map(\.host) }

    private static let clockTolerance = 1.0
    private static let sharedMegabytesPerRank = 16

    /// Judges the answers.
    ///
    /// - Parameters:
    ///   - own: the launcher's own report: its program and library are what the hosts must have.
    ///   - megabytesPerRank: memory that a rank is planned with.
    ///   - directory: the job's working directory.
    package init(_ answers: [HostAnswer], own: HostReport, threads: Int, megabytesPerRank: Int, directory: String) {
        for answer in answers {
            if let report = answer.report {
                compare(report, of: answer.host, with: own, directory: directory)
                weigh(report, of: answer, threads: threads, megabytesPerRank: megabytesPerRank)
            } else if let failure = answer.failure {
                explain(failure, of: answer.host.name)
            }
        }
        let known = answers.compactMap { answer in answer.report.map { (answer.host.name, $0) } }
        tellApart(known)
        resolve(known)
        network = JobNetwork(known, launcher: own)
        if known.count > 1, network == nil {
            add(
                known[0].0, "no network was found that connects all hosts by the addresses of their names",
                "Name one: --mca btl_tcp_if_include NETWORK/BITS.", nil)
        }
        findings = faults + warnings
    }

    private mutating func add(_ host: String, _ problem: String, _ advice: String, _ code: TuttiError.Kind?) {
        findings.append(Finding(host: host, problem: problem, advice: advice, code: code))
    }

    private func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }

    /// Why there is no report.
    private mutating func explain(_ result: CommandResult, of host: String) {
        let reason = HostShell.reason(result)
        switch result.code {
        case 126, 127:
            add(
                host, "cannot run tutti: \(reason)",
                "Install it and its libraries there at the same path, or share the folder.", .missingFile)
        case 255, nil:
            add(host, "cannot be reached: \(reason)", "Try: ssh \(host) true.", .retryable)
        case let code?:
            // Whatever keeps the probe away, such as an srun that cannot share an allocation, need not keep mpirun away.
            add(host, "could not be looked at (code \(code)): \(reason)", "mpirun may still reach it.", nil)
        }
    }

    private mutating func compare(_ report: HostReport, of host: Host, with own: HostReport, directory: String) {
        if !report.hasDirectory {
            add(
                host.name, "the working directory \(directory) does not exist there",
                "Start in a folder that all hosts share.", .missingFile)
        }
        if report.program != own.program {
            add(
                host.name, "its tutti is another build (\(report.program.prefix(12)), here \(own.program.prefix(12)))",
                "Install the same one on all hosts.", .usage)
        }
        if report.library != own.library {
            add(
                host.name, "its MPI is \(report.library), here \(own.library)",
                "Install the same version on all hosts: Open MPI cannot mix them.", .usage)
        }
    }

    private mutating func weigh(_ report: HostReport, of answer: HostAnswer, threads: Int, megabytesPerRank: Int) {
        let (host, slots) = (answer.host.name, answer.host.slots)
        let skew = abs(answer.skew)
        if skew > Self.clockTolerance {
            let seconds = (skew * 10).rounded() / 10
            add(host, "its clock differs by \(seconds) s", "Run chrony or ntpd: dates of files and locks differ.", nil)
        }
        if let shared = report.sharedMegabytes, shared < slots * Self.sharedMegabytesPerRank {
            add(
                host, "/dev/shm has \(shared) MB free for \(count(slots, "rank"))",
                "Enlarge it (containers: --shm-size), or set TUTTI_NODE_MEMORY=private.", nil)
        }
        if report.freeMegabytes < slots * megabytesPerRank {
            add(
                host,
                "\(report.freeMegabytes) MB of memory are free for \(count(slots, "rank")) of \(megabytesPerRank) MB",
                "Start fewer ranks there, or say --memory-per-rank.", nil)
        }
        if slots * threads > report.cores {
            add(
                host, "\(count(slots, "rank")) x \(count(threads, "thread")) share \(count(report.cores, "core"))",
                "Give it fewer slots, or fewer --threads.", nil)
        }
        if !report.strays.isEmpty {
            let list = report.strays.map { "\($0.process) (\($0.command))" }.joined(separator: ", ")
            add(host, "ranks of a job that is over still run: \(list)", "End them there with kill.", nil)
        }
        if report.otherRanks > 0 {
            add(host, "\(count(report.otherRanks, "rank")) of another job there", "The jobs slow each other down.", nil)
        }
    }

    /// Different machines of one name, and one machine under two names.
    private mutating func tellApart(_ known: [(name: String, report: HostReport)]) {
        for (place, one) in known.enumerated() {
            for other in known[..<place] {
                let isSame = one.report.machine == other.report.machine
                if !isSame, one.report.hostName == other.report.hostName {
                    add(
                        one.name,
                        "it and \(other.name) are different machines with the same host name, "
                            + one.report.hostName, "Give each its own (hostname): messages name hosts by it.", nil)
                } else if isSame {
                    add(
                        one.name, "it and \(other.name) are the same machine", "List it once, with the sum of slots.",
                        .usage)
                }
            }
        }
    }

    private mutating func resolve(_ known: [(name: String, report: HostReport)]) {
        for (name, report) in known {
            let unknown = report.resolved.filter { $0.value.isEmpty && $0.key != name }.keys.sorted()
            if !unknown.isEmpty {
                add(
                    name, "does not resolve \(unknown.joined(separator: ", "))", "Add them to its DNS or /etc/hosts.",
                    nil)
            }
        }
    }
}

/// The network over which ranks of different hosts talk.
package struct JobNetwork: Equatable, Sendable {
    /// The networks in which the hosts' names are: 10.0.0.0/24.
    package var networks: [String]
    /// The interfaces of that network, by their names.
    package var interfaces: [String]
    /// Whether a host has other interfaces too, so that Open MPI must be told.
    package var mustBeNamed: Bool
    /// Whether the launcher's host is in that network, so that the daemons can use it as well.
    package var reachesLauncher: Bool

    /// The networks of the addresses to which the hosts' names resolve on other hosts; nil if a host has no such interface.
    package init?(_ known: [(name: String, report: HostReport)], launcher: HostReport) {
        (networks, interfaces) = ([], [])
        for (name, report) in known {
            let addresses = ([launcher] + known.map(\.report)).flatMap { $0.resolved[name] ?? [] }
            guard let found = report.interfaces.first(where: { addresses.contains($0.address) }) else { return nil }
            if !networks.contains(found.network) { networks.append(found.network) }
            if !interfaces.contains(found.name) { interfaces.append(found.name) }
        }
        guard !known.isEmpty else { return nil }
        let chosen = Set(networks)
        mustBeNamed = known.contains { $0.report.interfaces.contains { !chosen.contains($0.network) } }
        reachesLauncher = launcher.interfaces.contains { chosen.contains($0.network) }
    }

    /// What Open MPI is given.
    package var list: String { networks.joined(separator: ",") }

    /// In words.
    package var description: String {
        "\(interfaces.joined(separator: ", ")) (\(list))" + (mustBeNamed ? ", the other interfaces are left alone" : "")
    }
}
