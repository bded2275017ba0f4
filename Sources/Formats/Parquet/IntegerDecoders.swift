// Encodings of whole numbers: runs and packed bits (levels, indices of dictionaries, booleans), and packed differences.
//
// Both give one number at a time: a run of a billion zeroes takes no memory.
// Reference: Encodings.md in apache/parquet-format.

/// Runs of one value, and values in packed bits, mixed: the encoding RLE.
struct RunDecoder {
    private var reader: BoundedReader
    private let width: Int
    /// What is left of a run of `value`.
    private var repeats: UInt64 = 0
    private var value: UInt64 = 0
    /// What is left of packed values.
    private var packed: UInt64 = 0
    private var bits = BitReader()

    /// The numbers of `width` bits in `bytes`.
    init(_ bytes: UnsafeRawBufferPointer, width: Int) {
        reader = BoundedReader(bytes)
        self.width = width
    }

    /// The next number.
    mutating func next() throws(Damage) -> Int {
        while repeats == 0, packed == 0 {
            let header = try reader.varint()
            if header & 1 == 0 {
                repeats = header >> 1
                value = 0
                for place in 0..<(width + 7) / 8 { value |= UInt64(try reader.byte()) << UInt64(8 * place) }
                guard width == 64 || value >> UInt64(width) == 0 else {
                    throw Damage("a run repeats \(value), which takes more than \(width) bits")
                }
            } else {
                let (count, overflows) = (header >> 1).multipliedReportingOverflow(by: 8)
                guard !overflows else { throw Damage("a run has more values than can be counted") }
                packed = count
                // The last run may end with the values that are needed.
                let (length, isLong) = Int(clamping: header >> 1).multipliedReportingOverflow(by: width)
                bits = BitReader(try reader.take(isLong ? reader.left : min(length, reader.left)))
            }
        }
        if repeats > 0 {
            repeats -= 1
            return Int(truncatingIfNeeded: value)
        }
        packed -= 1
        return Int(truncatingIfNeeded: try bits.next(width))
    }
}

/// Numbers in packed bits, the lowest bit first.
struct BitReader {
    private var bytes = BoundedReader(UnsafeRawBufferPointer(start: nil, count: 0))
    private var held: UInt64 = 0
    private var heldBits = 0

    init() {}

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = BoundedReader(bytes) }

    /// The next number of `width` bits, 0 to 64.
    mutating func next(_ width: Int) throws(Damage) -> UInt64 {
        var (value, count): (UInt64, Int) = (0, 0)
        while count < width {
            if heldBits == 0 {
                held = UInt64(try bytes.byte())
                heldBits = 8
            }
            let taken = min(width - count, heldBits)
            value |= (held & (1 << UInt64(taken) - 1)) << UInt64(count)
            held >>= UInt64(taken)
            heldBits -= taken
            count += taken
        }
        return value
    }
}

/// Differences in packed bits: the encoding DELTA_BINARY_PACKED.
struct DeltaDecoder {
    private var reader: BoundedReader
    /// Values of a block, and of each of its parts.
    private let block: Int
    private let part: Int
    /// How many values there are.
    let count: Int
    private var given = 0
    private var last: Int64
    private var least: Int64 = 0
    private var widths = UnsafeRawBufferPointer(start: nil, count: 0)
    private var bits = BitReader()

    /// The numbers at the start of `bytes`.
    init(_ bytes: UnsafeRawBufferPointer) throws(Damage) {
        reader = BoundedReader(bytes)
        block = try reader.count(atMost: 1 << 24)
        let parts = try reader.count(atMost: 1 << 16)
        guard parts > 0, block > 0, block % parts == 0, block / parts % 8 == 0 else {
            throw Damage("packs differences in blocks of \(block) with \(parts) parts")
        }
        part = block / parts
        count = try reader.count(atMost: Int(Int32.max))
        last = try reader.zigzag()
    }

    /// The next number.
    mutating func next() throws(Damage) -> Int64 {
        guard given < count else { throw .endsEarly }
        defer { given += 1 }
        guard given > 0 else { return last }
        try enter(given - 1)
        last = last &+ least &+ Int64(bitPattern: try bits.next(Int(widths[(given - 1) % block / part])))
        return last
    }

    /// Reads the head of the block and takes the bits of the part that begin with difference `place`.
    private mutating func enter(_ place: Int) throws(Damage) {
        if place % block == 0 {
            least = try reader.zigzag()
            widths = try reader.take(block / part)
        }
        if place % part == 0 {
            let width = Int(widths[place % block / part])
            guard width <= 64 else { throw Damage("packs differences in \(width) bits") }
            bits = BitReader(try reader.take(width * part / 8))
        }
    }

    /// The bytes after all the numbers, of a decoder that has given none.
    func rest() throws(Damage) -> UnsafeRawBufferPointer {
        var copy = self
        var place = 0
        while place < count - 1 {
            try copy.enter(place)
            place += part
        }
        return try copy.reader.take(copy.reader.left)
    }
}
