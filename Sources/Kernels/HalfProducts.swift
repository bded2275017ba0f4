// Products of bf16 numbers with fp32 sums: which instructions of the processor compute them.

import CTuttiKernels

/// Instructions that multiply bf16 numbers and add in fp32. Their sums differ in the last bits.
package enum HalfProducts: String, Sendable, CaseIterable {
    /// Vectors: AVX512-BF16, 2 terms an instruction and lane.
    case vectors = "avx512-bf16"
    /// Tiles: AMX, 32 terms for 16 x 16 sums an instruction.
    case tiles = "amx"

    /// The fastest of this processor at the instruction level in use; nil = it has none.
    package static var best: HalfProducts? { allCases.last { $0.number <= tutti_half_best() } }

    /// Those of this processor.
    package static var available: [HalfProducts] { allCases.filter { $0.number <= tutti_half_best() } }

    var number: Int32 {
        switch self {
        case .vectors: Int32(tutti_half_vectors)
        case .tiles: Int32(tutti_half_tiles)
        }
    }
}
