// Machine: the resources of this host for a job: cores in the affinity mask, the CPU quota and the memory left by control
// groups, read below a root folder that is / (another one in tests).
//
// Hyper-threads of one core count once: matrix products gain nothing from the second.

import Foundation
import TuttiGround

/// The CPUs, cores and memory of this host that this process may use.
package struct Machine: Equatable, Sendable {
    /// The CPUs of the affinity mask, ascending.
    package var cpus: [Int]
    /// CPUs of the host that are online.
    package var onlineCPUs: Int
    /// Physical cores in the mask.
    package var cores: Int
    /// Physical cores of the whole host.
    package var allCores: Int
    /// The smallest CPU quota in force, in hundredths of a CPU; nil without one.
    package var quota: Int?
    /// Free megabytes.
    package var freeMegabytes: Int
    /// Whether the mask is that of a control group of its own (cpuset): Open MPI then sees no other cores.
    package var isConfined: Bool

    /// The name of this host.
    package static var hostName: String {
        var bytes = [CChar](repeating: 0, count: 256)
        gethostname(&bytes, bytes.count - 1)
        return String(decoding: bytes.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// Cores to plan with: those of the mask, at most the quota.
    package var usableCores: Int { min(cores, max(quota.map { $0 / 100 } ?? cores, 1)) }

    /// Whether nobody else is meant to use the cores of the mask: they are all there are, or set apart, without a quota.
    package var isOwn: Bool { quota == nil && (isConfined || cpus.count == onlineCPUs) }

    /// A machine with the given facts.
    package init(
        cpus: [Int], onlineCPUs: Int, cores: Int, allCores: Int, quota: Int?, freeMegabytes: Int,
        isConfined: Bool = false
    ) {
        self.cpus = cpus
        self.onlineCPUs = onlineCPUs
        self.cores = cores
        self.allCores = allCores
        self.quota = quota
        self.freeMegabytes = freeMegabytes
        self.isConfined = isConfined
    }

    /// Reads the machine below `root`.
    ///
    /// - Throws: code 66 if the system does not show its CPUs or memory.
    package init(root: String = "") throws(TuttiError) {
        let status = try SystemFile.required(root + "/proc/self/status")
        let mask = SystemFile.field("Cpus_allowed_list:", of: status) ?? ""
        cpus = Machine.numbers(mask)
        guard !cpus.isEmpty else {
            throw TuttiError(.missingFile, "read the machine", root + "/proc/self/status", "lists no CPUs")
        }
        onlineCPUs = Machine.numbers(try SystemFile.required(root + "/sys/devices/system/cpu/online")).count
        cores = Machine.physicalCores(of: cpus, root: root)
        allCores = Machine.physicalCores(of: Array(0..<onlineCPUs), root: root)
        let groups = ControlGroups(root: root)
        quota = groups.cpuQuota
        isConfined = Machine.numbers(groups.cpuset ?? "") == cpus
        guard let free = groups.freeMemory else {
            throw TuttiError(.missingFile, "read the machine", root + "/proc/meminfo", "has no MemAvailable")
        }
        freeMegabytes = free
    }

    /// The numbers of a list such as "0-3,8".
    static func numbers(_ list: String) -> [Int] {
        list.split { $0 == "," || $0.isWhitespace }.flatMap { part -> [Int] in
            let ends = part.split(separator: "-").compactMap { Int($0) }
            guard let first = ends.first, let last = ends.last, first <= last else { return [] }
            return Array(first...last)
        }
    }

    private static func physicalCores(of cpus: [Int], root: String) -> Int {
        let cores = cpus.map { cpu -> String in
            let topology = root + "/sys/devices/system/cpu/cpu\(cpu)/topology/"
            guard let core = SystemFile.word(topology + "core_id") else { return "cpu \(cpu)" }
            return "\(SystemFile.word(topology + "physical_package_id") ?? "0"):\(core)"
        }
        return Set(cores).count
    }
}
