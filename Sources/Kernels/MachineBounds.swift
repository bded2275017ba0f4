// The peak performance of this machine: the bounds that `tutti bench` compares kernels with.
//
// Each call is one sample on all threads of `Parallel`; callers take several, between the measurements that they bound,
// because the speed of a shared machine drifts. Bytes are counted as in STREAM: a copy counts its reads and writes, but
// not the read caused by a store to a new line.

import CTuttiKernels
import Glibc

/// A stream over memory.
package enum MemoryStream: String, Sendable, CaseIterable {
    /// out = factor * x, 8 bytes per element.
    case copy
    /// out = x + factor * y, 12 bytes per element.
    case triad
    /// x = factor * x, 8 bytes per element: in place, so that a store hits the line that the load fetched.
    case update
    /// A sum, 4 bytes per element.
    case read
    /// The C library's memcpy, 8 bytes per element.
    case memcpy

    /// Bytes per element of the arrays.
    package var bytesPerElement: Int {
        switch self {
        case .copy, .update, .memcpy: 8
        case .triad: 12
        case .read: 4
        }
    }
}

/// Samples of the machine's limits.
package final class MachineBounds {
    /// Elements of each of the three stream arrays.
    package let streamElements: Int
    /// The instruction level of the FMA loop: 4 x86-64-v4 (AVX-512), 3 x86-64-v3 (AVX2), 0 the baseline.
    package let fmaLevel: Int

    private let fmaRounds: Int64
    private let sinks: UnsafeMutablePointer<Float>  // one cache line per thread
    private let sinkCount = Parallel.threads
    private var arena = Arena()
    private let arrays: (UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>)
    private static let floatsPerLine = 16
    private static let levels: [Int32] = [4, 3, 0]

    /// Bytes of one array that is larger than the last cache: four times its size, at least 64 MiB and at most 256 MiB,
    /// because the C library may report the caches of a whole package as one.
    package static var defaultStreamBytes: Int { min(max(64 << 20, 4 * lastCacheBytes), 256 << 20) }

    /// Bytes of the last-level cache from the C library; 32 MB if unknown.
    private static var lastCacheBytes: Int {
        let sizes = [_SC_LEVEL3_CACHE_SIZE, _SC_LEVEL2_CACHE_SIZE].map { sysconf(Int32($0)) }
        return sizes.first { $0 > 0 } ?? 32 << 20
    }

    /// Prepares arrays of `streamBytes` each, and the length of an FMA sample: about `fmaSeconds`.
    package init(streamBytes: Int = MachineBounds.defaultStreamBytes, fmaSeconds: Double = 0.01) {
        precondition(streamBytes >= 64, "MachineBounds: arrays of \(streamBytes) bytes")
        let count = streamBytes / MemoryLayout<Float>.stride
        streamElements = count
        arrays = (arena.floats(count), arena.floats(count), arena.floats(count))
        sinks = .allocate(capacity: sinkCount * Self.floatsPerLine)
        sinks.initialize(repeating: 0, count: sinkCount * Self.floatsPerLine)
        let (x, y, out) = arrays
        Parallel.forRange(count, grain: 1 << 16) { range in
            for array in [x, y, out] { (array + range.lowerBound).initialize(repeating: 1, count: range.count) }
        }
        var sink: Float = 0
        fmaLevel = Int(Self.levels.first { tutti_machine_fma($0, 1, &sink) > 0 } ?? 0)
        let trial: Int64 = 20_000
        var seconds = Double.infinity
        for _ in 0..<3 {
            let started = Self.now()
            _ = tutti_machine_fma(Int32(fmaLevel), trial, &sink)
            seconds = min(seconds, Self.now() - started)
        }
        fmaRounds = max(trial, Int64(Double(trial) * fmaSeconds / max(seconds, 1e-9)))
    }

    deinit { sinks.deallocate() }

    /// FLOP/s of fused multiply-adds between registers, all threads together.
    package func fmaPeak() -> Double {
        let threads = Parallel.threads
        precondition(threads <= sinkCount, "MachineBounds: made for \(sinkCount) threads, not \(threads)")
        let (level, rounds, sinks) = (Int32(fmaLevel), fmaRounds, sinks)
        var sink: Float = 0
        let flopsOfOne = tutti_machine_fma(level, 1, &sink) * Double(rounds)
        let started = Self.now()
        Parallel.forRange(threads, grain: 1) { pieces in
            for piece in pieces { _ = tutti_machine_fma(level, rounds, sinks + piece * Self.floatsPerLine) }
        }
        return flopsOfOne * Double(threads) / (Self.now() - started)
    }

    /// Bytes per second of one pass of a stream, all threads together.
    package func bandwidth(_ stream: MemoryStream) -> Double {
        let (x, y, out) = arrays
        let sinks = sinks
        let started = Self.now()
        Parallel.forRangeWithWorker(streamElements, grain: 1 << 18) { range, worker in
            let (at, count) = (range.lowerBound, Int64(range.count))
            switch stream {
            case .copy: tutti_stream_scale(x + at, 1.5, out + at, count)
            case .triad: tutti_stream_triad(x + at, y + at, 1.5, out + at, count)
            case .update: tutti_stream_scale(x + at, 1, x + at, count)
            case .read:
                var sum: Float = 0
                tutti_stream_read(x + at, count, &sum)
                sinks[worker * Self.floatsPerLine] += sum
            case .memcpy: memcpy(out + at, x + at, range.count * MemoryLayout<Float>.stride)
            }
        }
        return Double(streamElements * stream.bytesPerElement) / (Self.now() - started)
    }

    private static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}
