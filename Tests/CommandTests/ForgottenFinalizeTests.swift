// A program that uses the library and forgets to finalise MPI has not failed.

import Foundation
import Testing

@Suite struct ForgottenFinalizeTests {
    @Test func aProgramThatEndsWithoutFinalizingEndsWithItsOwnCode() throws {
        let world = URL(fileURLWithPath: try TuttiProcess.executable).deletingLastPathComponent().path + "/tutti-world"
        let outcome = try TuttiProcess.run("launch", "--quiet", "-np", "2", "--threads", "1", "--", world, "forget")
        #expect(outcome.code == 0, "\(outcome.errors)")
        #expect(outcome.errors.isEmpty, "\(outcome.errors)")
    }
}
