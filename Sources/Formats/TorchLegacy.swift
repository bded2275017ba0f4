// Checkpoints of torch before 1.6: five pickles in a row, then the bytes of the storages.
//
//   magic number, protocol 1001, {"little_endian": true, ...}, the object, [storage key, ...]
//   for each key: the number of its elements in eight bytes, and the elements
//
// Reference: torch/serialization.py (_legacy_save, _legacy_load).

import TuttiGround

/// The parts of a checkpoint in the older format.
enum TorchLegacy {
    /// The pickle of torch's magic number.
    private static let magic: [UInt8] = [
        0x80, 0x02, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E,
    ]

    /// Whether a file that starts with `bytes` has this format.
    static func begins(_ bytes: UnsafeRawBufferPointer) -> Bool { bytes.starts(with: magic) }

    /// The pickle of the object, and the bytes of storages by their keys.
    ///
    /// Throws: what is wrong with the file.
    static func contents(_ bytes: UnsafeRawBufferPointer) throws(Pickle.Flaw) -> (Pickle, [String: Range<Int>]) {
        let version = try Pickle(bytes, from: magic.count)
        guard case .integer(1001) = version.value else { throw Pickle.Flaw(problem: "is of an unknown version") }
        let system = try Pickle(bytes, from: version.end)
        guard try isLittleEndian(system) else { throw Pickle.Flaw(problem: "is not in little-endian order") }
        let object = try Pickle(bytes, from: system.end)
        let list = try Pickle(bytes, from: object.end)
        guard case .list(let keys) = list.value else { throw Pickle.Flaw(problem: "lacks its list of storages") }
        var storages: [String: Range<Int>] = [:]
        var place = list.end
        for item in list.items(keys) {
            guard case .text(let key) = item, let storage = object.storages[key], storages[key] == nil else {
                throw Pickle.Flaw(problem: "lists a storage that no tensor has")
            }
            guard place <= bytes.count - 8 else { throw Pickle.Flaw(problem: "is truncated") }
            let count = Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: Int64.self))
            let size = storage.count.multipliedReportingOverflow(by: storage.type?.width ?? 1)
            guard count == storage.count, !size.overflow, size.partialValue <= bytes.count - place - 8 else {
                throw Pickle.Flaw(problem: "has the storage '\(key)' of \(count) elements, or is truncated")
            }
            storages[key] = place + 8..<place + 8 + size.partialValue
            place += 8 + size.partialValue
        }
        return (object, storages)
    }

    private static func isLittleEndian(_ pickle: Pickle) throws(Pickle.Flaw) -> Bool {
        guard case .dictionary(let place) = pickle.value else { throw Pickle.Flaw(problem: "lacks its description") }
        let items = pickle.items(place)
        for place in stride(from: 0, to: items.count - 1, by: 2) {
            if case .text("little_endian") = items[place], case .bool(let isLittle) = items[place + 1] {
                return isLittle
            }
        }
        return false
    }
}
