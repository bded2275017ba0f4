// The installed GEMM providers, one after the other.

import TuttiKernels

/// Chooses providers for measurements.
enum GemmProviders {
    /// The providers that can be used here.
    static var available: [GemmProvider] { GemmProvider.allCases.filter(\.isAvailable) }

    /// Runs `body` with all products by `provider`, and restores the choice that was made before.
    static func with<Result>(_ provider: GemmProvider, _ body: () throws -> Result) rethrows -> Result {
        let before = Gemm.choice
        defer { Gemm.choice = before }
        Gemm.choice = GemmChoice(provider)
        return try body()
    }
}
