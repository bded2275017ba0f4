// Lengths of packed sequences for kernels that depend on them.

/// The offsets of sequences with T tokens in total.
struct PackedLengths {
    /// [S + 1] row offsets.
    let offsets: [Int32]

    var sequences: Int { offsets.count - 1 }
    var tokens: Int { Int(offsets[sequences]) }

    /// [S] lengths of the sequences.
    var all: [Int] { zip(offsets, offsets.dropFirst()).map { Int($1 - $0) } }
    var longest: Int { all.max() ?? 0 }

    /// `tokens` tokens in sequences of `length`; with nil, in lengths like those of NLI sentences: 4 to 40, 16 on
    /// average.
    init(tokens: Int, length: Int?) {
        let pattern = length.map { [$0] } ?? [24, 11, 12, 32, 9, 10, 18, 14, 8, 40, 16, 13, 6, 12, 4, 27]
        var offsets: [Int32] = [0]
        var used = 0
        while used < tokens {
            used = min(tokens, used + pattern[(offsets.count - 1) % pattern.count])
            offsets.append(Int32(used))
        }
        self.offsets = offsets
    }
}
