// The texts of a table, by number: in memory, or in the files of a cache, of which the system keeps in memory what is used.

import TuttiGround

/// Texts as stretches of one block of UTF-8.
enum TableTexts: Sendable {
    /// One block, and where each text ends in it.
    case memory(bytes: [UInt8], ends: [Int])
    /// Files that the table maps.
    case stored(RowStore)

    /// How many texts there are.
    var count: Int {
        switch self {
        case .memory(_, let ends): ends.count
        case .stored(let store): store.offsets.count
        }
    }

    /// Where text `number` is in the block.
    func range(_ number: Int) -> Range<Int> {
        switch self {
        case .memory(_, let ends): (number == 0 ? 0 : ends[number - 1])..<ends[number]
        case .stored(let store): store.offsets[number]
        }
    }

    /// Calls `body` with the whole block.
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        switch self {
        case .memory(let bytes, _): bytes.withUnsafeBytes(body)
        case .stored(let store): withExtendedLifetime(store) { body(store.texts.bytes) }
        }
    }

    /// Text `number`.
    func string(_ number: Int) -> String {
        let range = range(number)
        return withBytes { String(decoding: UnsafeRawBufferPointer(rebasing: $0[range]), as: UTF8.self) }
    }
}
