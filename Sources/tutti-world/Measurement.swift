// Measurement: what the sum of a gradient costs on this machine, against copying the same bytes in this process.

import Dispatch
import TuttiEnsemble

/// Prints one JSON line: the best of `repeats` all-reduces of `megabytes` and the best copy, in milliseconds.
func measureAllReduce(megabytes: Int, repeats: Int, on ensemble: any Ensemble) throws {
    let count = megabytes * 1_000_000 / MemoryLayout<Float>.stride
    var values = [Float](repeating: 1, count: count)
    var copy = [Float](repeating: 0, count: count)
    var (sum, move) = (Double.infinity, Double.infinity)
    for _ in 0..<repeats {
        for index in values.indices { values[index] = 1 }
        try ensemble.barrier()
        sum = min(sum, try milliseconds { try values.withUnsafeMutableBufferPointer { try ensemble.allReduceSum($0) } })
        try ensemble.barrier()
        move = min(
            move, milliseconds { copy.withUnsafeMutableBufferPointer { _ = $0.update(fromContentsOf: values) } })
    }
    precondition(values[count - 1] == Float(ensemble.size), "the sum is \(values[count - 1])")
    say(
        "{\"ranks\": \(ensemble.size), \"megabytes\": \(megabytes), \"allreduce_ms\": \(sum), \"copy_ms\": \(move), "
            + "\"ratio\": \(sum / move)}", on: ensemble)
}

private func milliseconds(_ body: () throws -> Void) rethrows -> Double {
    let start = DispatchTime.now().uptimeNanoseconds
    try body()
    return Double(DispatchTime.now().uptimeNanoseconds - start) / 1e6
}
