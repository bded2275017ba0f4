// `tutti launch-links`: measures latency and bandwidth between the hosts of its ranks, one rank a host, for `tutti doctor`.
//
// Messages go the way that training's do, through the ensemble: a pair of ranks broadcasts in turns, so a round trip holds
// the hand-over to the thread that owns MPI as well. All pairs are measured, those of different hosts at the same time.

import ArgumentParser
import Foundation
import TuttiEnsemble
import TuttiLaunch

struct LaunchLinksCommand: RankedCommand {
    static let configuration = CommandConfiguration(
        commandName: "launch-links", abstract: "Measure the links between ranks.", shouldDisplay: false)

    private static let roundTrips = 100
    private static let largeBytes = 4 << 20
    private static let largeTrips = 6

    func run(on ensemble: any Ensemble) throws {
        let hosts = try ensemble.gather(Array(Machine.hostName.utf8)).map { String(decoding: $0, as: UTF8.self) }
        var found: [LinkMatrix.Pair] = []
        for round in LinkMatrix.rounds(ensemble.size) {
            let own = round.first { $0.0 == ensemble.rank || $0.1 == ensemble.rank }
            let pair = try ensemble.split(color: own?.0 ?? ensemble.rank)
            if let own {
                let (latency, bandwidth) = try Self.measure(pair)
                if ensemble.rank == own.0 {
                    found.append(LinkMatrix.Pair(first: own.0, second: own.1, latency: latency, bandwidth: bandwidth))
                }
            }
            try ensemble.barrier()
        }
        let all = try ensemble.gather([UInt8](try JSONEncoder().encode(found)))
        guard ensemble.isRoot else { return }
        let pairs = try all.flatMap { try JSONDecoder().decode([LinkMatrix.Pair].self, from: Data($0)) }
        let matrix = LinkMatrix(hosts: hosts, pairs: pairs.sorted { ($0.first, $0.second) < ($1.first, $1.second) })
        try Output.line(String(decoding: try JSONEncoder().encode(matrix), as: UTF8.self))
    }

    /// Microseconds one way, and Mbit/s, between the two ranks of `pair`.
    private static func measure(_ pair: any Ensemble) throws -> (latency: Double, bandwidth: Double) {
        _ = try trip(pair, bytes: 1, times: 10)
        let small = try trip(pair, bytes: 1, times: roundTrips)
        _ = try trip(pair, bytes: largeBytes, times: 1)
        let large = try trip(pair, bytes: largeBytes, times: largeTrips)
        return (small * 1e6, Double(largeBytes) * 8 / 1e6 / large)
    }

    /// Seconds that a message of `bytes` takes one way, the mean over `times` round trips.
    private static func trip(_ pair: any Ensemble, bytes: Int, times: Int) throws -> Double {
        var message = [UInt8](repeating: 1, count: bytes)
        try pair.barrier()
        let begin = Date()
        for _ in 0..<times {
            for root in 0..<2 { try message.withUnsafeMutableBytes { try pair.broadcast($0, root: root) } }
        }
        return Date().timeIntervalSince(begin) / Double(2 * times)
    }
}
