// What a killed mpirun leaves is cleared: what is ours and dead, and nothing else.

import Foundation
import TestSupport
import Testing
import TuttiLaunch

@Suite struct LeftoversTests {
    private let folder: TemporaryDirectory
    private var sessions: String { folder.path + "/tmp/ompi.host.\(geteuid())" }
    private var memory: String { folder.path + "/shm" }

    init() throws {
        folder = try TemporaryDirectory()
        try FileManager.default.createDirectory(atPath: sessions, withIntermediateDirectories: true)
        try FileManager.default.createDirectory(atPath: memory, withIntermediateDirectories: true)
    }

    private func clear(living: Set<pid_t> = [], user: uid_t = geteuid(), host: String = "host.domain")
        -> Leftovers.Cleared
    {
        Leftovers(
            host: host, user: user, temporary: [folder.path + "/tmp", folder.path + "/none"], sharedMemory: memory,
            isAlive: { living.contains($0) }
        ).clear()
    }

    private func session(_ name: String, job: Int, server: pid_t) throws {
        let path = sessions + "/" + name
        try FileManager.default.createDirectory(
            atPath: path + "/pmix_dstor_ds12_\(server)", withIntermediateDirectories: true)
        try "\(job).0;tcp://192.0.2.1:1\n\(server)\n".write(
            toFile: path + "/contact.txt", atomically: true, encoding: .utf8)
    }

    private func segment(_ name: String) throws {
        try Data(count: 100_000).write(to: URL(fileURLWithPath: memory + "/" + name))
    }

    private var segments: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: memory).sorted() }
    }

    private func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    @Test func whatIsDeadGoes() throws {
        let user = geteuid()
        try session("pid.1001", job: 0x7431_0000, server: 1001)
        try segment("vader_segment.host.\(user).74310001.0")
        try segment("vader_segment.host.\(user).74310001.1")
        let cleared = clear()
        #expect(cleared.folders == 1 && cleared.bytes >= 200_000)
        #expect(try segments.isEmpty)
        #expect(!exists(sessions), "empty, it goes too")
        #expect(clear().folders == 0)
    }

    @Test func whatLivesStays() throws {
        let user = geteuid()
        try session("pid.1001", job: 0x7431_0000, server: 1001)
        try session("pid.1002", job: 0x7432_0000, server: 1002)
        try segment("vader_segment.host.\(user).74310001.0")
        try segment("vader_segment.host.\(user).74320001.0")
        #expect(clear(living: [1001]).folders == 1)
        #expect(exists(sessions + "/pid.1001") && !exists(sessions + "/pid.1002"))
        #expect(try segments == ["vader_segment.host.\(user).74310001.0"])
    }

    @Test func aDaemonsSessionBelongsToItsServer() throws {
        try session("jf.29745", job: 29745 << 16, server: 1003)
        try segment("vader_segment.host.\(geteuid()).74310001.0")
        #expect(clear(living: [1003]).folders == 0)
        #expect(clear().folders == 1)
        #expect(try segments.isEmpty)
    }

    @Test func whatIsNotOursStays() throws {
        let user = geteuid()
        try session("pid.1001", job: 0x7431_0000, server: 1001)
        try session("other", job: 0x7433_0000, server: 1001)
        try FileManager.default.createDirectory(atPath: sessions + "/jf.7", withIntermediateDirectories: true)
        let names = [
            "vader_segment.host.\(user + 1).74310001.0", "vader_segment.elsewhere.\(user).74310001.0",
            "vader_segment.host.\(user).74340001.0", "vader_segment.host.\(user).74310001", "sem.mine",
            "vader_segment.host.\(user).nothex.0", "vader_segment.host.\(user).74310001.0.bak",
        ]
        for name in names { try segment(name) }
        let victim = folder.path + "/victim"
        try FileManager.default.createDirectory(
            atPath: victim + "/pmix_dstor_ds12_5", withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(atPath: sessions + "/pid.1005", withDestinationPath: victim)
        try FileManager.default.createSymbolicLink(
            atPath: memory + "/vader_segment.host.\(user).74310001.9", withDestinationPath: victim)
        #expect(clear(user: user + 1).folders == 0)
        #expect(clear(host: "stranger").folders == 0)
        let cleared = clear()
        #expect(cleared.folders == 1 && cleared.bytes == 0)
        #expect(try segments == (names + ["vader_segment.host.\(user).74310001.9"]).sorted())
        #expect(exists(victim + "/pmix_dstor_ds12_5") && exists(sessions + "/other") && exists(sessions + "/jf.7"))
    }
}
