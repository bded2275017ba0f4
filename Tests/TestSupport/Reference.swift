// The reference itself: scripts of Tests/Golden in the environment that launch/test --real makes.

import Foundation

/// The environment of sentence-transformers, in TUTTI_PEER.
package enum Reference {
    /// The value of an environment variable; nil if it is empty too.
    package static func variable(_ name: String) -> String? {
        ProcessInfo.processInfo.environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Whether it is there.
    package static var isThere: Bool { variable("TUTTI_PEER") != nil }

    /// Runs Tests/Golden/`script` with `arguments` in the environment of Python that a variable names.
    ///
    /// Throws: if it fails, or the environment is not there.
    package static func run(_ script: String, _ arguments: [String], environment: String = "TUTTI_PEER") throws {
        guard let peer = variable(environment) else { throw Failure(description: "\(environment) is not set") }
        let python = Process()
        python.executableURL = URL(fileURLWithPath: "\(peer)/bin/python")
        python.arguments = [Goldens.path(script)] + arguments
        try python.run()
        python.waitUntilExit()
        guard python.terminationStatus == 0 else {
            throw Failure(description: "\(script) \(arguments.joined(separator: " ")) failed")
        }
    }

    private struct Failure: Error, CustomStringConvertible {
        let description: String
    }
}
