// HostShell: runs a command on the hosts of a job before and after mpirun, by the way that mpirun itself takes.
//
// This host: directly. Inside Slurm: srun in the job's own allocation. Otherwise the remote shell that Open MPI is told
// to use (plm_rsh_agent, plm_rsh_args), which is ssh. The command runs in a POSIX shell, whatever the login shell is, in the
// launcher's working directory if it exists there.

import Glibc
import TuttiGround

/// The way to the hosts.
package struct HostShell: Sendable {
    /// Seconds after which a host counts as unreachable.
    package static let connectTimeout = 10

    private let agent: [String]
    private let slurmJob: String?
    private let environment: [String: String]
    /// The names of this host.
    private let localNames: Set<String>
    /// Where the command runs, if that exists on the host.
    package let directory: String

    /// - Parameters:
    ///   - mca: the parameters that mpirun gets.
    ///   - batch: the batch job, if the hosts are its own.
    package init(
        environment: [String: String], mca: [LaunchOptions.Setting], batch: BatchJob?, hostName: String,
        directory: String
    ) {
        func setting(_ key: String) -> String? {
            mca.last { $0.key == key }?.value ?? environment["OMPI_MCA_" + key]
        }
        // Open MPI takes the first program of "ssh : rsh" that there is.
        let agents = (setting("plm_rsh_agent") ?? setting("orte_rsh_agent") ?? "ssh").split(separator: ":")
            .map { $0.split(whereSeparator: \.isWhitespace).map(String.init) }.filter { !$0.isEmpty }
        let found = agents.first { Mpirun.find($0[0], environment: environment) != nil } ?? agents.first ?? ["ssh"]
        let isSSH = found[0].split(separator: "/").last == "ssh"
        let quick =
            isSSH ? ["-o", "BatchMode=yes", "-o", "ConnectTimeout=\(HostShell.connectTimeout)", "-x", "-n"] : []
        agent = found + quick + (setting("plm_rsh_args") ?? "").split(whereSeparator: \.isWhitespace).map(String.init)
        slurmJob = batch?.system == .slurm ? batch?.id : nil
        self.environment = environment
        localNames = [hostName, String(hostName.prefix { $0 != "." }), "localhost", "127.0.0.1"]
        self.directory = directory
    }

    /// Whether a name is this host's.
    package func isLocal(_ host: String) -> Bool { localNames.contains(host) }

    /// The command line that runs `words` on a host. PATH and LD_LIBRARY_PATH are the launcher's, as ranks get them.
    package func command(on host: String, _ words: [String]) -> [String] {
        let variables = ["PATH", "LD_LIBRARY_PATH"].compactMap { name in
            environment[name].flatMap { $0.isEmpty ? nil : "\(name)=\($0)" }
        }
        // A rank's variables would make the command take itself for one.
        let cleared = ["-u", "OMPI_COMM_WORLD_SIZE", "-u", "OMPI_COMM_WORLD_RANK", "-u", "PMIX_RANK"]
        let line =
            "cd \(Mpirun.shellLine([directory])) 2>/dev/null; exec "
            + Mpirun.shellLine(["env"] + cleared + variables + words)
        if isLocal(host) { return ["/bin/sh", "-c", line] }
        if let slurmJob {
            return [
                program("srun"), "--jobid=\(slurmJob)", "--overlap", "--nodes=1", "--ntasks=1", "--nodelist=\(host)",
                "--chdir=/", "--quiet", "--input=none", "/bin/sh", "-c", line,
            ]
        }
        return [program(agent[0])] + agent.dropFirst() + [host, Mpirun.shellLine(["exec", "/bin/sh", "-c", line])]
    }

    /// Runs `words` on all hosts at once, each for at most `seconds`.
    ///
    /// - Throws: code 66 if the remote shell is missing, 75 if no process can be started.
    package func run(
        _ words: [String], on hosts: [String], within seconds: Double
    ) throws(TuttiError) -> [CommandResult] {
        try ParallelCommands.run(hosts.map { command(on: $0, words) }, environment: environment, within: seconds)
    }

    /// Why a host could not run a command, in the words of the remote shell.
    package static func reason(_ result: CommandResult) -> String {
        if result.isLate { return "no answer in time" }
        let lines = result.errors.split(whereSeparator: \.isNewline).map(String.init)
        guard let last = lines.last(where: { !$0.hasPrefix("Warning:") }) else {
            return result.code.map { "code \($0)" } ?? "killed by a signal"
        }
        return last
    }

    private func program(_ name: String) -> String { Mpirun.find(name, environment: environment) ?? name }
}
