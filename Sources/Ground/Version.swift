// The one place of Tutti's version; CHANGELOG.md says what it brought.

/// The version that checkpoints, model cards and `tutti --version` state.
public let tuttiVersion = "0.2.0"
