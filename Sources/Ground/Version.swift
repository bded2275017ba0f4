// Tutti's version; see CHANGELOG.md.

/// The version in checkpoints, model cards and `tutti --version`.
public let tuttiVersion = "0.2.0"
