// BERT's normalizer in one pass over the bytes: clean text, isolate CJK characters, strip accents, lowercase.
//
// The reference runs four passes. They fold into one because each maps code points independently, except for the
// canonical reordering of strip accents (NFD): marks with a combining class wait in `pending` until the next class-0
// code point. ASCII uses a table of 128 bytes. Reference: tokenizers/src/normalizers/bert.rs.

/// The BertNormalizer of tokenizer.json.
struct BertNormalizer: Sendable {
    let cleanText: Bool
    let handleChineseCharacters: Bool
    let stripAccents: Bool
    let lowercase: Bool
    /// The replacement of each ASCII byte; `BertNormalizer.removed` removes it.
    private let ascii: [UInt8]
    private static let removed: UInt8 = 0xFF

    /// A normalizer; `stripAccents` nil follows `lowercase`.
    init(cleanText: Bool, handleChineseCharacters: Bool, stripAccents: Bool?, lowercase: Bool) {
        self.cleanText = cleanText
        self.handleChineseCharacters = handleChineseCharacters
        self.stripAccents = stripAccents ?? lowercase
        self.lowercase = lowercase
        let properties = UnicodeProperties.shared
        ascii = (0..<128 as Range<UInt32>).map { point in
            if cleanText {
                if properties.flags(point).contains(.dropped) { return BertNormalizer.removed }
                if properties.cleanedSpaces.contains(point) { return 0x20 }
            }
            return UInt8(lowercase && (0x41...0x5A).contains(point) ? point + 0x20 : point)
        }
    }

    /// Appends the normalized form of `source[range]` to `target`; `pending` is scratch.
    func normalize(
        _ source: [UInt8], _ range: Range<Int>, to target: inout [UInt8], pending: inout [(UInt8, UInt32)]
    ) {
        let properties = UnicodeProperties.shared
        pending.removeAll(keepingCapacity: true)
        var position = range.lowerBound
        while position < range.upperBound {
            let byte = source[position]
            if byte < 0x80 {
                position += 1
                let mapped = ascii[Int(byte)]
                if mapped != BertNormalizer.removed {
                    if !pending.isEmpty { flush(&pending, to: &target, properties) }
                    target.append(mapped)
                }
                continue
            }
            let point = UTF8Scalars.next(source, &position)
            let flags = properties.flags(point)
            if flags.isDisjoint(with: [.dropped, .space, .cjk, .nonspacing, .normalizes, .cased]) {
                if !pending.isEmpty { flush(&pending, to: &target, properties) }
                UTF8Scalars.append(point, to: &target)
                continue
            }
            if cleanText {
                if flags.contains(.dropped) { continue }
                if flags.contains(.space), properties.cleanedSpaces.contains(point) {
                    emit(0x20, &pending, to: &target, properties)
                    continue
                }
            }
            let apart = handleChineseCharacters && flags.contains(.cjk)
            if apart { emit(0x20, &pending, to: &target, properties) }
            if stripAccents, flags.contains(.normalizes) {
                if Hangul.syllables.contains(point) {
                    Hangul.decompose(point) { emit($0, &pending, to: &target, properties) }
                } else if let parts = properties.canonical[point] {
                    for part in parts { emit(part, &pending, to: &target, properties) }
                } else {
                    emit(point, &pending, to: &target, properties)
                }
            } else {
                emit(point, &pending, to: &target, properties)
            }
            if apart { emit(0x20, &pending, to: &target, properties) }
        }
        flush(&pending, to: &target, properties)
    }

    /// Takes the next decomposed code point: writes it, or queues it among the marks.
    private func emit(
        _ point: UInt32, _ pending: inout [(UInt8, UInt32)], to target: inout [UInt8], _ properties: UnicodeProperties
    ) {
        guard stripAccents else { return write(point, to: &target, properties) }
        let combiningClass = properties.combiningClass(point)
        if combiningClass == 0 {
            if !pending.isEmpty { flush(&pending, to: &target, properties) }
            if !properties.flags(point).contains(.nonspacing) { write(point, to: &target, properties) }
        } else if !properties.flags(point).contains(.nonspacing) {
            pending.append((combiningClass, point))
        }
    }

    private func flush(
        _ pending: inout [(UInt8, UInt32)], to target: inout [UInt8], _ properties: UnicodeProperties
    ) {
        NormalizationForm.sortMarks(&pending)
        for (_, point) in pending { write(point, to: &target, properties) }
        pending.removeAll(keepingCapacity: true)
    }

    private func write(_ point: UInt32, to target: inout [UInt8], _ properties: UnicodeProperties) {
        if lowercase, properties.flags(point).contains(.cased), let lower = properties.lowercase[point] {
            for part in lower { UTF8Scalars.append(part, to: &target) }
        } else {
            UTF8Scalars.append(point, to: &target)
        }
    }
}
