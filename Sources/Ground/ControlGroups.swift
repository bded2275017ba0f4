// Control groups (cgroups) of this process: the CPU quota and the memory limit that containers and batch systems set.
//
// Versions 1 and 2 may coexist. The limits of enclosing groups apply too, so all are read, the innermost first. In a
// container the path of /proc/self/cgroup may be that of the host, while the mount shows the container's own group as
// its root; missing folders are skipped.

/// The limits that the groups of this process set.
package struct ControlGroups {
    private let root: String
    private let membership: [Substring]

    /// Reads the groups of this process.
    package init(root: String = "") {
        self.root = root
        membership = (SystemFile.text(root + "/proc/self/cgroup") ?? "").split(separator: "\n")
    }

    /// The smallest CPU quota in force, in hundredths of a CPU.
    package var cpuQuota: Int? {
        var quotas: [Int] = []
        for folder in folders(of: nil) {
            let words = (SystemFile.text(folder + "/cpu.max") ?? "").split(whereSeparator: \.isWhitespace)
            guard words.count >= 2, let quota = Int(words[0]), let period = Int(words[1]), period > 0 else { continue }
            quotas.append(quota * 100 / period)
        }
        for folder in folders(of: "cpu") {
            guard let quota = number(folder + "/cpu.cfs_quota_us"), quota > 0,
                let period = number(folder + "/cpu.cfs_period_us"), period > 0
            else { continue }
            quotas.append(quota * 100 / period)
        }
        return quotas.min()
    }

    /// The CPUs that the innermost group with a list of its own allows, such as "0-3"; nil where no group has one.
    package var cpuset: String? {
        // The root of the hierarchy lists all CPUs: it sets nothing apart.
        let roots = Set([folders(of: nil).last, folders(of: "cpuset").last].compactMap { $0 })
        for folder in folders(of: nil) + folders(of: "cpuset") where !roots.contains(folder) {
            for name in ["cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"] {
                if let list = SystemFile.word(folder + "/" + name) { return list }
            }
        }
        return nil
    }

    /// Megabytes that this process may still take: what the machine has available, or less where a limit leaves less; nil
    /// where the system does not say.
    package var freeMemory: Int? {
        let text = SystemFile.text(root + "/proc/meminfo") ?? ""
        guard let kilobytes = SystemFile.field("MemAvailable:", of: text).flatMap({ Int($0) }) else { return nil }
        return min(kilobytes / 1024, freeMegabytes ?? .max)
    }

    /// Processes of this machine that the kernel has killed for want of memory since it started, within control groups or
    /// outside; nil where the system does not say.
    package var memoryKills: Int? {
        SystemFile.field("oom_kill", of: SystemFile.text(root + "/proc/vmstat") ?? "").flatMap { Int($0) }
    }

    /// Megabytes that the tightest memory limit leaves.
    package var freeMegabytes: Int? {
        (folders(of: nil) + folders(of: "memory")).compactMap { folder -> Int? in
            let files = [("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")]
            guard let (limit, usage) = files.first(where: { SystemFile.text(folder + "/" + $0.0) != nil }),
                let bytes = number(folder + "/" + limit), bytes < Self.noLimit
            else { return nil }
            let used = (number(folder + "/" + usage) ?? 0) - pageCache(folder)
            return (bytes - used) / 1_048_576
        }.min()
    }

    /// Version 1 writes "no limit" as the largest multiple of a page that fits 63 bits.
    private static let noLimit = 10_000_000_000_000_000

    /// Page cache counts as used but is reclaimable.
    private func pageCache(_ folder: String) -> Int {
        let statistics = SystemFile.text(folder + "/memory.stat") ?? ""
        return SystemFile.field("total_inactive_file", of: statistics).flatMap { Int($0) }
            ?? SystemFile.field("inactive_file", of: statistics).flatMap { Int($0) } ?? 0
    }

    /// The folders of the groups of a version 1 controller (nil: of version 2), the innermost first.
    private func folders(of controller: String?) -> [String] {
        let mount = root + "/sys/fs/cgroup" + (controller.map { "/" + $0 } ?? "")
        var path = ""
        for line in membership {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            let isWanted =
                controller.map { parts[1].split(separator: ",").map(String.init).contains($0) } ?? parts[1].isEmpty
            if isWanted {
                path = String(parts[2])
                break
            }
        }
        var found: [String] = []
        while !path.isEmpty, path != "/" {
            found.append(mount + path)
            path = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
        }
        return found + [mount]
    }

    private func number(_ path: String) -> Int? { SystemFile.word(path).flatMap { Int($0) } }
}
