// The installed GEMM providers, one after the other.

import TuttiKernels

/// Chooses providers for measurements.
enum GemmProviders {
    /// Names of the providers that can be used here.
    static var available: [String] { [Gemm.provider] }

    /// What computes products now.
    static var current: String { Gemm.provider }

    /// Runs `body` with all products by `provider`.
    static func with<Result>(_ provider: String, _ body: () throws -> Result) rethrows -> Result {
        try body()
    }
}
