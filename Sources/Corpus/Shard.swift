// The share of a rank: contiguous, balanced, in the order of the ranks, so that the shares of all ranks put one after
// the other are the whole.

/// Deals rows to ranks.
public enum Shard {
    /// The rows of rank `rank` of `world` among `globalCount`: [rank * n / W, (rank + 1) * n / W); may be empty.
    public static func rows(of globalCount: Int, rank: Int, world: Int) -> Range<Int> {
        precondition(rank >= 0 && rank < world, "Shard: rank \(rank) of \(world)")
        return (rank * globalCount / world)..<((rank + 1) * globalCount / world)
    }
}
