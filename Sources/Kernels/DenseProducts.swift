// What the operands of dense products are rounded to, and which instructions of the processor multiply them.

import CTuttiKernels

/// How the products of dense layers are computed.
package enum DenseProducts: Sendable, Equatable {
    /// In fp32, by the chosen provider.
    case fp32
    /// Of bf16 numbers, with fp32 sums.
    case bf16(HalfProducts)
    /// Of 8-bit integers, with exact sums: each row of either operand in 127ths of its largest number. Forward only.
    case int8(Int8Products)

    /// The instructions' name.
    package var name: String {
        switch self {
        case .fp32: "fp32"
        case .bf16(let products): products.rawValue
        case .int8(let products): products.rawValue
        }
    }
}

/// Instructions that multiply bf16 numbers and add in fp32. Their sums differ in the last bits.
package enum HalfProducts: String, Sendable, CaseIterable {
    /// Vectors: AVX512-BF16, 2 terms an instruction and lane.
    case vectors = "avx512-bf16"
    /// Tiles: AMX, 32 terms for 16 x 16 sums an instruction.
    case tiles = "amx"

    /// The fastest of this processor at the instruction level in use; nil = it has none.
    package static var best: HalfProducts? { available.last }

    /// Those of this processor.
    package static var available: [HalfProducts] { allCases.filter { $0.number <= tutti_half_best() } }

    var number: Int32 {
        switch self {
        case .vectors: Int32(tutti_half_vectors)
        case .tiles: Int32(tutti_half_tiles)
        }
    }
}

/// Instructions that multiply 8-bit integers. All give the same numbers.
package enum Int8Products: String, Sendable, CaseIterable {
    /// Vectors: AVX512-VNNI, 4 terms an instruction and lane.
    case vectors = "avx512-vnni"
    /// Tiles: AMX, 64 terms for 16 x 16 sums an instruction.
    case tiles = "amx-int8"

    /// The fastest of this processor at the instruction level in use; nil = it has none.
    package static var best: Int8Products? { available.last }

    /// Those of this processor.
    package static var available: [Int8Products] { allCases.filter { $0.number <= tutti_int8_best() } }

    var number: Int32 {
        switch self {
        case .vectors: Int32(tutti_int8_vectors)
        case .tiles: Int32(tutti_int8_tiles)
        }
    }
}
