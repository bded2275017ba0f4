// `tutti doctor`: what Tutti detects of this machine and job.

import ArgumentParser
import Foundation
import TuttiEnsemble
import TuttiEnsembleMPI
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiLaunch
import TuttiTraining

struct DoctorCommand: RankedCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Show what Tutti detects of this machine and job.",
        discussion: """
            Under mpirun it also shows how ranks and cores are laid out; launch_plan is what `tutti launch` would do here. \
            With hosts it makes the checks of `tutti launch` on them, measures latency and bandwidth between every two of \
            them, and names what is slow.
            """)

    @Option(help: ArgumentHelp("Hosts to look at, and their slots.", valueName: "a:n,b:n"))
    var hosts: String?

    @Option(help: ArgumentHelp("Hosts to look at, one `name slots=N` per line.", valueName: "file"))
    var hostfile: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    @OptionGroup var compute: ComputeOptions

    func run(on ensemble: any Ensemble) throws {
        if hosts != nil || hostfile != nil {
            if MPIEnsemble.isLaunched {
                throw TuttiError(.usage, "", "doctor --hosts", "starts ranks itself", hint: "Run it without mpirun.")
            }
            var options = LaunchOptions()
            (options.hosts, options.hostfile) = (hosts, hostfile)
            return try HostsDoctor(options).run(json: json)
        }
        let layout = try RankLayout.apply(compute, ensemble: ensemble)
        try ensemble.barrier()
        guard ensemble.isRoot else { return }
        var facts = JSONObject()
        facts["tutti_version"] = .string(tuttiVersion)
        facts["ranks"] = .integer(Int64(ensemble.size))
        facts["threads_per_rank"] = .integer(Int64(Parallel.threads))
        facts["cores_of_this_rank"] = .integer(Int64(ProcessInfo.processInfo.activeProcessorCount))
        facts["gemm_providers"] = .array(
            GemmProvider.allCases.filter(\.isAvailable).map { .string($0.rawValue) })
        let core = CoreType.current
        facts["blas_core_type"] = .string(core.name)
        facts["instruction_level"] = .integer(Int64(ProcessorAbility.current.level))
        if let line = OpenBLASRestart.note { facts["blas_core_type_note"] = .string(line) }
        if let line = core.warning() { facts["blas_core_type_warning"] = .string(line) }
        facts["memory_gib"] = .number(
            (Double(ProcessInfo.processInfo.physicalMemory) / 1_073_741_824 * 10).rounded() / 10)
        facts["layout"] = .string(layout.description)
        let environment = ProcessInfo.processInfo.environment
        let plan = try MachinePlan(
            LaunchOptions(), machine: try Machine(root: environment["TUTTI_MACHINE_ROOT"] ?? ""),
            batch: try BatchJob(environment), environment: environment)
        facts["launch_plan"] = .string(plan.summary(hostName: Machine.hostName))
        facts["launch_host"] = .string(plan.host(singleCopy: MachinePlan.probesSingleCopy()))
        if json {
            try Output.line(JSONValue.object(facts).serialized(indent: 2))
        } else {
            for (key, value) in facts { try Output.line("\(key): \(value.string ?? value.serialized())") }
        }
    }
}
