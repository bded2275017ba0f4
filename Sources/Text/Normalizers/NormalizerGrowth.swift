// How much a normalizer can lengthen a text: a bound known before any text is seen.
//
// Why: a tokenizer.json of a few lines can double a text 34 times. A replacement multiplies only what it matches, and a
// later one multiplies again only if it can match the output of an earlier one; the bound is the largest product along
// such a chain. Normalization forms and case mappings multiply by what Unicode allows and may write any byte.

import TuttiGround

/// The bound of a normalizer.
struct NormalizerGrowth {
    /// Limits of normalizers: the factor by which they may lengthen a text, the bytes that they may prepend, and the
    /// steps of a sequence.
    static let growthLimit = 1024.0
    static let prefixLimit = 4096
    static let stepLimit = 1024

    /// The steps in order, sequences flattened.
    private let steps: [Normalizer]

    /// The bound of `normalizer`.
    init(_ normalizer: Normalizer) { steps = Self.flattened(normalizer) }

    /// Refuses a normalizer that can lengthen texts beyond the limits.
    ///
    /// Throws: `.data` that names the limit.
    func check(_ place: TokenizerPlace) throws(TuttiError) {
        guard steps.count <= Self.stepLimit else {
            throw place.error(
                key: "normalizer", "has \(steps.count) steps; the limit is \(Self.stepLimit)")
        }
        var prefix = 0
        var reached: [Double] = []  // the growth of a byte last written by this step
        let read = steps.map(Self.bytesRead)
        let written = steps.map(Self.bytesWritten)
        for (place, step) in steps.enumerated() {
            if case .prepend(let bytes) = step { prefix += bytes.count }
            let before = (0..<place).reduce(1.0) { most, earlier in
                read[place].isDisjoint(with: written[earlier]) ? most : max(most, reached[earlier])
            }
            reached.append(before * Self.factor(of: step))
        }
        guard prefix <= Self.prefixLimit else {
            throw place.error(
                key: "normalizer", "prepends \(prefix) bytes to a text; the limit is \(Self.prefixLimit)")
        }
        let growth = reached.max() ?? 1
        guard growth <= Self.growthLimit else {
            let times = growth < 1e15 ? "\(Int(growth))" : "more than 10^15"
            throw place.error(
                key: "normalizer",
                "can make a text \(times) times as long; the limit is \(Int(Self.growthLimit)) times")
        }
    }

    private static func flattened(_ normalizer: Normalizer) -> [Normalizer] {
        if case .sequence(let parts) = normalizer { return parts.flatMap(flattened) }
        return [normalizer]
    }

    /// The factor by which the step lengthens what it matches.
    private static func factor(of step: Normalizer) -> Double {
        switch step {
        case .replace(let pattern, let content): pattern.growth(content)
        case .form(let form): form == .nfkc || form == .nfkd ? 11 : 3  // U+FDFA; U+0390
        case .lowercase: 1.5  // U+0130
        case .byteLevel: 2
        case .bert: 6  // canonical decomposition, and a space on either side of CJK characters
        case .precompiled(let charsmap): Double(max(1, charsmap.longestReplacement))
        case .stripAccents, .strip, .prepend, .nmt, .sequence: 1
        }
    }

    private static let anyByte = Set<UInt8>(0...255)

    /// The bytes that the step matches.
    private static func bytesRead(by step: Normalizer) -> Set<UInt8> {
        if case .replace(let pattern, _) = step { return pattern.bytes }
        return anyByte
    }

    /// The bytes that the step may write.
    private static func bytesWritten(by step: Normalizer) -> Set<UInt8> {
        switch step {
        case .replace(_, let content), .prepend(let content): Set(content)
        default: anyByte
        }
    }
}
