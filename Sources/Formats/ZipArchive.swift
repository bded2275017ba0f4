// The entries of an uncompressed ZIP file, as torch writes its checkpoints: names and the ranges of their bytes.
//
// What: the directory at the end of the file is read, ZIP64 included, and every length and offset is checked against the
// file. Nothing is unpacked: torch stores its entries, so an entry's bytes are a range of the mapped file. Compressed and
// encrypted entries are refused.
//
// Reference: APPNOTE.TXT 6.3.10 sections 4.3 and 4.4; caffe2/serialize/inline_container.cc in torch.

import TuttiGround

/// The entries of a ZIP file.
struct ZipArchive {
    /// The first bytes of a ZIP file.
    static let magic: [UInt8] = [0x50, 0x4B, 0x03, 0x04]

    /// The range of bytes of each entry by its name.
    private(set) var entries: [String: Range<Int>] = [:]
    private let bytes: UnsafeRawBufferPointer
    private let path: String

    /// Reads the directory of `file`.
    ///
    /// Throws: `.data` that names the file for anything malformed.
    init(_ file: MappedFile) throws(TuttiError) {
        (bytes, path) = (file.bytes, file.path)
        var (start, size, count) = try end()
        while count > 0 {
            guard size >= 46, let header = read(start, 4), header == 0x0201_4B50 else {
                throw malformed("has a damaged directory")
            }
            let lengths = try [28, 30, 32].map { offset throws(TuttiError) in try number(start + offset, 2) }
            let length = 46 + lengths[0] + lengths[1] + lengths[2]
            guard length <= size else { throw malformed("has a damaged directory") }
            let text = UnsafeRawBufferPointer(rebasing: bytes[start + 46..<start + 46 + lengths[0]])
            let name = String(decoding: text, as: UTF8.self)
            let isNew = entries.updateValue(try range(of: name, at: start, lengths), forKey: name) == nil
            guard isNew else { throw malformed("has two entries '\(name)'") }
            (start, size, count) = (start + length, size - length, count - 1)
        }
    }

    /// Start and size of the directory, and its number of entries.
    private func end() throws(TuttiError) -> (start: Int, size: Int, count: Int) {
        var place = bytes.count - 22
        let last = max(0, place - 0xFFFF)  // a comment may follow
        while place >= last, read(place, 4) != 0x0605_4B50 { place -= 1 }
        guard place >= last, place >= 0 else {
            throw malformed("has no directory at its end, so it is truncated or not a ZIP file")
        }
        var count = try number(place + 10, 2)
        var size = try number(place + 12, 4)
        var start = try number(place + 16, 4)
        if count == 0xFFFF || size == 0xFFFF_FFFF || start == 0xFFFF_FFFF {
            guard place >= 20, read(place - 20, 4) == 0x0706_4B50 else { throw malformed("lacks its ZIP64 record") }
            let record = try number(place - 12, 8)
            guard read(record, 4) == 0x0606_4B50 else { throw malformed("has a damaged ZIP64 record") }
            (count, size) = (try number(record + 32, 8), try number(record + 40, 8))
            start = try number(record + 48, 8)
        }
        guard start <= bytes.count, size <= bytes.count - start else {
            throw malformed("is truncated: its directory lies outside of the file")
        }
        return (start, size, count)
    }

    /// The bytes of the entry whose directory header starts at `header`.
    private func range(of name: String, at header: Int, _ lengths: [Int]) throws(TuttiError) -> Range<Int> {
        func damaged(_ problem: String) -> TuttiError { malformed("the entry '\(name)' \(problem)") }
        guard try number(header + 8, 2) & 1 == 0 else { throw damaged("is encrypted") }
        guard try number(header + 10, 2) == 0 else {
            throw damaged("is compressed, which torch does not do")
        }
        var packed = try number(header + 20, 4)
        var size = try number(header + 24, 4)
        var local = try number(header + 42, 4)
        // The ZIP64 field holds, in this order, what does not fit its own field.
        var (place, end) = (header + 46 + lengths[0], header + 46 + lengths[0] + lengths[1])
        while end - place >= 4 {
            let (kind, length) = (try number(place, 2), try number(place + 2, 2))
            place += 4
            guard length <= end - place else { break }
            if kind == 1 {
                end = place + length
                func wide(_ value: inout Int) throws(TuttiError) {
                    guard value == 0xFFFF_FFFF, end - place >= 8 else { return }
                    value = try number(place, 8)
                    place += 8
                }
                try wide(&size)
                try wide(&packed)
                try wide(&local)
                break
            }
            place += length
        }
        guard packed == size else { throw damaged("is compressed, which torch does not do") }
        guard local <= bytes.count - 30, read(local, 4) == 0x0403_4B50 else { throw damaged("has no header") }
        let start = local + 30 + (try number(local + 26, 2)) + (try number(local + 28, 2))
        guard start <= bytes.count, size <= bytes.count - start else {
            throw damaged("is truncated: \(size) bytes at byte \(start) of \(bytes.count)")
        }
        return start..<start + size
    }

    /// The little-endian number of `width` bytes at `place`; nil outside of the file.
    private func read(_ place: Int, _ width: Int) -> UInt64? {
        guard place >= 0, place <= bytes.count - width else { return nil }
        return bytes[place..<place + width].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The same as a length or an offset.
    private func number(_ place: Int, _ width: Int) throws(TuttiError) -> Int {
        guard let value = read(place, width), value < UInt64(1) << 56 else {
            throw malformed("has a damaged directory")
        }
        return Int(value)
    }

    private func malformed(_ problem: String) -> TuttiError {
        TuttiError(.data, "read weights", path, problem, hint: "The file is damaged; fetch it again.")
    }
}
