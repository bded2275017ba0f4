// What happens when one rank fails: nobody hangs, everybody knows who and why.

import Foundation
import Synchronization
import Testing
import TestSupport
import TuttiEnsemble
import TuttiGround

private struct Oops: Error, CustomStringConvertible {
    var description: String { "no milk" }
}

private struct Coded: Error, CustomNSError, CustomStringConvertible {
    var errorCode: Int { 66 }
    var description: String { "no file" }
}

@Suite struct FailureTests {
    @Test func aRankThatThrowsReleasesTheOthersAndIsNamed() throws {
        let seen = Mutex<[Int: TuttiError]>([:])
        #expect(throws: Oops.self) {
            _ = try LocalEnsemble.run(world: 4) { ensemble in
                try ensemble.barrier()
                if ensemble.rank == 2 { throw Oops() }
                do {
                    try ensemble.barrier()
                } catch let error as TuttiError {
                    seen.withLock { $0[ensemble.rank] = error }
                    throw error
                }
            }
        }
        let errors = seen.withLock { $0 }
        #expect(errors.keys.sorted() == [0, 1, 3])
        for error in errors.values {
            #expect(error.rank == 2 && error.problem.contains("no milk") && error.operation == "barrier")
        }
    }

    @Test func aRankThatReturnsEarlyIsNamed() {
        let error = failure(world: 3) { if $0.rank != 1 { try $0.barrier() } }
        #expect(error?.rank == 1 && error?.problem.contains("finished") == true)
    }

    @Test func differentCallsAndLengthsAreErrorsNotHangs() {
        let error = failure(world: 3) { ensemble in
            if ensemble.rank == 2 { return try ensemble.barrier() }
            _ = try ensemble.agree(code: 1)
        }
        #expect(error?.rank == 2 && error?.problem.contains("barrier") == true)
        let other = failure(world: 2) { ensemble in
            var values = [Float](repeating: 0, count: 5 + ensemble.rank)
            try values.withUnsafeMutableBufferPointer { try ensemble.allReduceSum($0) }
        }
        #expect(other?.rank == 1 && other?.problem.contains("allReduceSum of 6") == true)
    }

    @Test func onRootGivesResultOrErrorToAll() throws {
        try withEvery(world: 1...4) { ensemble in
            let result = try ensemble.onRoot { ["a": [1.5, .infinity, Double(ensemble.rank)]] }
            #expect(result == ["a": [1.5, .infinity, 0]])
            func failure(_ cause: any Error) -> TuttiError? {
                #expect(throws: TuttiError.self) { _ = try ensemble.onRoot { () throws -> Int in throw cause } }
            }
            let milk = failure(Oops())
            #expect(milk?.kind == .diverged && milk?.description == "no milk." && milk?.isShared == true)
            #expect(failure(Coded())?.kind == .missingFile)
            var whole = TuttiError(.data, "read", "a.csv:3", "is ragged", hint: "Mend it.", rank: 0)
            whole.isShared = true
            #expect(failure(TuttiError(.data, "read", "a.csv:3", "is ragged", hint: "Mend it.", rank: 0)) == whole)
            // The ranks are still in step.
            let largest = try ensemble.agree(code: Int32(ensemble.rank))
            #expect(largest == Int32(ensemble.size - 1))
        }
    }

    @Test func onRootRunsOnRankZeroOnly() throws {
        let runs = Mutex<[Int]>([])
        _ = try LocalEnsemble.run(world: 3) { ensemble in
            try ensemble.onRoot { runs.withLock { $0.append(ensemble.rank) } }
        }
        #expect(runs.withLock { $0 } == [0])
    }

    @Test func theHandshakeNamesTheRankThatDiffers() throws {
        try withEvery(world: 1...4) { try $0.verifyIdentity("v1 abc") }
        let error = failure(world: 3) { try $0.verifyIdentity($0.rank == 2 ? "v1 abd" : "v1 abc") }
        #expect(error?.rank == 2 && error?.kind == .usage)
        #expect(error?.problem.contains("v1 abd") == true && error?.problem.contains("v1 abc") == true)
    }

    @Test func theWatchdogReportsALongWaitAndNoShortOne() {
        let lines = Mutex<[String]>([])
        let watchdog = Watchdog(who: "rank 5", limit: 0.1) { line in lines.withLock { $0.append(line) } }
        watchdog.enter("barrier")
        watchdog.leave()
        usleep(300_000)
        #expect(lines.withLock { $0.isEmpty })
        watchdog.enter("allReduceSum")
        usleep(300_000)
        watchdog.leave()
        let reported = lines.withLock { $0 }
        #expect(!reported.isEmpty)
        for line in reported { #expect(line.contains("rank 5") && line.contains("allReduceSum, its call 2")) }
    }

    @Test func theWatchdogGivesUpOnceAtItsSecondLimit() {
        let lines = Mutex<[String]>([])
        let watchdog = Watchdog(
            who: "rank 1", limit: 0, abortLimit: 0.1, report: { _ in },
            onAbort: { line in lines.withLock { $0.append(line) } })
        watchdog.enter("barrier")
        usleep(400_000)
        watchdog.leave()
        #expect(lines.withLock { $0.count } == 1)
    }

    /// What a run of `world` ranks ends with.
    private func failure(world: Int, _ body: @escaping @Sendable (any Ensemble) throws -> Void) -> TuttiError? {
        do {
            _ = try LocalEnsemble.run(world: world, body)
            return nil
        } catch {
            return error as? TuttiError
        }
    }
}
