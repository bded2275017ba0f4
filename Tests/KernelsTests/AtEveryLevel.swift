// Runs each test of a suite once for every instruction level that this machine has.

import Testing
import TuttiKernels

/// Sets the level of `Compute.process` around a test; suites that have it do not run beside others.
struct AtEveryLevel: SuiteTrait, TestTrait, TestScoping {
    var isRecursive: Bool { true }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        // A suite is a scope too: its tests set the level, one after the other.
        guard testCase != nil else { return try await function() }
        let before = Compute.process.level
        defer { Compute.process.level = before }
        for level in InstructionLevel.available {
            Compute.process.level = level
            try await function()
        }
    }
}

extension Trait where Self == AtEveryLevel {
    /// Once for every instruction level that this machine has.
    static var atEveryLevel: AtEveryLevel { AtEveryLevel() }
}
