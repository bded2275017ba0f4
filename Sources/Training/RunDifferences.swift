// In what two configurations differ, key by key, for the message that refuses a directory that holds another run.

import TuttiFormats
import TuttiGround

/// The keys in which two configurations differ.
struct RunDifferences {
    /// One line a key: "args.learning_rate was 2e-05 and is 5e-05".
    let lines: [String]

    private static let shownKeys = 20
    private static let shownWidth = 60

    init(before: JSONValue, now: JSONValue) {
        var lines: [String] = []
        RunDifferences.compare(before, now, path: "", into: &lines)
        self.lines = lines
    }

    /// All of them in one line; beyond the twentieth only how many there are.
    var summary: String {
        let rest = lines.count - RunDifferences.shownKeys
        return lines.prefix(RunDifferences.shownKeys).joined(separator: "; ")
            + (rest > 0 ? "; and \(rest) more keys" : "")
    }

    private static func compare(_ before: JSONValue?, _ now: JSONValue?, path: String, into lines: inout [String]) {
        if before == now { return }
        func member(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }
        if let old = before?.object, let new = now?.object {
            for key in old.keys + new.keys.filter({ !old.contains(key: $0) }) {
                compare(old[key], new[key], path: member(key), into: &lines)
            }
        } else if let old = before?.array, let new = now?.array, old.count == new.count,
            zip(old, new).contains(where: { $0.object != nil && $1.object != nil })
        {
            for place in old.indices { compare(old[place], new[place], path: member("\(place)"), into: &lines) }
        } else {
            let (old, new) = shortened(text(before), text(now))
            lines.append("\"\(path)\" was \(old) and is \(new)")
        }
    }

    private static func text(_ value: JSONValue?) -> String { value?.serialized() ?? "absent" }

    /// Two texts cut to the surroundings of the first character in which they differ.
    static func shortened(_ before: String, _ now: String) -> (String, String) {
        let (old, new) = (Array(before), Array(now))
        if max(old.count, new.count) <= shownWidth { return (before, now) }
        let same = zip(old, new).prefix { $0 == $1 }.count
        let start = same < shownWidth / 2 ? 0 : same - shownWidth / 3
        func cut(_ text: [Character]) -> String {
            let end = min(text.count, start + shownWidth)
            let middle = String(text[min(start, end)..<end])
            return (start > 0 ? "..." : "") + middle + (end < text.count ? "..." : "")
        }
        return (cut(old), cut(new))
    }
}
