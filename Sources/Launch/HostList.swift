// HostList: how many ranks the hosts of a hostfile or of --host take.

import TuttiGround

/// Counts the slots of hosts.
package enum HostList {
    /// The slots of a hostfile: lines `name slots=N`, one slot if not given; `#` starts a comment.
    ///
    /// - Throws: code 66 if it cannot be read, 65 if it names no host or has an invalid number of slots.
    package static func slots(hostfile path: String) throws(TuttiError) -> Int {
        guard let text = SystemFile.text(path) else {
            throw TuttiError(.missingFile, "", path, "no such hostfile")
        }
        var sum = 0
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace)
            if words.isEmpty { continue }
            var slots = 1
            for word in words.dropFirst() where word.hasPrefix("slots=") {
                guard let number = Int(word.dropFirst(6)), number > 0 else {
                    throw TuttiError(
                        .data, "read hosts", "\(path):\(index + 1)",
                        "\(word): slots must be a positive integer")
                }
                slots = number
            }
            sum += slots
        }
        guard sum > 0 else { throw TuttiError(.data, "read hosts", path, "names no host") }
        return sum
    }

    /// The slots of a list A:N,B:N; one if not given.
    ///
    /// - Throws: code 64 if it names no host or has an invalid number of slots.
    package static func slots(hosts: String) throws(TuttiError) -> Int {
        var sum = 0
        for host in hosts.split(separator: ",") {
            let parts = host.split(separator: ":", omittingEmptySubsequences: false)
            let slots = parts.count > 1 ? Int(parts[1]) ?? 0 : 1
            guard slots > 0 else {
                throw TuttiError(.usage, "", "--host", "\(host): slots must be a positive integer")
            }
            sum += slots
        }
        guard sum > 0 else { throw TuttiError(.usage, "", "--host", "names no host") }
        return sum
    }
}
