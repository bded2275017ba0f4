// JobOutput: filters mpirun's standard error. The ranks' own text passes at once, byte for byte, so that a progress bar
// moves. mpirun's reports of how a job ended (blocks between two lines of dashes) are removed and parsed, because ranks
// and launcher have better messages; reports that nobody else makes (too few slots, an unknown host) pass.
//
// Only a possible start of mpirun's own text waits for the rest of its line: dashes, "mpirun", "[host:pid]".

/// Separates the ranks' text from mpirun's and records what mpirun reported.
package struct JobOutput {
    /// A rank killed by a signal, as reported by mpirun.
    package struct Death: Equatable, Sendable {
        package var rank: Int
        package var host: String
        package var signal: Int32
    }

    /// Rank zero announced that all ranks handle signals.
    package private(set) var isReady = false
    /// The exit code with which rank zero has ended, by its last word.
    package private(set) var rootEnd: Int32?
    /// The first rank killed by a signal.
    package private(set) var death: Death?
    /// A host that mpirun lost.
    package private(set) var lostHost: String?
    /// A rank that exited without MPI_Finalize, as "rank 1 on host".
    package private(set) var improperEnd: String?
    /// Whether mpirun reported any end of a rank; otherwise the failure is its own.
    package private(set) var rankEnded = false
    /// mpirun could not start the program.
    package private(set) var programIsMissing = false
    /// mpirun could not start its daemon on a host.
    package private(set) var hostIsUnreachable = false
    /// The host that the remote shell could not reach, and why in its words.
    package private(set) var unreachable: (host: String, reason: String)?
    /// The host on which the working directory is missing.
    package private(set) var hostWithoutDirectory: String?

    /// Whether rank zero has said its last word, or mpirun has seen a rank end and ended the others itself.
    var hasOrderlyEnd: Bool { lostHost == nil && !hostIsUnreachable && (rootEnd != nil || rankEnded) }

    private var held: [UInt8] = []  // the start of a line that may be mpirun's
    private var isAtLineStart = true
    private var beginning: [UInt8] = []  // of the line, whether it is held or not
    private var dashes: [UInt8]?  // a line of dashes that may start a report
    private var report: [[UInt8]]?  // the lines of a report, the dashes included
    private var tail: [UInt8] = []  // the start of a word of rank zero, as `Mpirun.ready`

    /// Starts with nothing read.
    package init() {}

    /// Takes bytes that were read and returns those to show.
    package mutating func pass(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        var shown: [UInt8] = []
        for byte in withoutMarker(bytes) { take(byte, &shown) }
        return shown
    }

    /// The bytes held back at the end of the text.
    package mutating func end() -> [UInt8] {
        var shown: [UInt8] = []
        for byte in tail { take(byte, &shown) }
        if !held.isEmpty { line(held, &shown) }
        shown += (report ?? []).joined() + (dashes ?? [])
        (tail, held, report, dashes) = ([], [], nil, nil)
        return shown
    }

    private static let wordOpening = Array("\u{1B}_tutti ".utf8)
    private static let wordEnd = Array("\u{1B}\\".utf8)
    private static let longestWord = 32
    private static let longestBeginning = 300

    /// The bytes without words of rank zero, which may be split anywhere.
    private mutating func withoutMarker(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        var passed: [UInt8] = []
        for byte in bytes {
            tail.append(byte)
            if tail.count > Self.wordOpening.count, tail.count <= Self.longestWord {
                guard tail.suffix(2).elementsEqual(Self.wordEnd) else { continue }
                if !hear(tail.dropFirst(Self.wordOpening.count).dropLast(2)) { passed += tail }
                tail = []
            } else if !Self.wordOpening.starts(with: tail) {
                // Only the last byte may begin a word.
                let isStart = byte == Self.wordOpening[0] && tail.count > 1
                passed += isStart ? tail.dropLast() : tail[...]
                tail = isStart ? [byte] : []
            }
        }
        return passed
    }

    /// Takes a word of rank zero; false if it is none.
    private mutating func hear(_ bytes: ArraySlice<UInt8>) -> Bool {
        let word = String(decoding: bytes, as: UTF8.self)
        if word == "ready" {
            isReady = true
            return true
        }
        guard word.hasPrefix("end "), let code = Int32(word.dropFirst(4)) else { return false }
        rootEnd = code
        return true
    }

    private mutating func take(_ byte: UInt8, _ shown: inout [UInt8]) {
        let endsLine = byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r")
        if endsLine {
            if !isReady, unreachable == nil { noticeRemoteShell(String(decoding: beginning, as: UTF8.self)) }
            beginning = []
        } else if beginning.count < Self.longestBeginning {
            beginning.append(byte)
        }
        guard isAtLineStart || !held.isEmpty else {
            shown.append(byte)
            isAtLineStart = endsLine
            return
        }
        isAtLineStart = false
        held.append(byte)
        if endsLine {
            line(held, &shown)
            held = []
            isAtLineStart = true
        } else if report == nil, !mayBeMpirun(held) {
            shown += dashes ?? []
            dashes = nil
            shown += held
            held = []
        }
    }

    private static let lineOfDashes = [UInt8](repeating: UInt8(ascii: "-"), count: 74)
    /// The first words of the reports that `keep` parses.
    private static let openings = [
        "mpirun", "Primary job", "MPI_ABORT was invoked", "ORTE has lost communication", "ORTE was unable",
        "An ORTE daemon has unexpectedly failed",
    ].map { Array($0.utf8) }
    private static let mostLines = 60

    private func mayBeMpirun(_ start: [UInt8]) -> Bool {
        if start[0] == UInt8(ascii: "[") { return start.count < 400 }
        if start[0] == UInt8(ascii: "-") {
            return start.count <= Self.lineOfDashes.count && start.allSatisfy { $0 == start[0] }
        }
        let openings = dashes == nil ? Self.openings.prefix(1) : Self.openings[...]
        return openings.contains { opening in zip(opening, start).allSatisfy { $0 == $1 } }
    }

    /// Takes a whole line, including its end.
    private mutating func line(_ bytes: [UInt8], _ shown: inout [UInt8]) {
        let text =
            bytes.last.map { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") } == true
            ? bytes.dropLast() : bytes[...]
        let isDashes = text.elementsEqual(Self.lineOfDashes)
        if report != nil {
            report?.append(bytes)
            if isDashes { close(&shown) }
            if (report?.count ?? 0) > Self.mostLines {
                shown += (report ?? []).joined()
                report = nil
            }
            return
        }
        if let opening = dashes {
            dashes = nil
            if Self.openings.contains(where: { text.starts(with: $0) }) {
                report = [opening, bytes]
                return
            }
            shown += opening
        }
        if isDashes {
            dashes = bytes
            return
        }
        if !isChatter(String(decoding: text, as: UTF8.self)) { shown += bytes }
    }

    /// Learns from a line of ssh or srun which host cannot be reached; the line passes.
    private mutating func noticeRemoteShell(_ line: String) {
        func host(after start: String, until end: Character) -> (String, String)? {
            guard line.hasPrefix(start) else { return nil }
            let rest = line.dropFirst(start.count)
            let host = rest.prefix { $0 != end }
            let reason = line.split(separator: ": ").last.map(String.init) ?? line
            return host.isEmpty || host.count == rest.count ? nil : (String(host), reason)
        }
        if let found = host(after: "ssh: connect to host ", until: " ")
            ?? host(after: "ssh: Could not resolve hostname ", until: ":")
        {
            unreachable = found
        } else if let end = line.firstRange(of: ": Permission denied ("), !line[..<end.lowerBound].contains(" ") {
            let host = line[..<end.lowerBound].split(separator: "@").last.map(String.init) ?? line
            unreachable = (host, "permission denied: ssh needs a key without a password")
        }
    }

    /// Lines of mpirun outside reports that say nothing to a user.
    private func isChatter(_ line: String) -> Bool {
        (line.hasPrefix("mpirun") || line.hasPrefix("(null)")) && line.contains(": Forwarding signal ")
            || line.contains("has sent help message help-") || line.contains("have sent help message help-")
            || line.contains("Set MCA parameter \"orte_base_help_aggregate\"")
            || line.contains("plm:rsh: Warning: setpgid(")  // the daemon's ssh was faster
    }

    /// Ends a report; those that the launcher reports itself are removed.
    private mutating func close(_ shown: inout [UInt8]) {
        let lines = report ?? []
        report = nil
        if !keep(lines.dropFirst().dropLast().map { String(decoding: $0, as: UTF8.self) }.joined()) {
            shown += lines.joined()
        }
    }

    /// Parses a report; false if it should be shown.
    private mutating func keep(_ report: String) -> Bool {
        let words = report.split(whereSeparator: \.isWhitespace).map(String.init)
        func word(after name: String) -> String? {
            words.firstIndex(of: name).flatMap { $0 + 1 < words.count ? words[$0 + 1] : nil }
        }
        if report.hasPrefix("Primary job") || report.hasPrefix("MPI_ABORT was invoked")
            || report.contains("detected that one or more processes exited")
        {
            rankEnded = true
            return true
        }
        if report.contains("noticed that process rank"), let rank = word(after: "rank").flatMap({ Int($0) }),
            let signal = word(after: "signal").flatMap({ Int32($0.prefix(while: \.isNumber)) })
        {
            rankEnded = true
            if death == nil { death = Death(rank: rank, host: word(after: "node") ?? "?", signal: signal) }
            return true
        }
        if report.contains("has exited due to process rank") {
            rankEnded = true
            improperEnd = "rank \(word(after: "rank") ?? "?") on \(word(after: "node") ?? "?")"
            return true
        }
        if report.hasPrefix("ORTE has lost communication") {
            // "HNP daemon : [[1,0],0] on node A", "Remote daemon: [[1,0],1] on node B"
            lostHost =
                words.lastIndex(of: "node").flatMap { _ in
                    words.firstIndex(of: "Remote").flatMap { remote in
                        words[remote...].firstIndex(of: "node").flatMap { $0 + 1 < words.count ? words[$0 + 1] : nil }
                    }
                } ?? "a host"
            return true
        }
        if report.contains("unable to reliably start one or more daemons")
            || report.hasPrefix("An ORTE daemon has unexpectedly failed")
        {
            hostIsUnreachable = true
            return unreachable != nil  // the report lists what it could have been
        }
        if report.contains("unable to launch the specified application"),
            report.contains("specified working directory"), let host = word(after: "Node:")
        {
            hostWithoutDirectory = host
            return true
        }
        notice(report)
        return false
    }

    /// Parses a report that passes.
    private mutating func notice(_ text: String) {
        if text.contains("unable to launch the specified application") { programIsMissing = true }
    }
}
