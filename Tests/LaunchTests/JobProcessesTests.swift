// The processes of a job are found by its mark, woken and ended; nobody else's are touched.

import Foundation
import Testing
import TuttiLaunch

@Suite(.serialized) struct JobProcessesTests {
    private func start(_ environment: [String: String], _ arguments: [String] = ["60"]) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: arguments == ["60"] ? "/bin/sleep" : "/bin/sh")
        process.arguments = arguments
        process.environment = environment
        try process.run()
        return process
    }

    private func state(_ process: Process) throws -> Character? {
        let text = try String(contentsOfFile: "/proc/\(process.processIdentifier)/stat", encoding: .utf8)
        return text[text.index(after: text.lastIndex(of: ")") ?? text.startIndex)...].first { $0 != " " }
    }

    /// Whether it has ended, collected or not; a process below it may go on.
    private func isGone(_ process: Process) -> Bool {
        guard let text = FileManager.default.contents(atPath: "/proc/\(process.processIdentifier)/stat") else {
            return true
        }
        let line = String(decoding: text, as: UTF8.self)
        return line[line.index(after: line.lastIndex(of: ")") ?? line.startIndex)...].hasPrefix(" Z")
    }

    private func wait(until condition: () throws -> Bool) rethrows -> Bool {
        let end = Date() + 10
        while try !condition() {
            guard Date() < end else { return false }
            Thread.sleep(forTimeInterval: 0.02)
        }
        return true
    }

    @Test func whatCarriesTheMarkIsFound() throws {
        let mark = JobProcesses.newMark(hostName: "test")
        #expect(mark != JobProcesses.newMark(hostName: "test"))
        let rank = try start(["OMPI_MCA_tutti_job": mark])
        let daemon = try start([:], ["-c", "sleep 20; :", "--mca", "tutti_job", mark])
        let other = try start(["OMPI_MCA_tutti_job": mark + "0"])
        defer { other.terminate() }
        kill(rank.processIdentifier, SIGSTOP)
        #expect(try wait { try state(rank) == "T" })
        #expect(JobProcesses.sweep(mark, .wake) == JobProcesses.Found(signalled: 1, left: 2))
        #expect(try wait { try state(rank) == "S" })
        kill(rank.processIdentifier, SIGSTOP)
        let ended = JobProcesses.sweep(mark, .end)
        #expect(ended.signalled == 2 && ended.left == 0)
        #expect(wait { isGone(rank) && isGone(daemon) } && other.isRunning)
        #expect(JobProcesses.sweep(mark, .end) == JobProcesses.Found())
    }
}
