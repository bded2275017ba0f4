// Which OpenBLAS kernels are too old for a processor, on made-up processors and libraries.

import Testing
import TuttiKernels

@Suite struct CoreTypeTests {
    /// A library of Debian 12: no names newer than Cooperlake.
    private static let usual: Set<String> = [
        "Prescott", "Nehalem", "Sandybridge", "Haswell", "Zen", "SkylakeX", "Cooperlake",
    ]

    private func judge(_ chosen: String, level: Int, isAMD: Bool = false, has: Set<String> = usual) -> CoreType {
        CoreType(chosen: chosen, on: ProcessorAbility(level: level, isAMD: isAMD), libraryHas: has.contains)
    }

    /// (chosen, level, AMD, what would be better)
    @Test(arguments: [
        ("Prescott", 4, false, "SkylakeX"), ("Prescott", 4, true, "SkylakeX"), ("Haswell", 4, false, "SkylakeX"),
        ("Zen", 4, true, "SkylakeX"), ("Prescott", 3, false, "Haswell"), ("Prescott", 3, true, "Zen"),
        ("Sandybridge", 3, false, "Haswell"), ("Excavator", 3, true, "Zen"), ("Nehalem", 3, false, "Haswell"),
    ])
    func kernelsBelowTheProcessorAreNoticed(_ chosen: String, _ level: Int, _ isAMD: Bool, _ better: String) {
        let core = judge(chosen, level: level, isAMD: isAMD)
        #expect(core.better == better)
        #expect(core.isSettable)
        #expect(core.warning(isOverridden: false)?.contains("OPENBLAS_CORETYPE=\(better)") == true)
        #expect(core.warning(isOverridden: true)?.contains("because OPENBLAS_CORETYPE is set") == true)
    }

    /// What OpenBLAS chose stays where it uses all there is, and where its name is newer than this table.
    @Test(arguments: [
        ("SkylakeX", 4), ("Cooperlake", 4), ("SapphireRapids", 4), ("GraniteRapids", 4), ("Haswell", 3), ("Zen", 3),
        ("Prescott", 0), ("Sandybridge", 0), ("NEOVERSEN1", 0), ("SkylakeX", 3),
    ])
    func whatFitsStays(_ chosen: String, _ level: Int) {
        let core = judge(chosen, level: level)
        #expect(core.better == nil && !core.isSettable)
        #expect(core.warning(isOverridden: false) == nil && core.warning(isOverridden: true) == nil)
    }

    @Test func onlyTypesThatTheLibraryHasAreChosen() {
        let old = judge("Prescott", level: 4, has: ["Prescott", "Haswell"])
        #expect(old.better == "Haswell" && old.isSettable)
        let amd = judge("Prescott", level: 3, isAMD: true, has: ["Prescott", "Haswell"])
        #expect(amd.better == "Haswell" && amd.isSettable)
        // A build for one processor: nothing can be set, but the loss is told.
        let fixed = judge("Prescott", level: 4, has: [])
        #expect(fixed.better == "SkylakeX" && !fixed.isSettable)
        #expect(fixed.warning(isOverridden: false)?.contains("no better ones") == true)
        // Another type of the level in use would be no gain.
        let level = judge("Haswell", level: 4, has: ["Haswell", "Zen"])
        #expect(!level.isSettable)
    }

    /// The real library on the real processor: a type that it says it has is one that it takes (tests of the command).
    @Test func theLoadedLibraryIsJudged() {
        let core = CoreType.current
        #expect(core.name == Gemm.coreType)
        #expect(!core.isSettable || core.better != nil)
    }
}
