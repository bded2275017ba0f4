// Laws of memory shared by the ranks of a node.

import TuttiEnsemble
import TuttiTraining

let nodeLaws: [Law] = [
    Law(name: "memory of the node: zero at first, and what one rank writes, all read", needsNode: true) {
        ensemble, findings in
        let (memory, obstacle) = try NodeMemory.share(regions: [400, 3 << 20, 8], among: ensemble)
        guard let memory else { return findings.require(false, "not shared: \(obstacle)") }
        let numbers = memory.take(Float.self, 100)
        let large = memory.take(UInt8.self, 3 << 20)
        let last = memory.take(Double.self, 1)
        findings.require(numbers.allSatisfy { $0 == 0 } && large.allSatisfy { $0 == 0 }, "new memory is not zero")
        try ensemble.barrier()
        for round in 1...50 {
            let writer = round % ensemble.size
            if ensemble.rank == writer {
                numbers.update(repeating: Float(round))
                large.update(repeating: UInt8(round))
                last[0] = Double(round)
            }
            try ensemble.barrier()
            let sound =
                numbers.allSatisfy { $0 == Float(round) } && large.allSatisfy { $0 == UInt8(round) }
                && last[0] == Double(round)
            findings.require(sound, "round \(round): rank \(writer)'s numbers did not arrive")
            try ensemble.barrier()
        }
    },
    Law(name: "memory of the node: if one rank cannot have it, none has, and all know why", needsNode: true) {
        ensemble, findings in
        let strange = try NodeMemory.share(regions: [4096], among: AlteredEnsemble(ensemble, .strangeNode))
        findings.require(strange.memory == nil, "a rank that cannot open the memory has it")
        findings.require(
            strange.obstacle.contains("rank \(ensemble.size - 1) runs on another machine"),
            "the reason is \"\(strange.obstacle)\"")
        let endless = try NodeMemory.share(regions: [1 << 60], among: ensemble)
        findings.require(
            endless.memory == nil && endless.obstacle.contains("rank 0 cannot"),
            "the reason is \"\(endless.obstacle)\"")
    },
    Law(name: "a run continues if memory cannot be shared", needsNode: true) { ensemble, findings in
        let strange = AlteredEnsemble(ensemble, .strangeNode)
        try TinyTraining("bert-sgd").compare(together: strange, ensemble, findings)
    },
]
