// What kernels compute with: who multiplies matrices, on how many threads, at which instruction level.
//
// A `Compute` is held by a model and entered for the length of a pass (`run`). Inside, kernels find it through the thread
// that calls them, and the threads of its pool work for it, so that two models with different settings live in one
// process and kernels need no argument more. A thread that has entered none computes with `Compute.process`, which a
// command sets once at its start.
//
// OpenBLAS alone has no setting for a part of the process: its products run on the threads of `Compute.process`, whatever
// the `Compute` that asks for them says.

import COpenBLAS
import CTuttiKernels

/// A set of instructions that kernels are built for.
package enum InstructionLevel: Int32, Sendable, CaseIterable, Comparable {
    /// What every processor of the architecture has.
    case baseline = 0
    /// x86-64-v3: AVX2 and FMA.
    case v3 = 3
    /// x86-64-v4: AVX-512.
    case v4 = 4

    /// The highest that this processor has.
    package static var best: InstructionLevel { InstructionLevel(rawValue: tutti_machine_level()) ?? .baseline }

    /// Those that this processor has, the lowest first.
    package static var available: [InstructionLevel] { allCases.filter { $0 <= best } }

    package static func < (a: InstructionLevel, b: InstructionLevel) -> Bool { a.rawValue < b.rawValue }
}

/// The settings that kernels compute with. Change them while nothing computes with it.
package final class Compute: @unchecked Sendable {
    private let kernel: UnsafeMutablePointer<tutti_compute>
    private let isOwner: Bool

    /// The settings of threads that have entered no other.
    package static let process = Compute(wrapping: tutti_compute_plain())

    /// Providers of products, threads, and an instruction level that the processor has.
    package init(
        products: GemmChoice = GemmChoice(.openblas), threads: Int = 1, level: InstructionLevel = .best
    ) {
        kernel = .allocate(capacity: 1)
        kernel.initialize(to: tutti_compute())
        isOwner = true
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

    /// Who computes which product.
    package var products: GemmChoice {
        get { GemmChoice(of: kernel.pointee) }
        set {
            precondition(newValue.isAvailable, "Compute.products: \(newValue) is not available on this machine")
            kernel.pointee.forward = newValue[.forward].number
            kernel.pointee.input_gradient = newValue[.inputGradient].number
            kernel.pointee.weight_gradient = newValue[.weightGradient].number
        }
    }

    /// Threads of row kernels and products, the calling one included.
    package var threads: Int {
        get { run { Int(tutti_parallel_threads()) } }
        set {
            precondition(newValue >= 1, "Compute.threads must be at least 1, not \(newValue)")
            tutti_pool_destroy(kernel.pointee.pool)
            kernel.pointee.pool = tutti_pool_create(Int64(newValue))
            kernel.pointee.library_threads = Int32(newValue)
            if !isOwner { openblas_set_num_threads(Int32(newValue)) }
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

    /// Runs `body` on this thread with these settings, and goes back to those that were before.
    package func run<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        let before = tutti_compute_enter(kernel)
        defer { _ = tutti_compute_enter(before) }
        return try body()
    }
}
