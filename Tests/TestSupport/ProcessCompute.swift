// What the process computes with, for the length of a test: the next test finds it as it was.

import TuttiKernels

/// The providers that this machine has.
package let gemmProviders = GemmProvider.allCases.filter(\.isAvailable)

/// Runs `body` while the process computes with other settings, and puts back those that it had. What is not given stays;
/// `body` may change any of them. Tests that use it do not run beside others.
package func withCompute<Result>(
    products: GemmChoice? = nil, threads: Int? = nil, level: InstructionLevel? = nil, _ body: () throws -> Result
) rethrows -> Result {
    let process = Compute.process
    let before = (products: process.products, threads: process.threads, level: process.level)
    defer {
        process.products = before.products
        if process.threads != before.threads { process.threads = before.threads }
        process.level = before.level
    }
    if let products { process.products = products }
    if let threads { process.threads = threads }
    if let level { process.level = level }
    return try body()
}

/// Runs `body` with all matrix products by `provider`.
package func withGemm<Result>(_ provider: GemmProvider, _ body: () throws -> Result) rethrows -> Result {
    try withCompute(products: GemmChoice(provider), body)
}
