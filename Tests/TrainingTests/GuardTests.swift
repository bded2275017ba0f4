// The guards of a run: copies that differ, ranks that are slow, faults on purpose.

import Foundation
import Testing
import TuttiGround
import TuttiTraining

@Suite struct GuardTests {
    @Test func theCopiesThatDifferFromTheMajorityAreFound() {
        #expect(ReplicaCheck.odd([7, 7, 7, 7]) == [])
        #expect(ReplicaCheck.odd([7, 7, 9, 7]) == [2])
        #expect(ReplicaCheck.odd([7, 9, 7, 9, 7]) == [1, 3])
        #expect(ReplicaCheck.odd([7, 9]) == [0, 1])  // nobody knows which of two is right
        #expect(ReplicaCheck.odd([7, 7, 9, 9]) == [0, 1, 2, 3])
        #expect(ReplicaCheck.odd([7]) == [])
        #expect(ReplicaCheck.odd([Int]()) == [])
    }

    @Test func everyFlippedBitChangesAFingerprint() {
        var bytes = (0..<203).map { UInt8(truncatingIfNeeded: $0 &* 37) }
        func own(_ bytes: [UInt8]) -> UInt64 { bytes.withUnsafeBytes { fingerprint($0) } }
        let right = own(bytes)
        #expect(own(bytes) == right)
        for place in bytes.indices {
            for bit in 0..<8 {
                bytes[place] ^= 1 << bit
                #expect(own(bytes) != right, "bit \(bit) of byte \(place)")
                bytes[place] ^= 1 << bit
            }
        }
        #expect(own(bytes.dropLast()) != right && own(bytes + [0]) != right)
        #expect(own(Array(repeating: 0, count: 64)) != own(Array(repeating: 0, count: 128)))
    }

    /// Paces of four ranks in a window of ten seconds; rank 2 takes `ratio` times as long a token.
    private func window(_ ratio: Double, tokens: Double = 1000) -> [RankPace] {
        (0..<4).map { rank in
            // Rank 1 has half the tokens and half the seconds: its batch was smaller, it is not fast.
            let share = rank == 1 ? 0.5 : 1
            return RankPace(
                seconds: 10 * share * (rank == 2 ? ratio : 1), tokens: tokens * share, stolen: rank == 2 ? 0.12 : 0,
                megahertz: rank == 2 ? 2100 : 0)
        }
    }

    @Test func aSlowRankIsNamedAfterThreeWindowsAndOnce() throws {
        var watch = StragglerWatch(names: (0..<4).map { "rank \($0) on node0\($0)" })
        #expect(watch.note(window(1.3)) == [] && watch.note(window(1.3)) == [])
        let line = try #require(watch.note(window(1.3)).first)
        #expect(line.hasPrefix("rank 2 on node02 takes 1.30 times as long a token as the median rank"), "\(line)")
        #expect(line.contains("12 %") && line.contains("2100 MHz"))
        for _ in 0..<10 { #expect(watch.note(window(1.32)) == []) }
        #expect(watch.note(window(2)).count == 1)  // much worse than what was said
        for _ in 0..<2 { #expect(watch.note(window(1)) == []) }
        #expect(watch.note(window(1)) == ["rank 2 on node02 keeps pace with the others again."])
        for _ in 0..<10 { #expect(watch.note(window(1)) == []) }
    }

    @Test func whatIsNoStraggler() {
        var watch = StragglerWatch(names: (0..<4).map { "rank \($0)" })
        for round in 0..<30 { #expect(watch.note(window(round % 3 == 0 ? 1 : 1.5)) == []) }  // never three in a row
        for _ in 0..<30 { #expect(watch.note(window(1.1)) == []) }
        var short = StragglerWatch(names: (0..<4).map { "rank \($0)" })
        let instant = window(3).map { RankPace(seconds: $0.seconds / 1000, tokens: $0.tokens) }
        for _ in 0..<100 { #expect(short.note(instant) == []) }  // a second altogether
        #expect(RankPace.balance(window(2)) == 0.5625)  // (10 + 5 + 20 + 10) / 4 / 20
        #expect(RankPace.balance([RankPace(), RankPace()]) == nil)
    }

    @Test func faultsOnPurposeAreRead() throws {
        func read(_ text: String) throws -> InjectedFault? { try InjectedFault(["TUTTI_FAULT": text]) }
        #expect(try InjectedFault([:]) == nil)
        #expect(try read("") == nil)
        let fault = try #require(try read("rank=1,step=7,kind=nan"))
        #expect(fault.rank == 1 && fault.step == 7 && fault.kind == .nan)
        for text in ["rank=1", "rank=1,step=0,kind=nan", "rank=1,step=7,kind=bang", "rank=x,step=7,kind=nan", "nan"] {
            #expect(throws: TuttiError.self, "\(text)") { try read(text) }
        }
    }
}
