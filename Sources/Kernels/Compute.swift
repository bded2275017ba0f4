// The settings of kernels: GEMM provider, number of threads, instruction level, cache.
//
// A `Compute` is held by a model and entered for the duration of a pass (`run`). Inside, kernels find it through the
// calling thread, and the threads of its pool work for it, so that two models with different settings can coexist in one
// process and kernels need no extra argument. A thread that has entered none computes with `Compute.process`, which a
// command sets once at startup.
//
// Only OpenBLAS has no setting for a part of the process: its products run on the threads of `Compute.process`, whatever
// the calling `Compute` says.

import COpenBLAS
import CTuttiKernels

/// An instruction set that kernels are built for.
package enum InstructionLevel: Int32, Sendable, CaseIterable, Comparable {
    /// The baseline of the architecture.
    case baseline = 0
    /// x86-64-v3: AVX2 and FMA.
    case v3 = 3
    /// x86-64-v4: AVX-512.
    case v4 = 4

    /// The highest level of this processor.
    package static var best: InstructionLevel { InstructionLevel(rawValue: tutti_machine_level()) ?? .baseline }

    /// The levels of this processor, the lowest first.
    package static var available: [InstructionLevel] { allCases.filter { $0 <= best } }

    package static func < (a: InstructionLevel, b: InstructionLevel) -> Bool { a.rawValue < b.rawValue }
}

/// The settings of kernels. Change them only while nothing computes with it.
package final class Compute: @unchecked Sendable {
    private let kernel: UnsafeMutablePointer<tutti_compute>
    private let isOwner: Bool

    /// The settings of threads that have entered no other.
    package static let process = Compute(wrapping: tutti_compute_plain())

    /// GEMM providers, threads, and an instruction level that the processor supports.
    package init(
        products: GemmChoice = GemmChoice(.usual), threads: Int = 1, level: InstructionLevel = .best
    ) {
        kernel = .allocate(capacity: 1)
        kernel.initialize(to: tutti_compute())
        isOwner = true
        cacheBytes = Int(tutti_machine_cache())
        hasWideTiles = tutti_machine_is_amd() == 0
        self.products = products
        self.threads = threads
        self.level = level
    }

    private init(wrapping kernel: UnsafeMutablePointer<tutti_compute>) {
        self.kernel = kernel
        isOwner = false
    }

    deinit {
        guard isOwner else { return }
        tutti_pool_destroy(kernel.pointee.pool)
        kernel.deallocate()
    }

    /// The provider of each kind of product.
    package var products: GemmChoice {
        get { GemmChoice(of: kernel.pointee) }
        set {
            precondition(newValue.isAvailable, "Compute.products: \(newValue) is not available on this machine")
            kernel.pointee.forward = newValue[.forward].number
            kernel.pointee.input_gradient = newValue[.inputGradient].number
            kernel.pointee.weight_gradient = newValue[.weightGradient].number
        }
    }

    /// Threads of row kernels and products, including the calling one.
    package var threads: Int {
        get { run { Int(tutti_parallel_threads()) } }
        set {
            precondition(newValue >= 1, "Compute.threads must be at least 1, not \(newValue)")
            tutti_pool_destroy(kernel.pointee.pool)
            kernel.pointee.pool = tutti_pool_create(Int64(newValue))
            kernel.pointee.library_threads = Int32(newValue)
            if !isOwner, !AddressSpace.isLimited { openblas_set_num_threads(Int32(newValue)) }
        }
    }

    /// The instruction level of our own kernels; libraries choose theirs.
    package var level: InstructionLevel {
        get { InstructionLevel(rawValue: kernel.pointee.level) ?? .baseline }
        set {
            precondition(newValue <= .best, "Compute.level: this processor has no \(newValue)")
            kernel.pointee.level = newValue.rawValue
        }
    }

    /// Bytes of the second cache of a core that blocks of attention are made for, by default this processor's: a power of
    /// two from 256 KiB to 2 MiB. Sums over long texts depend on it in their last bits.
    package var cacheBytes: Int {
        get { Int(kernel.pointee.cache) }
        set {
            precondition(Self.isCache(newValue), "Compute.cacheBytes: \(newValue)")
            kernel.pointee.cache = Int64(newValue)
        }
    }

    /// Whether our own products use the AVX-512 tiles that suit all processors but AMD's; both give the same bits.
    package var hasWideTiles: Bool {
        get { kernel.pointee.wide != 0 }
        set { kernel.pointee.wide = newValue ? 1 : 0 }
    }

    /// `cacheBytes` of the settings that this thread computes with.
    package static var cacheBytesHere: Int { Int(tutti_compute_here().pointee.cache) }

    /// Whether blocks are made for a cache of this size.
    package static func isCache(_ bytes: Int) -> Bool { (18...21).contains { bytes == 1 << $0 } }

    /// Runs `body` on this thread with these settings, then restores the previous ones.
    package func run<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        let before = tutti_compute_enter(kernel)
        defer { _ = tutti_compute_enter(before) }
        return try body()
    }
}
