// Where an extended grapheme cluster ends: what a reader takes for one character, "e" with its accents or CR LF.
//
// The rules are those of Unicode Standard Annex 29 (GB3 to GB11) with the reference's classes (GraphemeTables.swift). GB12
// and GB13, which pair regional indicators, are left out: such a pair has 8 bytes, and clusters of 6 bytes and more are
// not used as a whole (PrecompiledCharsmap.swift). Why not Swift's Character: its Unicode version is another one.

/// Finds grapheme clusters in UTF-8.
struct GraphemeClusters: Sendable {
    /// The shared instance.
    static let shared = GraphemeClusters()

    /// What a code point does to a cluster.
    private enum Kind: UInt8 {
        case other, control, carriageReturn, lineFeed, prepend, extend, spacing, joiner
        case leading, vowel, trailing, open, closed, pictograph, consonant
    }
    /// Further bits of a table entry.
    private static let linker: UInt8 = 0x40
    private static let conjunctExtend: UInt8 = 0x80

    private let table: CodePointTable

    private init() {
        var table = CodePointTable()
        func add(_ text: String, _ flags: UInt8) {
            for range in UnicodeProperties.ranges(text) { table.insert(range, flags) }
        }
        add(GraphemeTables.control, Kind.control.rawValue)
        add(GraphemeTables.prepend, Kind.prepend.rawValue)
        add(GraphemeTables.extend, Kind.extend.rawValue)
        add(GraphemeTables.spacing, Kind.spacing.rawValue)
        add(GraphemeTables.leading, Kind.leading.rawValue)
        add(GraphemeTables.vowel, Kind.vowel.rawValue)
        add(GraphemeTables.trailing, Kind.trailing.rawValue)
        add(GraphemeTables.pictograph, Kind.pictograph.rawValue)
        add(GraphemeTables.consonant, Kind.consonant.rawValue)
        add(GraphemeTables.linker, GraphemeClusters.linker)
        add(GraphemeTables.conjunctExtend, GraphemeClusters.conjunctExtend)
        table.insert(0x0D, Kind.carriageReturn.rawValue)
        table.insert(0x0A, Kind.lineFeed.rawValue)
        table.insert(0x200D, Kind.joiner.rawValue | GraphemeClusters.conjunctExtend)
        for syllable in Hangul.syllables {
            table.insert(syllable, Hangul.isOpen(syllable) ? Kind.open.rawValue : Kind.closed.rawValue)
        }
        self.table = table
    }

    /// The end of the cluster of `bytes` that starts at `start`, at most `limit`.
    func end(_ bytes: [UInt8], _ start: Int, _ limit: Int) -> Int {
        var position = start
        var state = State(table[UTF8Scalars.next(bytes, &position)])
        while position < limit {
            var following = position
            guard state.joins(table[UTF8Scalars.next(bytes, &following)]) else { break }
            position = following
        }
        return position
    }

    /// What has been seen of a cluster.
    private struct State {
        private var last = Kind.other
        /// A pictograph and Extend behind it; with `endsInJoiner` a ZWJ after that.
        private var hasPictograph = false
        private var endsInJoiner = false
        /// A consonant, and a linker behind it.
        private var hasConsonant = false
        private var isLinked = false

        init(_ entry: UInt8) { take(entry, State.kind(entry)) }

        private static func kind(_ entry: UInt8) -> Kind { Kind(rawValue: entry & 0x3F) ?? .other }

        /// Takes the next code point's entry if it belongs to the cluster.
        mutating func joins(_ entry: UInt8) -> Bool {
            let kind = State.kind(entry)
            guard isJoined(to: kind) else { return false }
            take(entry, kind)
            return true
        }

        private func isJoined(to kind: Kind) -> Bool {
            switch (last, kind) {
            case (.carriageReturn, .lineFeed): true  // GB3
            case (.control, _), (.carriageReturn, _), (.lineFeed, _): false  // GB4
            case (_, .control), (_, .carriageReturn), (_, .lineFeed): false  // GB5
            case (.leading, .leading), (.leading, .vowel), (.leading, .open), (.leading, .closed): true  // GB6
            case (.open, .vowel), (.open, .trailing), (.vowel, .vowel), (.vowel, .trailing): true  // GB7
            case (.closed, .trailing), (.trailing, .trailing): true  // GB8
            case (_, .extend), (_, .joiner), (_, .spacing), (.prepend, _): true  // GB9, GB9a, GB9b
            case (_, .consonant): hasConsonant && isLinked  // GB9c
            case (_, .pictograph): endsInJoiner  // GB11
            default: false
            }
        }

        private mutating func take(_ entry: UInt8, _ kind: Kind) {
            endsInJoiner = hasPictograph && kind == .joiner
            hasPictograph = kind == .pictograph || (hasPictograph && kind == .extend)
            if kind == .consonant {
                hasConsonant = true
                isLinked = false
            } else if entry & GraphemeClusters.linker != 0 {
                isLinked = true
            } else if entry & GraphemeClusters.conjunctExtend == 0 {
                hasConsonant = false
                isLinked = false
            }
            last = kind
        }
    }
}
