// tutti-world: the laws of distributed training, over the real transport.
//
//     mpirun -np 3 tutti-world            every law; the last line is "N passed, N failed"
//     mpirun -np 2 tutti-world measure    the cost of summing a gradient of 90 MB
//     mpirun -np 2 tutti-world forget     exits without finalizing MPI, as a careless program does: exit code 0
//     mpirun -np 3 tutti-world fail       the last rank fails while the others wait: its message, exit code 75
//
// Alone, without mpirun, the laws of one rank are checked.

import Foundation
import TuttiEnsemble
import TuttiEnsembleMPI
import TuttiGround

let laws =
    collectiveLaws + splitLaws + objectiveLaws + exchangeLaws + trainingLaws + nodeLaws + miningLaws + allocationLaws

do {
    let world = try MPIEnsemble.startIfLaunched()
    let ensemble: any Ensemble = world ?? LocalEnsemble.single()
    var code: Int32 = 0
    do {
        let arguments = CommandLine.arguments.dropFirst()
        say(world?.topology.description ?? "1 rank, no MPI", on: ensemble)
        switch arguments.first {
        case nil: code = try check(laws, on: ensemble)
        case "measure": try measureAllReduce(megabytes: 90, repeats: 7, on: ensemble)
        case "fail":
            if ensemble.rank == ensemble.size - 1 {
                throw TuttiError(.retryable, "tutti-world fail", "", "fails on purpose", rank: ensemble.rank)
            }
            try ensemble.barrier()
        case "forget":
            try ensemble.barrier()
            exit(0)
        case let argument?:
            say("unknown argument \"\(argument)\"; usage: tutti-world [measure | forget | fail]", on: ensemble)
            code = TuttiError.Kind.usage.rawValue
        }
    } catch {
        ensemble.abort(code: TuttiError.exitCode(of: error), message: "\(error)")
    }
    world?.finalize()
    exit(code)
} catch {
    FileHandle.standardError.write(Data("\(error)\n".utf8))
    exit(TuttiError.exitCode(of: error))
}
