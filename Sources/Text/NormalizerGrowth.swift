// How much longer a normalizer can make a text: a bound that is known before any text is seen.
//
// Why: a tokenizer.json of a few lines can double a text 34 times. A replacement multiplies only what it meets, and a
// later one multiplies again only where it can meet what an earlier one wrote; the bound is the largest product along
// such a chain. Normal forms and case mappings multiply by what Unicode allows and may write any byte.

import TuttiGround

extension Normalizer {
    /// The largest factor by which normalizers may lengthen a text, the most bytes that they may put before it, and the
    /// most steps of a sequence.
    static let growthLimit = 1024.0
    static let prefixLimit = 4096
    static let stepLimit = 1024

    /// Refuses a normalizer that can make texts longer than the limits allow.
    ///
    /// Throws: `.data` that names the limit.
    func checkGrowth(_ place: TokenizerPlace) throws(TuttiError) {
        var steps: [Normalizer] = []
        flatten(into: &steps)
        guard steps.count <= Normalizer.stepLimit else {
            throw place.error(
                key: "normalizer", "has \(steps.count) steps; at most \(Normalizer.stepLimit) are allowed")
        }
        var prefix = 0
        var reached: [Double] = []  // the growth of a byte whose last step this was
        let read = steps.map(\.bytesRead)
        let written = steps.map(\.bytesWritten)
        for (place, step) in steps.enumerated() {
            if case .prepend(let bytes) = step { prefix += bytes.count }
            let before = (0..<place).reduce(1.0) { most, earlier in
                read[place].isDisjoint(with: written[earlier]) ? most : max(most, reached[earlier])
            }
            reached.append(before * step.factor)
        }
        guard prefix <= Normalizer.prefixLimit else {
            throw place.error(
                key: "normalizer", "puts \(prefix) bytes before a text; at most \(Normalizer.prefixLimit) are allowed")
        }
        let growth = reached.max() ?? 1
        guard growth <= Normalizer.growthLimit else {
            let times = growth < 1e15 ? "\(Int(growth))" : "more than 10^15"
            throw place.error(
                key: "normalizer",
                "can make a text \(times) times as long; at most \(Int(Normalizer.growthLimit)) times is allowed")
        }
    }

    private func flatten(into steps: inout [Normalizer]) {
        guard case .sequence(let parts) = self else { return steps.append(self) }
        for part in parts { part.flatten(into: &steps) }
    }

    /// How much longer the step makes what it meets.
    private var factor: Double {
        switch self {
        case .replace(let pattern, let content): max(1, Double(content.count) / Double(pattern.count))
        case .form(let form): form == .nfkc || form == .nfkd ? 11 : 3  // U+FDFA; U+0390
        case .lowercase: 1.5  // U+0130
        case .bert: 6  // a canonical decomposition, and a blank at either side of CJK characters
        case .stripAccents, .strip, .prepend, .sequence: 1
        }
    }

    private static let anyByte = Set<UInt8>(0...255)

    /// The bytes that the step looks for.
    private var bytesRead: Set<UInt8> {
        if case .replace(let pattern, _) = self { return Set(pattern) }
        return Normalizer.anyByte
    }

    /// The bytes that the step may write.
    private var bytesWritten: Set<UInt8> {
        switch self {
        case .replace(_, let content), .prepend(let content): Set(content)
        default: Normalizer.anyByte
        }
    }
}
