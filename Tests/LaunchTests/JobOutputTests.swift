// What passes of mpirun's standard error, byte for byte, and what is learnt from the reports that do not.

import Testing
import TuttiLaunch

@Suite struct JobOutputTests {
    static let dashes = String(repeating: "-", count: 74)

    static func report(_ text: String) -> String { "\(dashes)\n\(text)\n\(dashes)\n" }

    static let ended = report(
        "Primary job  terminated normally, but 1 process returned\n"
            + "a non-zero exit code. Per user-direction, the job has been aborted.")
    static let killed = report(
        "mpirun noticed that process rank 1 with PID 0 on node vm exited on signal 9 (Killed).")
    static let lost = report(
        """
        ORTE has lost communication with a remote daemon.

          HNP daemon   : [[38741,0],0] on node node01
          Remote daemon: [[38741,0],1] on node node02

        This is usually due to either a failure of the TCP network
        connection to the node, or possibly an internal failure of
        the daemon itself. We cannot recover from this failure, and
        therefore will terminate the job.

        """)
    static let improper = report(
        """
        mpirun has exited due to process rank 1 with PID 0 on
        node vm exiting improperly. There are three reasons this could occur:

        1. this process did not call "init" before exiting, but others in
        the job did.
        """)
    static let slots = report(
        "There are not enough slots available in the system to satisfy the 5\nslots that were requested.")

    /// What comes out when `text` is read in pieces of `size` bytes.
    static func run(_ text: String, size: Int = .max) -> (shown: String, output: JobOutput) {
        var output = JobOutput()
        var shown: [UInt8] = []
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: min(size, max(bytes.count, 1))) {
            shown += output.pass(bytes[start..<min(bytes.count, start + min(size, bytes.count))])
        }
        shown += output.end()
        return (String(decoding: shown, as: UTF8.self), output)
    }

    @Test(arguments: [1, 3, 64, Int.max])
    func reportsOfTheEndAreLeftOut(_ size: Int) {
        let said = "rank 1 on vm: data.csv:3: ragged row\n"
        let report = Self.report(
            "mpirun detected that one or more processes exited with non-zero status, thus causing\nthe job to be "
                + "terminated. The first process to do so was:\n\n  Process name: [[1,1],0]\n  Exit code:    85")
        let text =
            said + "mpirun: Forwarding signal 12 to job\n" + Self.ended + report
            + "[vm:12] 1 more process has sent help message help-mpi-api.txt / mpi-abort\n"
            + "[vm:12] plm:rsh: Warning: setpgid(318,318) failed in parent with errno=Permission denied(13)\n"
            + "[vm:12] Set MCA parameter \"orte_base_help_aggregate\" to 0 to see all help / error messages\n"
        let (shown, output) = Self.run(text, size: size)
        #expect(shown == said)
        #expect(output.rankEnded && output.death == nil && output.lostHost == nil)
    }

    @Test(arguments: [1, 50, Int.max])
    func deathsAreLearnt(_ size: Int) {
        let killed = Self.run("step 1\n" + Self.ended + Self.killed, size: size)
        #expect(killed.shown == "step 1\n")
        let death = killed.output.death
        #expect(death?.rank == 1 && death?.host == "vm" && death?.signal == 9)
        let lost = Self.run(Self.lost, size: size)
        #expect(lost.shown.isEmpty && lost.output.lostHost == "node02")
        let improper = Self.run(Self.improper, size: size)
        #expect(improper.shown.isEmpty && improper.output.improperEnd == "rank 1 on vm")
    }

    @Test(arguments: [1, 50, Int.max])
    func whatNobodyElseSaysPasses(_ size: Int) {
        let other = Self.dashes + "\nresults of my program\n" + Self.dashes + "\n" + Self.dashes + "\n"
        let text =
            "mpirunner says\n-- dashes\n[vm:1] *** Process received signal ***\n" + Self.slots + other
            + "mpirun: Error: option \"--mca\" did not have enough parameters (2)\nno end of line"
        let (shown, output) = Self.run(text, size: size)
        #expect(shown == text)
        #expect(!output.rankEnded)
        #expect(Self.run(Self.dashes, size: size).shown == Self.dashes)
        #expect(Self.run(other + Self.killed, size: size).shown == other, "an odd number of lines of dashes before it")
    }

    @Test func aReportWithoutEndPasses() {
        let text = Self.dashes + "\nmpirun detected that the\n"
        #expect(Self.run(text).shown == text)
        let long = text + String(repeating: "line\n", count: 100)
        #expect(Self.run(long).shown == long)
    }

    /// A progress bar rewrites its line without ever ending it.
    @Test func unfinishedLinesPassAtOnce() {
        var output = JobOutput()
        for text in ["\r█░ 1/2", "\r██ 2/2", " left", "\u{1B}[K", "\r", "\r\u{1B}[K", "x"] {
            #expect(output.pass(Array(text.utf8)) == Array(text.utf8), "\(text)")
        }
        #expect(output.pass(Array("\n--".utf8)) == Array("\n".utf8), "this may become a line of dashes")
        #expect(output.pass(Array(">".utf8)) == Array("-->".utf8))
    }

    static let daemons = report(
        """
        ORTE was unable to reliably start one or more daemons.
        This usually is caused by:

        * not finding the required libraries and/or binaries on
          one or more nodes. Please check your PATH and LD_LIBRARY_PATH
          settings, or configure OMPI with --enable-orterun-prefix-by-default
        """)
    static let daemonFailed = report(
        """
        An ORTE daemon has unexpectedly failed after launch and before
        communicating back to mpirun. This could be caused by a number
        of factors, including an inability to create a connection back
        to mpirun due to a lack of common network interfaces and/or no
        route found between them.
        """)
    static let directory =
        report(
            """
            mpirun was unable to launch the specified application as it could not
            change to the specified working directory:

            Working directory: /tmp/onlyone
            Node: node02

            while attempting to start process rank 2.
            """) + "2 total processes failed to start\n"
    static let program =
        report(
            """
            mpirun was unable to launch the specified application as it could not access
            or execute an executable:

            Executable: /tmp/prog
            Node: node02

            while attempting to start process rank 2.
            """) + "2 total processes failed to start\n"

    @Test(arguments: [
        ("ssh: Could not resolve hostname node09: Temporary failure in name resolution", "node09"),
        ("ssh: connect to host 192.0.2.99 port 22: No route to host", "192.0.2.99"),
        ("ssh: connect to host node09 port 22: Connection refused", "node09"),
        ("user@node09: Permission denied (publickey,password).", "node09"),
    ])
    func hostsThatSSHCannotReachAreNamed(_ line: String, _ host: String) throws {
        for size in [1, 40, Int.max] {
            let (shown, output) = Self.run(line + "\n" + Self.daemons, size: size)
            #expect(shown == line + "\n", "the report lists what it could have been")
            let unreachable = try #require(output.unreachable)
            #expect(output.hostIsUnreachable && unreachable.host == host)
            #expect(line.contains(unreachable.reason) || unreachable.reason.contains("permission denied"))
        }
        #expect(Self.run("ssh: something else\nuser note: Permission denied (x)\n").output.unreachable == nil)
    }

    @Test func missingThingsOnAHostAreLearnt() {
        let directory = Self.run(Self.directory)
        #expect(directory.shown == "2 total processes failed to start\n")
        #expect(directory.output.hostWithoutDirectory == "node02")
        let program = Self.run(Self.program)
        #expect(program.shown == Self.program && program.output.programIsMissing)
        #expect(program.output.hostWithoutDirectory == nil)
        #expect(Self.run(Self.daemonFailed).output.hostIsUnreachable)
    }

    @Test(arguments: [1, 2, 7, Int.max])
    func theLastWordIsTakenOut(_ size: Int) {
        let (shown, output) = Self.run("a" + Mpirun.ready + "b\n" + Mpirun.end(85) + "c\n", size: size)
        #expect(shown == "ab\nc\n" && output.isReady && output.rootEnd == 85)
        let other = "\u{1B}_tutti end x\u{1B}\\\u{1B}_tutti a very long word that never comes to an end\u{1B}_tut"
        #expect(Self.run(other, size: size).shown == other)
        #expect(Self.run(other, size: size).output.rootEnd == nil)
        #expect(Self.run("\u{1B}\u{1B}" + Mpirun.end(0), size: size).output.rootEnd == 0)
    }

    @Test(arguments: [1, 2, 5, Int.max])
    func theSignOfReadinessIsTakenOut(_ size: Int) {
        let (shown, output) = Self.run("a\u{1B}[K" + Mpirun.ready + "b\nc\u{1B}_tutti\n", size: size)
        #expect(shown == "a\u{1B}[Kb\nc\u{1B}_tutti\n" && output.isReady)
        #expect(!Self.run("\u{1B}_tutti ready", size: size).output.isReady)
    }
}
