// What travels between nodes: the number format of gradients in messages.

/// The values of `args.wire`.
public enum Wire: String, Sendable, CaseIterable {
    /// Four bytes a number: sums are exact to fp32.
    case fp32
    /// Two bytes a number: each node's contribution and the sum are rounded to bf16; the addition is in fp32.
    case bf16

    /// Bytes of a number.
    var bytes: Int { self == .fp32 ? 4 : 2 }
}
