// Decodes and encodes UTF-8 code points. The bytes come from a String, so they are well formed.

/// Reads and writes single code points in arrays of UTF-8.
enum UTF8Scalars {
    /// The code point that starts at `position`, which is moved past it.
    @inline(__always)
    static func next(_ bytes: [UInt8], _ position: inout Int) -> UInt32 {
        let lead = UInt32(bytes[position])
        if lead < 0x80 {
            position += 1
            return lead
        }
        if lead < 0xE0 {
            let point = (lead & 0x1F) << 6 | UInt32(bytes[position + 1] & 0x3F)
            position += 2
            return point
        }
        if lead < 0xF0 {
            let middle = UInt32(bytes[position + 1] & 0x3F) << 6
            let point = (lead & 0x0F) << 12 | middle | UInt32(bytes[position + 2] & 0x3F)
            position += 3
            return point
        }
        let high = (lead & 0x07) << 18 | UInt32(bytes[position + 1] & 0x3F) << 12
        let point = high | UInt32(bytes[position + 2] & 0x3F) << 6 | UInt32(bytes[position + 3] & 0x3F)
        position += 4
        return point
    }

    /// The number of bytes of the code point whose first byte is `lead`.
    @inline(__always)
    static func length(lead: UInt8) -> Int { lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4 }

    /// The code point that ends before `position`, which is moved to its start.
    static func previous(_ bytes: [UInt8], _ position: inout Int) -> UInt32 {
        repeat { position -= 1 } while bytes[position] & 0xC0 == 0x80
        var start = position
        return next(bytes, &start)
    }

    /// Appends `point` to `bytes`.
    @inline(__always)
    static func append(_ point: UInt32, to bytes: inout [UInt8]) {
        if point < 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: point))
        } else if point < 0x800 {
            bytes.append(UInt8(truncatingIfNeeded: 0xC0 | point >> 6))
            bytes.append(UInt8(truncatingIfNeeded: 0x80 | point & 0x3F))
        } else if point < 0x10000 {
            bytes.append(UInt8(truncatingIfNeeded: 0xE0 | point >> 12))
            bytes.append(UInt8(truncatingIfNeeded: 0x80 | point >> 6 & 0x3F))
            bytes.append(UInt8(truncatingIfNeeded: 0x80 | point & 0x3F))
        } else {
            bytes.append(UInt8(truncatingIfNeeded: 0xF0 | point >> 18))
            bytes.append(UInt8(truncatingIfNeeded: 0x80 | point >> 12 & 0x3F))
            bytes.append(UInt8(truncatingIfNeeded: 0x80 | point >> 6 & 0x3F))
            bytes.append(UInt8(truncatingIfNeeded: 0x80 | point & 0x3F))
        }
    }
}
