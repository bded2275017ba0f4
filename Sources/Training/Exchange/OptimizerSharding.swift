// Which memory keeps which part of the optimizer's state.

/// The values of `args.optimizer_sharding`.
public enum OptimizerSharding: String, Sendable, CaseIterable {
    /// Every memory keeps all of it: once a node where the ranks of a node share memory, else once a rank.
    case node
    /// All memories keep it together, an equal part each (ZeRO stage 1). Values then travel after the update, in place of
    /// the sums that other nodes need no more.
    case all
}
