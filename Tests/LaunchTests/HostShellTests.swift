// Commands on hosts: which remote shell, what it is given, and what becomes of commands that fail, hang or print.

import Foundation
import TestSupport
import Testing
import TuttiGround
import TuttiLaunch

@Suite struct HostShellTests {
    private let folder: TemporaryDirectory

    init() throws { folder = try TemporaryDirectory() }

    /// A remote shell that runs the command here, or does as `host` says.
    private func fakeShell() throws -> String {
        let path = folder.path + "/fake-ssh"
        try """
        #!/bin/sh
        host=$1; shift
        case $host in
            slow) exec sleep 60 ;;
            gone) echo "ssh: connect to host gone port 22: No route to host" >&2; exit 255 ;;
            held) (sleep 30 &) ;;
        esac
        FAKE_HOST=$host exec /bin/sh -c "$*"
        """.write(toFile: path, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        return path
    }

    private func shell(
        _ environment: [String: String] = [:], mca: [LaunchOptions.Setting] = [], batch: BatchJob? = nil
    ) -> HostShell {
        HostShell(
            environment: ["PATH": "/usr/bin:/bin"].merging(environment) { $1 }, mca: mca, batch: batch,
            hostName: "here.domain", directory: folder.path)
    }

    @Test func commandsRunOnAllHostsAtOnce() throws {
        let shell = shell(["OMPI_MCA_plm_rsh_agent": try fakeShell()])
        let begin = Date()
        let results = try shell.run(
            ["/bin/sh", "-c", "pwd; echo \"$FAKE_HOST it's\" >&2; exit 3"], on: ["a", "slow", "gone", "held", "here"],
            within: 3)
        #expect(Date().timeIntervalSince(begin) < 20, "nobody waits for the shell that stays behind")
        let name = URL(fileURLWithPath: folder.path).lastPathComponent
        for place in [0, 3, 4] {
            #expect(
                results[place].code == 3 && results[place].output.hasSuffix("/\(name)\n"), "\(results[place])")
        }
        #expect(results[0].errors == "a it's\n" && results[4].errors == " it's\n", "this host needs no remote shell")
        #expect(results[1].isLate && results[1].code == nil && HostShell.reason(results[1]) == "no answer in time")
        #expect(results[2].code == 255 && HostShell.reason(results[2]).contains("No route to host"))
    }

    @Test func muchOutputIsCollected() throws {
        let results = try shell().run(["/usr/bin/seq", "100000"], on: ["localhost", "here"], within: 20)
        #expect(results.allSatisfy { $0.code == 0 && $0.output.hasSuffix("\n100000\n") && $0.output.count == 588_895 })
    }

    @Test func theWayToAHostIsMpirunsOwn() throws {
        let ssh = shell().command(on: "node02", ["x"])
        #expect(ssh[0].hasSuffix("ssh") && ssh.contains("BatchMode=yes") && ssh.contains("node02"))
        let settings = [
            LaunchOptions.Setting(key: "plm_rsh_agent", value: "nosuch : /bin/echo -n"),
            LaunchOptions.Setting(key: "plm_rsh_args", value: "-p 2222"),
        ]
        let other = shell(["OMPI_MCA_plm_rsh_agent": "ssh"], mca: settings).command(on: "b", ["x"])
        #expect(other.prefix(5) == ["/bin/echo", "-n", "-p", "2222", "b"], "\(other)")
        let job = try BatchJob(["SLURM_JOB_ID": "7", "SLURM_NTASKS": "2"])
        let srun = shell(batch: job).command(on: "n2", ["x"])
        #expect(srun[0].hasSuffix("srun") && srun.contains("--jobid=7") && srun.contains("--nodelist=n2"))
        #expect(shell().command(on: "here", ["x"]).first == "/bin/sh")
        #expect(shell().isLocal("here.domain") && shell().isLocal("localhost") && !shell().isLocal("there"))
    }
}
