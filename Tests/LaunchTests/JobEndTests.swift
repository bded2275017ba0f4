// The exit code of a job for every way in which it can end.

import Testing
import TuttiLaunch

@Suite struct JobEndTests {
    private func end(
        _ status: JobEnd.Status, _ text: String = JobOutputTests.ended, stop: JobEnd.Stop = .none, isTutti: Bool = true
    ) -> JobEnd {
        JobEnd(status, JobOutputTests.run(text).output, stop: stop, isTutti: isTutti)
    }

    /// mpirun returns 0 too where a batch system could not start its daemons and nothing ran.
    @Test func successIsRankZerosOwnWord() throws {
        let done = Mpirun.ready + Mpirun.end(0)
        #expect(end(.exited(0), done) == end(.exited(0), "", isTutti: false))
        #expect(end(.exited(0), done).code == 0 && end(.exited(0), done).message == nil)
        let nothing = end(.exited(0), "")
        #expect(nothing.code == 75 && nothing.message?.contains("started no rank") == true)
        let half = end(.exited(0), Mpirun.ready)
        #expect(half.code == 75 && half.message?.contains("before rank zero had ended") == true)
        #expect(end(.exited(0), JobOutputTests.daemonFailed).code == 75)
        #expect(end(.exited(0), JobOutputTests.daemonFailed, isTutti: false).code == 75)
        #expect(
            end(.exited(137), done + JobOutputTests.ended + JobOutputTests.killed).code == 75, "a rank died after all")
    }

    @Test func whatHasNoEndIsEnded() {
        #expect(end(.signaled(9), Mpirun.ready + Mpirun.end(85), stop: .stuck).code == 85)
        #expect(end(.signaled(9), Mpirun.ready + Mpirun.end(0), stop: .stuck).code == 0)
        let late = end(.signaled(9), Mpirun.ready, stop: .late(120))
        #expect(late.code == 75 && late.message?.contains("did not stop within 120 s") == true)
    }

    @Test func hostsAreNamed() {
        func message(_ code: Int32, _ text: String) -> String {
            "\(end(.exited(code), text).code) " + (end(.exited(code), text).message ?? "")
        }
        let line = "ssh: connect to host node09 port 22: No route to host\n"
        #expect(message(255, line + JobOutputTests.daemons).hasPrefix("75 node09 cannot be reached: No route to host"))
        #expect(message(127, JobOutputTests.daemons).hasPrefix("66 a host cannot run Open MPI's daemon"))
        #expect(message(135, JobOutputTests.directory).hasPrefix("66 the working directory does not exist on node02"))
        #expect(message(132, JobOutputTests.program).hasPrefix("66 "))
        #expect(message(1, JobOutputTests.daemonFailed).hasPrefix("75 a host cannot be reached"))
    }

    @Test(arguments: [64, 65, 66, 70, 75, 85] as [Int32])
    func codesOfTheContractPass(_ code: Int32) {
        #expect(end(.exited(code)) == end(.exited(code), isTutti: false))
        #expect(end(.exited(code)).code == code && end(.exited(code)).message == nil, "the rank has said why")
    }

    /// SIGHUP, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGSEGV, SIGPIPE, SIGTERM, SIGXCPU, SIGSYS.
    @Test(arguments: [1, 4, 5, 6, 7, 8, 9, 11, 13, 15, 24, 31] as [Int32])
    func aRankThatASignalKillsIs75(_ signal: Int32) throws {
        let text =
            JobOutputTests.ended
            + JobOutputTests.report(
                "mpirun noticed that process rank 3 with PID 0 on node n2 exited on signal \(signal) (Whatever).")
        for isTutti in [true, false] {
            let end = end(.exited(128 + signal), text, isTutti: isTutti)
            #expect(end.code == 75)
            #expect(try #require(end.message).hasPrefix("rank 3 on n2 was killed by "))
        }
        if signal == 9 { #expect(try #require(end(.exited(137), text).message).contains("SIGKILL (out of memory")) }
    }

    @Test func otherLossesAre75() throws {
        let lost = end(.exited(205), JobOutputTests.lost)
        #expect(lost.code == 75 && lost.message?.hasPrefix("lost contact with node02") == true)
        #expect(end(.signaled(9), "").code == 75)
        #expect(try #require(end(.signaled(9), "").message).contains("mpirun was killed by SIGKILL"))
        let improper = end(.exited(1), JobOutputTests.improper)
        #expect(improper.code == 75 && improper.message?.hasPrefix("rank 1 on vm exited without MPI_Finalize") == true)
        for code in [1, 2, 3, 132, 139, 205, 255] as [Int32] { #expect(end(.exited(code)).code == 75, "\(code)") }
        let daemons = JobOutputTests.report("ORTE was unable to reliably start one or more daemons.\nThis usually ...")
        #expect(end(.exited(255), daemons).code == 75)
        #expect(end(.exited(255), daemons).message?.hasPrefix("a host cannot be reached") == true)
        #expect(JobOutputTests.run(daemons).shown == daemons)
    }

    @Test func whatWillNotPassByItselfIsNot75() {
        #expect(end(.exited(1), JobOutputTests.slots).code == 64)
        #expect(end(.exited(1), "mpirun: Error: option\n").code == 64)
        let missing = JobOutputTests.report(
            "mpirun was unable to launch the specified application as it could not access\nor execute an executable:")
        #expect(end(.exited(132), missing + "2 total processes failed to start\n").code == 66)
        #expect(end(.exited(127)).code == 66, "a library is missing on a host")
    }

    @Test func stopping() {
        #expect(end(.exited(85), stop: .asked(15, forwarded: 12)).code == 85)
        #expect(end(.exited(0), Mpirun.end(0), stop: .asked(15, forwarded: 12)).code == 0, "it was finished anyway")
        #expect(end(.exited(65), stop: .asked(15, forwarded: 12)).code == 65)
        #expect(end(.signaled(15), "", stop: .beforeBegin).code == 85)
        for (signal, code) in [(2, 130), (15, 143), (12, 140)] as [(Int32, Int32)] {
            #expect(end(.exited(1), stop: .killed(signal)).code == code)
            #expect(end(.signaled(9), stop: .killed(signal)).code == code)
        }
        let early = JobOutputTests.report(
            "mpirun noticed that process rank 1 with PID 0 on node n exited on signal 12 (User defined signal 2).")
        #expect(end(.exited(140), early, stop: .asked(15, forwarded: 12)).code == 85, "before it took signals")
        #expect(end(.exited(140), early, stop: .none).code == 75, "somebody else sent it")
    }

    @Test func programsOfOtherKindsKeepTheirCodes() {
        for code in [1, 3, 127, 200] as [Int32] { #expect(end(.exited(code), isTutti: false).code == code) }
        #expect(end(.exited(137), isTutti: false).code == 75, "killed while it started, of which mpirun says nothing")
        #expect(end(.exited(1), "", stop: .asked(15, forwarded: 15), isTutti: false).code == 143)
        #expect(end(.exited(3), stop: .asked(15, forwarded: 15), isTutti: false).code == 3)
        #expect(end(.exited(1), JobOutputTests.improper, isTutti: false).code == 1)
    }
}
