// A made-up machine: a folder that stands for /, with the files of /proc and /sys that the planning reads.

import Foundation
import TestSupport
import TuttiLaunch

/// The root folder of a machine that does not exist.
struct MadeUpMachine {
    private let folder: TemporaryDirectory
    private var root: String { folder.path }

    /// A machine with `cpus` CPUs online; `cores[i]` is the core of CPU i as "package:core"; without it nothing is said.
    init(cpus: Int, mask: String? = nil, cores: [String] = [], megabytes: Int = 64_000, groups: [String] = []) throws {
        folder = try TemporaryDirectory()
        try write("proc/self/status", "Name:\tx\nCpus_allowed:\tff\nCpus_allowed_list:\t\(mask ?? "0-\(cpus - 1)")\n")
        try write("proc/meminfo", "MemTotal: 99999999 kB\nMemAvailable:   \(megabytes * 1024) kB\n")
        try write("proc/self/cgroup", groups.joined(separator: "\n") + "\n")
        try write("sys/devices/system/cpu/online", cpus == 1 ? "0\n" : "0-\(cpus - 1)\n")
        for (cpu, place) in cores.enumerated() {
            let parts = place.split(separator: ":")
            try write("sys/devices/system/cpu/cpu\(cpu)/topology/physical_package_id", "\(parts[0])\n")
            try write("sys/devices/system/cpu/cpu\(cpu)/topology/core_id", "\(parts[1])\n")
        }
    }

    /// What the planning sees.
    func read() throws -> Machine { try withExtendedLifetime(folder) { try Machine(root: root) } }

    /// Writes a file below the root, for example "sys/fs/cgroup/cpu.max".
    func write(_ name: String, _ text: String) throws {
        let path = root + "/" + name
        try FileManager.default.createDirectory(
            atPath: URL(fileURLWithPath: path).deletingLastPathComponent().path, withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    }
}
