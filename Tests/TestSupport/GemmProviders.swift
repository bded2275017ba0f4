// Tests that hold for every provider of matrix products.

import TuttiKernels

/// The providers that this machine has.
package let gemmProviders = GemmProvider.allCases.filter(\.isAvailable)

/// Runs `body` with all matrix products by `provider`; tests that use it do not run beside others.
package func withGemm<Result>(_ provider: GemmProvider, _ body: () throws -> Result) rethrows -> Result {
    let before = Gemm.choice
    defer { Gemm.choice = before }
    Gemm.choice = GemmChoice(provider)
    return try body()
}
