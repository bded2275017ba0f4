// The one row-parallel function of Tutti, over the pool of threads of a `Compute` (parallel.c).
//
// A region is parallel either through this pool or inside BLAS, never both: kernels split their rows with it, `Gemm`
// splits its own. Bodies write disjoint rows, or fixed pieces that are added in a fixed order, so results do not depend on the
// number of threads. Calls do not allocate.

import CTuttiKernels

/// The threads of row kernels.
package enum Parallel {
    /// Number of threads, including the calling one; setting it sets that of `Compute.process`.
    package static var threads: Int {
        get { Int(tutti_parallel_threads()) }
        set { Compute.process.threads = newValue }
    }

    /// Runs `body` over pieces of `0 ..< count` of at least `grain` (the last may be shorter), in no particular order.
    /// A call from inside a body of a region that was split, or while another thread uses the pool, runs serially.
    package static func forRange(_ count: Int, grain: Int, _ body: (Range<Int>) -> Void) {
        forRangeWithWorker(count, grain: grain) { range, _ in body(range) }
    }

    /// As `forRange`; the body also gets the number of the worker (0 ..< threads) that runs it, for scratch memory.
    package static func forRangeWithWorker(_ count: Int, grain: Int, _ body: (Range<Int>, Int) -> Void) {
        guard count > 0 else { return }
        if tutti_parallel_threads() == 1 || count <= grain {
            body(0..<count, 0)
            return
        }
        runOnPool(count, max(grain, 1)) { begin, end, worker in body(begin..<end, worker) }
    }
}

/// `tutti_parallel_for_closure` of parallel.c: takes the closure without making it escape, hence without an allocation
/// (`withoutActuallyEscaping`, needed for a C callback, allocates on each call).
@_silgen_name("tutti_parallel_for_closure")
private func runOnPool(_ count: Int, _ grain: Int, _ body: (Int, Int, Int) -> Void)
