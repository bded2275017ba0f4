// The installed GEMM providers, one by one.

import TuttiKernels

/// Chooses providers for measurements.
enum GemmProviders {
    /// The providers available on this machine.
    static var available: [GemmProvider] { GemmProvider.allCases.filter(\.isAvailable) }

    /// Runs `body` with all products computed by `provider`, then restores the previous choice.
    static func with<Result>(_ provider: GemmProvider, _ body: () throws -> Result) rethrows -> Result {
        let before = Gemm.choice
        defer { Gemm.choice = before }
        Gemm.choice = GemmChoice(provider)
        return try body()
    }
}
