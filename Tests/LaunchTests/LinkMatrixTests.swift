// The links between hosts: who is measured when, and what is called slow.

import Testing
import TuttiLaunch

@Suite struct LinkMatrixTests {
    @Test(arguments: 0...9)
    func everyTwoHostsMeetOnce(_ count: Int) {
        let rounds = LinkMatrix.rounds(count)
        var met: Set<String> = []
        for round in rounds {
            #expect(Set(round.flatMap { [$0.0, $0.1] }).count == 2 * round.count, "one partner a round")
            for (one, other) in round {
                #expect(one < other && other < count)
                met.insert("\(one) \(other)")
            }
        }
        #expect(met.count == count * (count - 1) / 2 && rounds.reduce(0) { $0 + $1.count } == met.count)
    }

    private func matrix(_ change: (inout LinkMatrix.Pair) -> Void) -> LinkMatrix {
        let pairs = LinkMatrix.rounds(4).flatMap { $0 }.map { one, other in
            var pair = LinkMatrix.Pair(first: one, second: other, latency: 40, bandwidth: 900)
            change(&pair)
            return pair
        }
        return LinkMatrix(hosts: ["n1", "n2", "n3", "n4"], pairs: pairs)
    }

    @Test func whatStandsOutIsNamed() {
        #expect(matrix { _ in }.judgement.isEmpty)
        #expect(matrix { $0.bandwidth += Double($0.first * 50) }.judgement.isEmpty, "no two links are equal")
        let slow = matrix { if ($0.first, $0.second) == (1, 2) { $0.bandwidth = 100 } }
        #expect(slow.judgement == ["n2 and n3: 100 Mbit/s, where the median is 900"])
        let far = matrix { if ($0.first, $0.second) == (0, 3) { $0.latency = 900 } }
        #expect(far.judgement == ["n1 and n4: 900 us, where the median is 40"])
        let host = matrix { if $0.second == 3 { $0.bandwidth = 90 } }.judgement
        #expect(host.count == 4 && host.last == "n4: slow to all others: look at its link")
    }

    @Test func theTableShowsBoth() {
        let table = matrix { if ($0.first, $0.second) == (0, 1) { ($0.latency, $0.bandwidth) = (41, 899) } }.table
        #expect(table.count == 5 && table[1].split(separator: " ") == ["n1", "-", "41", "40", "40"])
        #expect(table[2].split(separator: " ") == ["n2", "899", "-", "40", "40"])
        #expect(LinkMatrix(hosts: ["a"], pairs: []).judgement.isEmpty)
    }
}
