// Mpirun: the command line and environment of Open MPI's launcher for a plan.
//
// One host: no network interface is probed and no ssh is needed (plm isolated, btl self and vader), since containers may
// lack them. Several hosts: variables reach the ranks only through -x (Forwarding), the network's parameters are set
// (NetworkSettings), the working directory must exist everywhere, and every process carries the mark of the job.

import Glibc
import TuttiGround

/// The mpirun to start: program, arguments, environment.
package struct Mpirun: Equatable, Sendable {
    /// The command line, the program first.
    package var command: [String]
    /// The variables of the launcher, which ranks on this host inherit.
    package var environment: [String: String]

    /// The variable that tells ranks that a launcher waits for `ready`; it holds the launcher's command line up to the
    /// subcommand, for messages that say how to restart the job.
    package static let marker = "TUTTI_LAUNCH"

    /// The variable that holds the width of the launcher's terminal, if its standard error is one, so that rank zero may
    /// draw a bar; "output" follows if standard output is a terminal too.
    package static let terminal = "TUTTI_TERMINAL"

    /// What rank zero writes to standard error once all ranks handle signals: an escape sequence that terminals ignore
    /// and that never reaches one, because the launcher removes it.
    package static let ready = "\u{1B}_tutti ready\u{1B}\\"

    /// What rank zero writes when all ranks have ended their work, with its exit code: the last word of a job. Without it
    /// a job has not succeeded, whatever mpirun's code is.
    package static func end(_ code: Int32) -> String { "\u{1B}_tutti end \(code)\u{1B}\\" }

    /// What only a job over several hosts needs.
    package struct Network: Equatable, Sendable {
        /// The mark of the job's processes (`JobProcesses`).
        package var mark: String
        /// The working directory of every rank.
        package var directory: String
        /// Networks or interfaces for the ranks' messages; nil: as Open MPI chooses.
        package var interfaces: String?
        /// Whether the daemons use them too.
        package var isForDaemons = true

        /// The given facts.
        package init(mark: String, directory: String, interfaces: String? = nil) {
            (self.mark, self.directory, self.interfaces) = (mark, directory, interfaces)
        }
    }

    /// The variables that ranks on other hosts get, without those that the user names; empty on one host.
    package private(set) var forwarded: [String] = []

    /// Builds the command.
    ///
    /// - Parameters:
    ///   - program: what each rank runs, with its arguments.
    ///   - isTutti: whether that is a tutti subcommand, which announces that it is ready.
    ///   - launcher: the launcher's own command line up to the subcommand.
    ///   - columns: the width of the terminal that standard error goes to, nil if it goes elsewhere.
    ///   - showsOutput: whether standard output goes to a terminal.
    ///   - singleCopy: whether ranks may read each other's memory.
    ///   - network: nil on one host.
    package init(
        _ mpirun: String, plan: MachinePlan, options: LaunchOptions, program: [String], isTutti: Bool,
        launcher: String, columns: Int? = nil, showsOutput: Bool = false, singleCopy: Bool, isRoot: Bool,
        environment: [String: String], network: Network? = nil
    ) {
        var set = ["OPENBLAS_NUM_THREADS": "\(plan.threads)", "OMP_NUM_THREADS": "\(plan.threads)"]
        if isTutti {
            set[Mpirun.marker] = launcher
            set[Mpirun.terminal] = columns.map { showsOutput ? "\($0) output" : "\($0)" }
            // Otherwise a trap would stall its rank, and the job, for half a minute while Swift unwinds the stack.
            if environment["SWIFT_BACKTRACE"] == nil { set["SWIFT_BACKTRACE"] = "enable=no" }
        }
        self.environment = environment.filter { $0.key != Mpirun.terminal }.merging(set) { $1 }

        command = [mpirun, "-np", "\(plan.ranks)"]
        if isRoot { command.append("--allow-run-as-root") }
        if let hostfile = plan.hostfile {
            command += ["--hostfile", hostfile]
        } else if plan.namesHosts {
            command += ["--host", HostList.list(plan.hosts)]
        }
        if let network { command += ["--wdir", network.directory] }
        command +=
            plan.isBound
            ? ["--map-by", "slot:PE=\(plan.threads)", "--bind-to", "core"]
            : ["--map-by", "slot", "--bind-to", "none"]
        if !plan.isElsewhere, plan.ranks > plan.machine.allCores || plan.isOversubscribed {
            command.append("--oversubscribe")
        }
        if plan.isOversubscribed { command += ["--mca", "mpi_yield_when_idle", "1"] }
        if !singleCopy { command += ["--mca", "btl_vader_single_copy_mechanism", "none"] }
        if !plan.isElsewhere, plan.batch == nil {
            command += ["--mca", "plm", "isolated", "--mca", "btl", "self,vader"]
        } else {
            let names = Forwarding.names(of: self.environment, exported: options.exported)
            forwarded = names.filter { environment[$0] != nil && set[$0] == nil }
            for name in names { command += ["-x", name] }
        }
        if let network {
            command += ["--mca", JobProcesses.parameter, network.mark]
            let settings = NetworkSettings.settings(
                besides: options.mca, environment: environment, network: network)
            for setting in settings { command += ["--mca", setting.key, setting.value] }
        }
        for name in options.exported { command += ["-x", name] }
        for setting in options.mca { command += ["--mca", setting.key, setting.value] }
        command += program
    }

    /// Runs the job without supervision and returns what it printed, mpirun's own reports left out.
    ///
    /// - Throws: code 66 or 75 if mpirun cannot be started.
    package func collect(within seconds: Double) throws(TuttiError) -> CommandResult {
        var result = try ParallelCommands.run([command], environment: environment, within: seconds)[0]
        var output = JobOutput()
        result.errors = String(decoding: output.pass(Array(result.errors.utf8)) + output.end(), as: UTF8.self)
        return result
    }

    /// The path of `name`: itself if it contains a slash, else found in PATH.
    package static func find(_ name: String, environment: [String: String]) -> String? {
        if name.contains("/") { return isProgram(name) ? name : nil }
        for folder in (environment["PATH"] ?? "").split(separator: ":", omittingEmptySubsequences: false) {
            let path = (folder.isEmpty ? "." : folder) + "/" + name
            if isProgram(path) { return path }
        }
        return nil
    }

    /// The command, quoted for a shell.
    package var shellLine: String { Mpirun.shellLine(command) }

    /// Words, quoted for a shell.
    package static func shellLine(_ words: [String]) -> String { words.map(quoted).joined(separator: " ") }

    private static func quoted(_ word: String) -> String {
        let plain = word.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "_-+./,:=@%".contains($0)) }
        return plain && !word.isEmpty ? word : "'" + word.replacing("'", with: "'\\''") + "'"
    }

    private static func isProgram(_ path: String) -> Bool {
        var information = stat()
        return stat(path, &information) == 0 && information.st_mode & S_IFMT == S_IFREG && access(path, X_OK) == 0
    }
}
