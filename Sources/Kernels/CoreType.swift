// Which kernels OpenBLAS uses, and whether this processor could run faster ones.
//
// OpenBLAS picks kernels when it is loaded, by a table of processors that it knows ("core types"). A processor newer than
// the library falls through that table to the oldest entry: an AVX-512 machine then computes with SSE3 kernels
// ("Prescott"), at a third to a fifth of its speed. The variable OPENBLAS_CORETYPE overrides the table, but is read before
// `main`; so the command sets it and restarts itself (tutti-cli/OpenBLASRestart.swift), and the library can only warn.
//
// Reference: OpenBLAS, driver/others/dynamic.c.

import COpenBLAS
import CTuttiKernels
import Glibc

/// The features of a processor that decide the choice of kernels.
package struct ProcessorAbility: Sendable, Equatable {
    /// x86-64 feature level: 4 (AVX-512), 3 (AVX2 and FMA), 0 below; 0 on other architectures.
    package var level: Int
    /// Made by AMD, whose AVX2 processors have their own kernels.
    package var isAMD: Bool

    package init(level: Int, isAMD: Bool) {
        (self.level, self.isAMD) = (level, isAMD)
    }

    /// The current processor.
    package static var current: ProcessorAbility {
        ProcessorAbility(level: Int(tutti_machine_level()), isAMD: tutti_machine_is_amd() != 0)
    }
}

/// The core type that OpenBLAS chose, compared with the processor's features.
package struct CoreType: Sendable, Equatable {
    /// The name of the kernels in use, such as "SkylakeX" or "Prescott".
    package let name: String
    /// The core type that uses the full processor, if `name` does not; nil if nothing is lost.
    package let better: String?
    /// Whether this build of OpenBLAS has the kernels of `better`, so that OPENBLAS_CORETYPE can choose them.
    package let isSettable: Bool

    /// Judges what OpenBLAS chose in this process.
    package static var current: CoreType {
        CoreType(chosen: Gemm.coreType, on: .current, libraryHas: libraryHas)
    }

    /// Judges `chosen` on a processor; `libraryHas` says whether the library has the kernels of a core type.
    package init(chosen: String, on processor: ProcessorAbility, libraryHas: (String) -> Bool) {
        name = chosen
        let candidates = Self.candidates(for: processor)
        let isBelow = (Self.levels[chosen.lowercased()] ?? processor.level) < processor.level
        let known = candidates.first(where: libraryHas)
        // Kernels of a lower level are no gain unless they still beat what is in use.
        let gain = known.flatMap { Self.levels[$0.lowercased()] } ?? 0 > Self.levels[chosen.lowercased()] ?? 0
        better = isBelow ? (gain ? known : candidates.first) : nil
        isSettable = isBelow && gain
    }

    /// The warning for the user; nil if nothing is lost. `isOverridden`: the user chose the type with OPENBLAS_CORETYPE.
    package func warning(isOverridden: Bool = CoreType.isOverridden) -> String? {
        guard let better else { return nil }
        let loss = "OpenBLAS computes with its \(name) kernels, which use less than this processor has"
        if isOverridden { return "\(loss), because OPENBLAS_CORETYPE is set; \(better) would be faster." }
        return isSettable
            ? "\(loss): set OPENBLAS_CORETYPE=\(better) before the program starts."
            : "\(loss), and this build of OpenBLAS has no better ones: use --gemm auto, or a newer OpenBLAS."
    }

    /// Whether the environment chooses the core type instead of OpenBLAS.
    package static var isOverridden: Bool { getenv("OPENBLAS_CORETYPE").map { $0.pointee != 0 } ?? false }

    /// Core types for a processor, the best first. Cooperlake and SapphireRapids are not among them: their kernels for
    /// fp32 are SkylakeX's, and OpenBLAS before 0.3.22 does not accept the names.
    private static func candidates(for processor: ProcessorAbility) -> [String] {
        let avx2 = processor.isAMD ? ["Zen", "Haswell"] : ["Haswell", "Zen"]
        switch processor.level {
        case 4: return ["SkylakeX"] + avx2
        case 3: return avx2
        default: return []
        }
    }

    /// The feature level of each core type's kernels, names in lower case; 2 is AVX without AVX2 and FMA together. Types
    /// that are not listed are newer than this table and are trusted.
    private static let levels: [String: Int] = {
        var levels: [String: Int] = [:]
        for name in ["skylakex", "cooperlake", "sapphirerapids"] { levels[name] = 4 }
        for name in ["haswell", "zen"] { levels[name] = 3 }
        for name in ["sandybridge", "bulldozer", "piledriver", "steamroller", "excavator"] { levels[name] = 2 }
        for name in [
            "unknown", "katmai", "coppermine", "northwood", "prescott", "banias", "atom", "core2", "penryn",
            "dunnington",
            "nehalem", "athlon", "opteron", "opteron_sse3", "barcelona", "bobcat", "nano", "generic",
        ] { levels[name] = 1 }
        return levels
    }()

    /// Whether the loaded OpenBLAS has kernels of a core type: such builds have a table of functions for each.
    private static func libraryHas(_ name: String) -> Bool {
        guard let program = dlopen(nil, RTLD_NOW) else { return false }
        defer { dlclose(program) }
        return dlsym(program, "gotoblas_" + name.uppercased()) != nil
    }
}
