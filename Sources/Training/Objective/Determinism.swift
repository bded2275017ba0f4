// Determinism: what must not change the bits of a run.

/// The values of `args.deterministic`.
public enum Determinism: String, Sendable, CaseIterable {
    /// A run repeated on as many ranks and threads with the same products has the same bits.
    case run
    /// So has a run on another number of ranks, hosts or threads, in chunks or not (LogicalShards.swift).
    case worldSize = "world_size"
}
