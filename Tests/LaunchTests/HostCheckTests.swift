// What is judged before a job starts on several hosts, from made-up reports.

import Foundation
import Testing
import TuttiGround
import TuttiLaunch

@Suite struct HostCheckTests {
    private static func report(
        _ number: Int, name: String? = nil, change: (inout HostReport) -> Void = { _ in }
    ) -> HostReport {
        var report = HostReport(
            hostName: name ?? "node0\(number)", machine: "boot \(number)", program: "abc", library: "Open MPI v4.1.4",
            hasDirectory: true, clock: 100.5, sharedMegabytes: 8000, freeMegabytes: 16_000, cores: 4,
            interfaces: [NetworkInterface(name: "eth0", address: "10.0.0.1\(number)", bits: 24)],
            resolved: ["node01": ["10.0.0.11"], "node02": ["10.0.0.12"]])
        change(&report)
        return report
    }

    private func check(
        _ reports: [HostReport], slots: Int = 2, launcher: HostReport = report(1)
    ) -> HostCheck {
        HostCheck(
            reports.enumerated().map { place, report in
                HostAnswer(host: Host("node0\(place + 1)", slots: slots), report: report, asked: 100...101)
            }, own: launcher, threads: 1, megabytesPerRank: 2048, directory: "/work")
    }

    @Test func whatIsInOrderIsNotRemarkedOn() {
        let check = check([Self.report(1), Self.report(2)])
        #expect(check.findings.isEmpty)
        #expect(check.network?.list == "10.0.0.0/24" && check.network?.mustBeNamed == false)
        #expect(check.network?.description == "eth0 (10.0.0.0/24)")
    }

    private static let wrong: [(TuttiError.Kind?, String, @Sendable (inout HostReport) -> Void)] = [
        (.usage, "another build", { $0.program = "def" }),
        (.usage, "its MPI is Open MPI v5.0.1, here Open MPI v4.1.4", { $0.library = "Open MPI v5.0.1" }),
        (.missingFile, "the working directory /work does not exist", { $0.hasDirectory = false }),
        (nil, "different machines with the same host name, node01", { $0.hostName = "node01" }),
        (.usage, "are the same machine", { $0.machine = "boot 1" }),
        (nil, "its clock differs by 9.0 s", { $0.clock = 110 }),
        (nil, "its clock differs by 50.0 s", { $0.clock = 50 }),
        (nil, "/dev/shm has 8 MB free for 2 ranks", { $0.sharedMegabytes = 8 }),
        (nil, "1000 MB of memory are free for 2 ranks", { $0.freeMegabytes = 1000 }),
        (nil, "2 ranks x 1 thread share 1 core", { $0.cores = 1 }),
        (nil, "does not resolve node01", { $0.resolved["node01"] = [] }),
        (nil, "3 ranks of another job", { $0.otherRanks = 3 }),
        (nil, "still run: 77 (tutti train)", { $0.strays = [StrayProcess(process: 77, command: "tutti train")] }),
    ]

    @Test(arguments: wrong.indices) func oneThingIsWrong(_ index: Int) throws {
        let (code, text, change) = Self.wrong[index]
        let check = check([Self.report(1), Self.report(2) { change(&$0) }])
        let finding = try #require(check.findings.first)
        #expect(check.findings.count == 1, "\(check.findings)")
        #expect(finding.code == code && finding.line.contains(text) && finding.host == "node02", "\(finding)")
        #expect(!finding.advice.isEmpty && check.faults.isEmpty == (code == nil))
    }

    @Test(
        arguments: [
            (
                255, "ssh: connect to host node02 port 22: No route to host\n", TuttiError.Kind.retryable,
                "No route to host"
            ),
            (
                127, "tutti: error while loading shared libraries: libmpi.so.40: cannot open\n", .missingFile,
                "libmpi.so.40"
            ),
            (1, "srun: error\nlast\n", nil, "last"), (nil, "", .retryable, "no answer in time"),
        ] as [(Int32?, String, TuttiError.Kind?, String)])
    func aHostWithoutAReport(_ code: Int32?, _ errors: String, _ kind: TuttiError.Kind?, _ text: String) throws {
        var failure = CommandResult()
        (failure.code, failure.errors, failure.isLate) = (code, errors, code == nil)
        let check = HostCheck(
            [
                HostAnswer(host: Host("node01", slots: 1), report: Self.report(1), asked: 100...101),
                HostAnswer(host: Host("node02", slots: 1), report: nil, failure: failure, asked: 100...101),
            ], own: Self.report(1), threads: 1, megabytesPerRank: 1, directory: "/work")
        let fault = try #require(check.findings.first)
        #expect(fault.code == kind && fault.problem.contains(text) && fault.host == "node02")
        #expect(check.deadHosts == (kind == .retryable ? ["node02"] : []))
    }

    /// docker0 has one address on all hosts; another network connects only some.
    @Test func theNetworkOfTheNamesIsChosen() {
        func several(_ number: Int) -> HostReport {
            Self.report(number) {
                $0.interfaces = [
                    NetworkInterface(name: "docker0", address: "172.17.0.1", bits: 16),
                    NetworkInterface(name: "ib0", address: "192.168.9.\(number)", bits: 26), $0.interfaces[0],
                ]
            }
        }
        let network = check([several(1), several(2)], launcher: several(1)).network
        #expect(network?.list == "10.0.0.0/24" && network?.mustBeNamed == true && network?.reachesLauncher == true)
        #expect(
            check([several(1), several(2)], launcher: Self.report(1) { $0.interfaces = [] }).network?.reachesLauncher
                == false)
        let fast = [several(1), several(2)].map { report in
            var report = report
            report.resolved = ["node01": ["192.168.9.1"], "node02": ["192.168.9.2"]]
            return report
        }
        #expect(check(fast, launcher: fast[0]).network?.list == "192.168.9.0/26")
        let routed = Self.report(2) {
            $0.interfaces = [NetworkInterface(name: "eno1", address: "10.0.7.2", bits: 23)]
            $0.resolved["node02"] = ["10.0.7.2"]
        }
        let both = check([Self.report(1), routed]).network
        #expect(both?.networks == ["10.0.0.0/24", "10.0.6.0/23"] && both?.interfaces == ["eth0", "eno1"])
    }

    @Test func whereNoNetworkConnectsAWarningSaysSo() {
        let hidden = Self.report(2) { $0.interfaces[0].address = "10.1.1.1" }
        let check = check([Self.report(1), hidden])
        #expect(check.network == nil && check.faults.isEmpty)
        #expect(check.warnings.first?.line.contains("no network was found") == true)
    }

    @Test func thisHostReportsItself() throws {
        let report = try HostReport.own(names: ["localhost"], directory: "/nowhere/at/all", library: "x")
        #expect(!report.hasDirectory && report.resolved["localhost"]?.contains("127.0.0.1") == true)
        if FileManager.default.isWritableFile(atPath: "/dev/shm") { #expect(report.sharedMegabytes ?? 0 > 0) }
        #expect(report.program.count == 64 && report.cores >= 1 && report.freeMegabytes > 0)
        let copy = try JSONDecoder().decode(HostReport.self, from: JSONEncoder().encode(report))
        #expect(copy == report)
    }

    @Test func restartsAreForWhatMayPass() {
        var restarts = Restarts(limit: 8)
        let pauses = (0..<9).map { _ in restarts.pause(after: 75, isStopped: false) }
        #expect(pauses == [1, 2, 4, 8, 16, 32, 60, 60, nil])
        for code in [0, 1, 64, 65, 66, 70, 85, 143] as [Int32] {
            var restarts = Restarts(limit: 3)
            #expect(restarts.pause(after: code, isStopped: false) == nil && restarts.attempt == 1, "\(code)")
        }
        var stopped = Restarts(limit: 3)
        #expect(stopped.pause(after: 75, isStopped: true) == nil, "the user has stopped it")
        var none = Restarts(limit: 0)
        #expect(none.pause(after: 75, isStopped: false) == nil)
    }
}
