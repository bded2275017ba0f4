// HostReport: what a host says of itself before a job starts there; `tutti launch-probe` prints it as JSON.

import Foundation
import TuttiGround
import TuttiNet

/// A network interface with an IPv4 address.
package struct NetworkInterface: Codable, Equatable, Sendable {
    /// Its name: eth0.
    package var name: String
    /// Its address: 10.0.0.11.
    package var address: String
    /// The bits of its network: 24.
    package var bits: Int
    /// Its speed in Mbit/s, if the system says.
    package var speed: Int?

    /// The given facts.
    package init(name: String, address: String, bits: Int, speed: Int? = nil) {
        (self.name, self.address, self.bits, self.speed) = (name, address, bits, speed)
    }

    /// Those of this host that are up and have an IPv4 address, without the loopback.
    static func all() -> [NetworkInterface] {
        HostAddress.all().filter(\.isVersion4).map { address in
            let speed = SystemFile.word("/sys/class/net/\(address.interface)/speed").flatMap { Int($0) }
            return NetworkInterface(
                name: address.interface, address: address.text, bits: address.bits,
                speed: speed.flatMap { $0 > 0 ? $0 : nil })
        }
    }

    /// Its network: 10.0.0.0/24.
    package var network: String {
        let mask = bits == 0 ? 0 : ~UInt32(0) << UInt32(32 - bits)
        let number = HostAddress.number(of: address) & mask
        return "\(number >> 24).\(number >> 16 & 255).\(number >> 8 & 255).\(number & 255)/\(bits)"
    }
}

/// A process of a job that is over.
package struct StrayProcess: Codable, Equatable, Sendable {
    /// Its id on that host.
    package var process: Int32
    /// Its command line, cut.
    package var command: String

    /// The given facts.
    package init(process: Int32, command: String) { (self.process, self.command) = (process, command) }
}

/// The state of a host.
package struct HostReport: Codable, Equatable, Sendable {
    /// Its own name.
    package var hostName: String
    /// What tells it from every other machine: the boot, and the network that the process sees (containers).
    package var machine: String
    /// SHA-256 of the program `tutti` there.
    package var program: String
    /// The MPI library that the program is linked to there.
    package var library: String
    /// Whether the job's working directory exists there.
    package var hasDirectory: Bool
    /// Its clock, seconds since 1970.
    package var clock: Double
    /// Free megabytes of /dev/shm; nil if there is none.
    package var sharedMegabytes: Int?
    /// Free megabytes of memory.
    package var freeMegabytes: Int
    /// Cores that this process may use.
    package var cores: Int
    /// Its interfaces that are up, without the loopback.
    package var interfaces: [NetworkInterface]
    /// The addresses to which names of hosts resolve there; an empty list: to none.
    package var resolved: [String: [String]]
    /// Ranks of jobs that are over.
    package var strays: [StrayProcess]
    /// Ranks of other jobs that run.
    package var otherRanks: Int

    /// A report of the given facts.
    package init(
        hostName: String, machine: String, program: String, library: String, hasDirectory: Bool, clock: Double,
        sharedMegabytes: Int?, freeMegabytes: Int, cores: Int, interfaces: [NetworkInterface],
        resolved: [String: [String]], strays: [StrayProcess] = [], otherRanks: Int = 0
    ) {
        (self.hostName, self.machine, self.program, self.library) = (hostName, machine, program, library)
        (self.hasDirectory, self.clock, self.sharedMegabytes) = (hasDirectory, clock, sharedMegabytes)
        (self.freeMegabytes, self.cores, self.interfaces) = (freeMegabytes, cores, interfaces)
        (self.resolved, self.strays, self.otherRanks) = (resolved, strays, otherRanks)
    }

    /// The report of this host.
    ///
    /// - Parameters:
    ///   - names: the hosts of the job.
    ///   - directory: the job's working directory.
    ///   - library: the version of the MPI library.
    /// - Throws: code 66 if the system does not show itself.
    package static func own(names: [String], directory: String, library: String) throws(TuttiError) -> HostReport {
        let machine = try Machine()
        var isFolder: ObjCBool = false
        let exists = FileManager.default.fileExists(atPath: directory, isDirectory: &isFolder) && isFolder.boolValue
        var memory = statvfs()
        let shared = statvfs("/dev/shm", &memory) == 0 ? Int(memory.f_bavail) * Int(memory.f_frsize) / 1_048_576 : nil
        let (strays, others) = JobProcesses.ranks()
        return HostReport(
            hostName: Machine.hostName, machine: identity(), program: try ownDigest(), library: library,
            hasDirectory: exists, clock: Date().timeIntervalSince1970, sharedMegabytes: shared,
            freeMegabytes: machine.freeMegabytes, cores: machine.usableCores, interfaces: NetworkInterface.all(),
            resolved: Dictionary(names.map { ($0, HostAddress.resolve($0)) }) { first, _ in first },
            strays: strays, otherRanks: others)
    }

    private static func identity() -> String {
        let boot = SystemFile.word("/proc/sys/kernel/random/boot_id") ?? SystemFile.word("/etc/machine-id") ?? "?"
        var information = stat()
        return "\(boot) \(stat("/proc/self/ns/net", &information) == 0 ? information.st_ino : 0)"
    }

    private static func ownDigest() throws(TuttiError) -> String {
        guard let bytes = SystemFile.bytes("/proc/self/exe") else {
            throw TuttiError(.missingFile, "read the program", "/proc/self/exe", String(cString: strerror(errno)))
        }
        return bytes.withUnsafeBytes { Digest.of($0).hexadecimal }
    }
}
