// Measurement: the cost of summing a gradient on this machine, compared with copying the same bytes in this process.

import Dispatch
import TuttiEnsemble

/// Prints one JSON line: the best of `repeats` sums of `megabytes`, at once and in buckets of 8 MB, and of a copy of the
/// same size, in milliseconds. Collective.
func measureAllReduce(megabytes: Int, repeats: Int, on ensemble: any Ensemble) throws {
    let count = megabytes * 1_000_000 / MemoryLayout<Float>.stride
    let bucket = 2_000_000
    let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: count)
    let copy = UnsafeMutableBufferPointer<Float>.allocate(capacity: count)
    defer {
        values.deallocate()
        copy.deallocate()
    }
    copy.initialize(repeating: 0)
    values.initialize(repeating: 1)
    var (sum, buckets, move) = (Double.infinity, Double.infinity, Double.infinity)
    for _ in 0..<repeats {
        values.update(repeating: 1)
        try ensemble.barrier()
        sum = min(sum, try milliseconds { try ensemble.allReduceSum(values) })
        try ensemble.barrier()
        let inBuckets = try milliseconds {
            for start in stride(from: 0, to: count, by: bucket) {
                let end = min(start + bucket, count)
                try ensemble.beginAllReduceSum(UnsafeMutableBufferPointer(rebasing: values[start..<end]))
            }
            try ensemble.finishAllReduces()
        }
        buckets = min(buckets, inBuckets)
        try ensemble.barrier()
        move = min(move, milliseconds { _ = copy.update(from: values) })
    }
    precondition(copy[count - 1] == Float(ensemble.size * ensemble.size), "the sum of sums is \(copy[count - 1])")
    say(
        "{\"ranks\": \(ensemble.size), \"megabytes\": \(megabytes), \"allreduce_ms\": \(sum), "
            + "\"buckets_ms\": \(buckets), \"copy_ms\": \(move), \"ratio\": \(buckets / move)}", on: ensemble)
}

private func milliseconds(_ body: () throws -> Void) rethrows -> Double {
    let start = DispatchTime.now().uptimeNanoseconds
    try body()
    return Double(DispatchTime.now().uptimeNanoseconds - start) / 1e6
}
