// The holder of a lock, and whether its process is known to be gone.
//
// A process is looked up only on the same machine (boot id) and in the same pid namespace; its start time distinguishes
// it from a later process with the same pid.

import Foundation
import TuttiGround

/// The process that holds a lock.
struct LockOwner: Equatable, CustomStringConvertible {
    let host: String
    let process: Int
    /// Clock ticks from boot to the start of the process; nil if unknown.
    let started: String?
    /// The boot id of the machine, and the pid namespace.
    let machine: String
    /// The owner's activity.
    let purpose: String
    /// When it took the lock, for people.
    let since: String
    /// Distinguishes two locks of one process.
    let token: String

    /// "process 123 on host a (since 2026-01-01 10:00:00 UTC, run 0123abcd)".
    var description: String { "process \(process) on \(host) (since \(since), \(purpose))" }

    /// This process, with a new token.
    static func thisProcess(purpose: String) -> LockOwner {
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.timeZone = TimeZone(identifier: "UTC")
        format.dateFormat = "yyyy-MM-dd HH:mm:ss 'UTC'"
        let process = Int(getpid())
        return LockOwner(
            host: hostName, process: process, started: startTime(of: process)?.started,
            machine: thisMachine, purpose: purpose, since: format.string(from: Date()),
            token: "\(UInt64.random(in: 0...(.max)))")
    }

    /// Whether the process is known to be gone; false if it cannot be looked up.
    var isDead: Bool {
        guard machine == LockOwner.thisMachine, !machine.isEmpty, process > 0 else { return false }
        guard kill(pid_t(process), 0) == 0 || errno == EPERM else { return true }
        guard let found = LockOwner.startTime(of: process) else { return false }
        return found.isEnded || started.map { $0 != found.started } ?? false
    }

    private static var hostName: String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "unknown" }
        // It becomes part of the name of a file.
        let bytes = name.map { UInt8(bitPattern: $0) }.prefix { $0 != 0 && $0 != UInt8(ascii: "/") }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static let thisMachine: String = {
        var name = [CChar](repeating: 0, count: 256)
        let count = readlink("/proc/self/ns/pid", &name, name.count - 1)
        guard count > 0, let boot = text(of: "/proc/sys/kernel/random/boot_id") else { return "" }
        let namespace = String(decoding: name[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return boot.trimmingCharacters(in: .whitespacesAndNewlines) + " " + namespace
    }()

    /// Start time of a process, field 22 of its stat, and whether it has ended and waits for its parent (Z, X).
    private static func startTime(of process: Int) -> (started: String, isEnded: Bool)? {
        // The second field is the program's name in parentheses, which may contain spaces and parentheses.
        guard let all = text(of: "/proc/\(process)/stat"), let end = all.lastIndex(of: ")") else { return nil }
        let fields = all[all.index(after: end)...].split(separator: " ")
        guard fields.count > 19 else { return nil }
        return (String(fields[19]), fields[0] == "Z" || fields[0] == "X")
    }

    private static func text(of path: String) -> String? {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
    }
}

extension LockOwner {
    /// One line of JSON.
    var json: String {
        var object = JSONObject()
        object["host"] = .string(host)
        object["process"] = .integer(Int64(process))
        object["started"] = started.map { .string($0) } ?? .null
        object["machine"] = .string(machine)
        object["purpose"] = .string(purpose)
        object["since"] = .string(since)
        object["token"] = .string(token)
        return JSONValue.object(object).serialized()
    }

    /// Reads `json`; nil if it is something else.
    init?(json: String) {
        let parsed: JSONValue
        do { parsed = try JSONValue.parse(json, source: "lock") } catch { return nil }
        guard let host = parsed["host"]?.string, let process = parsed["process"]?.int,
            let machine = parsed["machine"]?.string, let purpose = parsed["purpose"]?.string,
            let since = parsed["since"]?.string, let token = parsed["token"]?.string
        else { return nil }
        self.init(
            host: host, process: process, started: parsed["started"]?.string, machine: machine, purpose: purpose,
            since: since, token: token)
    }
}
