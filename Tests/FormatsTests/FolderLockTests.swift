// One process writes to a folder; a dead owner does not keep it, a living one does.

import Foundation
import Synchronization
import Testing
import TuttiFormats
import TuttiGround

@Suite(.serialized) struct FolderLockTests {
    /// Short times: what takes a minute in earnest takes half a second.
    private var times: FolderLock.Times {
        var times = FolderLock.Times()
        times.beat = 0.05
        times.stale = 0.6
        times.patience = 0.4
        return times
    }

    private func lock(
        _ path: String, times: FolderLock.Times? = nil, waiting: (String) -> Void = { _ in },
        onLoss: @escaping @Sendable () -> Void = {}
    ) throws -> FolderLock {
        try FolderLock(
            path: path, purpose: "test", times: times ?? self.times, waiting: waiting, onLoss: onLoss)
    }

    /// A lock file as this machine writes it, with some members changed, as another owner's.
    private func plant(_ path: String, beat: Int = 7, _ changes: [String: JSONValue]) throws {
        let model = try lock(path)
        let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
        model.release()
        var owner = try #require(try JSONValue.parse(String(lines[1])).object)
        owner["token"] = .string("another")
        for (key, value) in changes { owner[key] = value }
        try Data("beat \(beat)\n\(JSONValue.object(owner).serialized())\n".utf8).write(to: URL(fileURLWithPath: path))
    }

    private func seconds(_ body: () throws -> Void) rethrows -> Double {
        let began = Date()
        try body()
        return Date().timeIntervalSince(began)
    }

    @Test func aLivingOwnerKeepsTheFolderAndIsNamed() throws {
        let scratch = try Scratch()
        let first = try lock(scratch.path + "/lock")
        var said: [String] = []
        let error = #expect(throws: TuttiError.self) {
            _ = try lock(scratch.path + "/lock", waiting: { said.append($0) })
        }
        #expect(error?.kind == .usage)
        #expect(error?.description.contains("process \(getpid())") == true, "\(String(describing: error))")
        #expect(said.count == 1 && said[0].contains("process \(getpid())"), "\(said)")
        try first.check()
        first.release()
        try lock(scratch.path + "/lock").release()
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path).isEmpty)
    }

    @Test func aDeadProcessOrALaterOneOfItsNumberIsTakenOverAtOnce() throws {
        let scratch = try Scratch()
        let path = scratch.path + "/lock"
        let ended = Process()
        ended.executableURL = URL(fileURLWithPath: "/bin/true")
        try ended.run()
        ended.waitUntilExit()
        for dead in [["process": JSONValue.integer(Int64(ended.processIdentifier))], ["started": .string("1")]] {
            try plant(path, dead)
            #expect(try seconds { try lock(path).release() } < 0.4)
        }
        // The same with an owner that lives: it is kept.
        try plant(path, [:])
        #expect(throws: TuttiError.self) { try lock(path) }
    }

    @Test func anOwnerElsewhereIsTakenOverAfterATimeWithoutABeat() throws {
        let scratch = try Scratch()
        let path = scratch.path + "/lock"
        var patient = times
        patient.patience = 5
        try plant(path, ["machine": .string("another"), "host": .string("node7"), "process": .integer(1)])
        let waited = try seconds { try lock(path, times: patient).release() }
        #expect((0.6..<2).contains(waited), "\(waited)")

        // With a beat it is kept, whatever its process number means here.
        try plant(
            path, ["machine": .string("another"), "host": .string("node7"), "process": .integer(Int64(Int32.max))])
        let ends = Atomic<Bool>(false)
        let owner = Thread { [path] in
            guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return }
            let rest = text.split(separator: "\n")[1]
            for beat in 100... where !ends.load(ordering: .relaxed) {
                let file = open(path, O_WRONLY)
                let bytes = Array("beat \(beat)\n\(rest)\n".utf8)
                _ = bytes.withUnsafeBytes { pwrite(file, $0.baseAddress, $0.count, 0) }
                close(file)
                Thread.sleep(forTimeInterval: 0.05)
                if ends.load(ordering: .relaxed) { return }
            }
        }
        owner.start()
        defer { ends.store(true, ordering: .relaxed) }
        patient.patience = 1.5
        let error = #expect(throws: TuttiError.self) { try lock(path, times: patient) }
        #expect(error?.kind == .usage && error?.description.contains("node7") == true)
    }

    @Test func whoWasTakenOverLearnsItAndLeavesTheOthersLockAlone() throws {
        let scratch = try Scratch()
        let path = scratch.path + "/lock"
        let losses = Atomic<Int>(0)
        let own = try lock(path, onLoss: { losses.wrappingAdd(1, ordering: .relaxed) })
        // As another process does it: a file of its own is renamed over this one.
        try plantAside(path)
        let deadline = Date(timeIntervalSinceNow: 5)
        while losses.load(ordering: .relaxed) == 0, Date() < deadline { usleep(10000) }
        #expect(losses.load(ordering: .relaxed) == 1)
        let error = #expect(throws: TuttiError.self) { try own.check() }
        #expect(error?.kind == .retryable && error?.description.contains("node9") == true)
        let before = try Data(contentsOf: URL(fileURLWithPath: path))
        own.release()
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == before)
    }

    private func plantAside(_ path: String) throws {
        let text = try String(contentsOfFile: path, encoding: .utf8)
        var owner = try #require(try JSONValue.parse(String(text.split(separator: "\n")[1])).object)
        owner["token"] = .string("another")
        owner["host"] = .string("node9")
        owner["machine"] = .string("another")
        try Data("beat 1\n\(JSONValue.object(owner).serialized())\n".utf8)
            .write(to: URL(fileURLWithPath: path + ".other"))
        #expect(rename(path + ".other", path) == 0)
    }

    @Test func aDeletedLockIsMadeAgain() throws {
        let scratch = try Scratch()
        let path = scratch.path + "/lock"
        let own = try lock(path)
        unlink(path)
        let deadline = Date(timeIntervalSinceNow: 5)
        while !FileManager.default.fileExists(atPath: path), Date() < deadline { usleep(10000) }
        try own.check()
        #expect(throws: TuttiError.self) { try lock(path) }
        own.release()
    }

    /// A process that died while it was taking over does not keep others from it.
    @Test func aTurnOfADeadProcessIsEnded() throws {
        let scratch = try Scratch()
        let path = scratch.path + "/lock"
        try plant(path, ["started": .string("1")])
        try plant(path + ".turn", ["started": .string("1")])
        let own = try lock(path)
        own.release()
        #expect(!FileManager.default.fileExists(atPath: path + ".turn"))
    }

    /// Many find the same dead owner at the same time: one gets the lock, and only then the next.
    @Test func ofManyThatTakeOverOneGetsTheLock() throws {
        let scratch = try Scratch()
        let path = scratch.path + "/lock"
        var patient = times
        patient.patience = 20
        for _ in 0..<10 {
            try plant(path, ["started": .string("1")])
            let holding = Atomic<Int>(0)
            let most = Atomic<Int>(0)
            let failures = Atomic<Int>(0)
            let done = DispatchGroup()
            for _ in 0..<8 {
                done.enter()
                Thread { [path, patient] in
                    defer { done.leave() }
                    do {
                        let own = try FolderLock(path: path, purpose: "test", times: patient, onLoss: {})
                        let now = holding.wrappingAdd(1, ordering: .relaxed).newValue
                        if now > most.load(ordering: .relaxed) { most.store(now, ordering: .relaxed) }
                        usleep(2000)
                        holding.wrappingSubtract(1, ordering: .relaxed)
                        own.release()
                    } catch {
                        failures.wrappingAdd(1, ordering: .relaxed)
                    }
                }.start()
            }
            done.wait()
            #expect(most.load(ordering: .relaxed) == 1)
            #expect(failures.load(ordering: .relaxed) == 0)
        }
    }
}
