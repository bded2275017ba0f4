// "Did you mean ...": the known name that is closest to a misspelled one.
//
// Distance = Levenshtein over lower-cased characters with transposition of neighbours counted as one edit, and '-', '_'
// and ' ' equal, so that "per-device-batch" finds "per_device_batch".

/// The name among `names` that is closest to `name`, or nil if none is close enough.
package func nearestName(to name: String, among names: [String]) -> String? {
    guard !name.isEmpty else { return nil }
    let wanted = folded(name)
    var best: (name: String, distance: Int)?
    for candidate in names {
        let distance = editDistance(wanted, folded(candidate))
        if distance < best?.distance ?? Int.max { best = (candidate, distance) }
    }
    guard let best else { return nil }
    let longest = max(wanted.count, best.name.count)
    return best.distance <= max(1, min(longest - 1, (longest + 2) / 3)) ? best.name : nil
}

extension TuttiError {
    /// A hint for an unknown name: the nearest known one, if any, and the full list if it is short.
    package static func hint(unknown name: String, known names: [String]) -> String {
        let list = names.prefix(24).joined(separator: ", ") + (names.count > 24 ? " ..." : "")
        guard let nearest = nearestName(to: name, among: names) else {
            return names.isEmpty ? "There are none." : "Known: \(list)."
        }
        return names.count <= 24 ? "Did you mean '\(nearest)'? Known: \(list)." : "Did you mean '\(nearest)'?"
    }
}

private func folded(_ name: String) -> [Character] {
    name.lowercased().map { $0 == "-" || $0 == " " ? "_" : $0 }
}

/// Optimal string alignment distance.
private func editDistance(_ a: [Character], _ b: [Character]) -> Int {
    if a.isEmpty || b.isEmpty { return max(a.count, b.count) }
    var beforeLast = [Int](repeating: 0, count: b.count + 1)
    var last = Array(0...b.count)
    var current = beforeLast
    for i in 1...a.count {
        current[0] = i
        for j in 1...b.count {
            let same = a[i - 1] == b[j - 1]
            var cost = min(last[j] + 1, current[j - 1] + 1, last[j - 1] + (same ? 0 : 1))
            if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { cost = min(cost, beforeLast[j - 2] + 1) }
            current[j] = cost
        }
        (beforeLast, last, current) = (last, current, beforeLast)
    }
    return last[b.count]
}
