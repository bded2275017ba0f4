// The installed GEMM providers, one after the other.

import TuttiKernels

/// Chooses providers for measurements.
enum GemmProviders {
    /// Names of the providers that can be used here.
    static var available: [String] { GemmProvider.allCases.filter(\.isAvailable).map(\.rawValue) }

    /// What computes products now.
    static var current: String { Gemm.choice.description }

    /// Runs `body` with all products by `provider`.
    static func with<Result>(_ provider: String, _ body: () throws -> Result) rethrows -> Result {
        let before = Gemm.choice
        defer { Gemm.choice = before }
        if let choice = GemmChoice(text: provider) { Gemm.choice = choice }
        return try body()
    }
}
