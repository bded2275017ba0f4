// HostList: the hosts of a job and the ranks that each takes, from a hostfile, from --host, from a batch system.
//
// Names are kept as they are given, because mpirun gets the same ones. A name that occurs again adds its slots, as a
// PBS_NODEFILE has one line for every rank.

import TuttiGround

/// A host of a job.
package struct Host: Equatable, Sendable {
    /// Its name or address, as ssh takes it.
    package var name: String
    /// The ranks that it takes.
    package var slots: Int

    /// A host that takes `slots` ranks.
    package init(_ name: String, slots: Int) {
        self.name = name
        self.slots = slots
    }
}

/// Reads lists of hosts.
package enum HostList {
    /// The hosts of a hostfile: lines `name slots=N max_slots=M`, one slot if not given; `#` starts a comment.
    ///
    /// - Throws: code 66 if it cannot be read, 65 if it names no host or has an invalid line.
    package static func hosts(hostfile path: String) throws(TuttiError) -> [Host] {
        guard let text = SystemFile.text(path) else {
            throw TuttiError(.missingFile, "", path, "no such hostfile")
        }
        var hosts: [Host] = []
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            func invalid(_ problem: String) -> TuttiError {
                TuttiError(
                    .data, "read hosts", "\(path):\(index + 1)", problem, hint: "A line is: name slots=N max_slots=M.")
            }
            // Open MPI takes spaces around "=" too.
            let words = line.prefix { $0 != "#" }.split(separator: "=", omittingEmptySubsequences: false)
                .map(trimmed).joined(separator: "=").split(whereSeparator: \.isWhitespace)
            guard let name = words.first else { continue }
            if name.contains("=") || isName(name, followedBy: ":") {
                throw invalid("\(name): is not the name of a host")
            }
            var (slots, most) = (1, Int.max)
            for word in words.dropFirst() {
                let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                let key = parts[0].replacing("-", with: "_").lowercased()
                guard ["slots", "slot", "max_slots", "cpus", "cpu", "count"].contains(key) else {
                    if key == "port" || key == "user" || key == "username" { continue }
                    throw invalid("\(word): unknown word")
                }
                guard parts.count == 2, let number = Int(parts[1]), number > 0 else {
                    throw invalid("\(word): \(key) must be a positive integer")
                }
                if key == "max_slots" { most = number } else { slots = number }
            }
            guard slots <= most else { throw invalid("slots=\(slots) is more than max_slots=\(most)") }
            add(Host(String(name), slots: slots), to: &hosts)
        }
        guard !hosts.isEmpty else { throw TuttiError(.data, "read hosts", path, "names no host") }
        return hosts
    }

    /// The hosts of a list A:N,B:N; one slot if not given.
    ///
    /// - Throws: code 64 if it names no host or has an invalid number of slots.
    package static func hosts(list: String) throws(TuttiError) -> [Host] {
        var hosts: [Host] = []
        for host in list.split(separator: ",") {
            let parts = host.split(separator: ":", omittingEmptySubsequences: false)
            let slots = parts.count == 1 ? 1 : parts.count == 2 ? Int(parts[1]) ?? 0 : 0
            guard slots > 0, let name = parts.first, !name.isEmpty else {
                throw TuttiError(
                    .usage, "", "--host", "\(host): slots must be a positive integer",
                    hint: "A list is: node01:4,node02:4.")
            }
            add(Host(String(name), slots: slots), to: &hosts)
        }
        guard !hosts.isEmpty else { throw TuttiError(.usage, "", "--host", "names no host") }
        return hosts
    }

    /// The nodes of Slurm, such as "node[01-03,7],gpu1", with their tasks, such as "2(x3),1,4".
    ///
    /// - Returns: no host if the numbers do not fit or the list is not understood.
    package static func hosts(slurmNodes: String, tasks: String) -> [Host] {
        let names = parts(of: slurmNodes).flatMap(expanded)
        var slots: [Int] = []
        for part in tasks.split(separator: ",") {
            let words = part.split(separator: "(")
            guard let count = words.first.flatMap({ Int($0) }) else { return [] }
            let times = words.count > 1 ? Int(words[1].drop { $0 == "x" }.prefix(while: \.isNumber)) : 1
            guard let times, times > 0 else { return [] }
            slots += Array(repeating: count, count: times)
        }
        guard names.count == slots.count else { return [] }
        return zip(names, slots).map { Host($0, slots: $1) }
    }

    /// A list for --host.
    package static func list(_ hosts: [Host]) -> String {
        hosts.map { "\($0.name):\($0.slots)" }.joined(separator: ",")
    }

    private static func add(_ host: Host, to hosts: inout [Host]) {
        if let place = hosts.firstIndex(where: { $0.name == host.name }) {
            hosts[place].slots += host.slots
        } else {
            hosts.append(host)
        }
    }

    /// Whether a word is "name:number", another launcher's spelling.
    private static func isName(_ word: Substring, followedBy mark: Character) -> Bool {
        let parts = word.split(separator: mark, omittingEmptySubsequences: false)
        return parts.count == 2 && Int(parts[1]) != nil
    }

    private static func trimmed(_ text: Substring) -> Substring {
        let start = text.drop(while: \.isWhitespace)
        guard let last = start.lastIndex(where: { !$0.isWhitespace }) else { return "" }
        return start[...last]
    }

    /// The parts between commas that are outside brackets.
    private static func parts(of list: String) -> [Substring] {
        var depth = 0
        return list.split { character in
            if character == "[" { depth += 1 }
            if character == "]" { depth -= 1 }
            return character == "," && depth == 0
        }
    }

    /// The names of "a[1-2]b[3,5]": every number of the first bracket with every one of the next.
    private static func expanded(_ name: Substring) -> [String] {
        guard let open = name.firstIndex(of: "["), let close = name[open...].firstIndex(of: "]") else {
            return [String(name)]
        }
        let rest = expanded(name[name.index(after: close)...])
        return name[name.index(after: open)..<close].split(separator: ",").flatMap { range -> [String] in
            let ends = range.split(separator: "-")
            guard let first = ends.first, let low = Int(first), let high = ends.last.flatMap({ Int($0) }), low <= high
            else { return [] }
            return (low...high).flatMap { number in
                let digits = String(number)
                let zeros = String(repeating: "0", count: max(0, first.count - digits.count))
                return rest.map { name[..<open] + zeros + digits + $0 }
            }
        }
    }
}
