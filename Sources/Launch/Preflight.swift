// Preflight: asks all hosts of a job for their report, at once and within a limit of time.

import Foundation
import TuttiGround

/// Looks at the hosts of a job.
package struct Preflight: Sendable {
    /// Seconds that a host has to answer.
    package static let limit = 20.0

    private let shell: HostShell
    private let program: String

    /// - Parameter program: the path of `tutti`, equal on all hosts.
    package init(_ shell: HostShell, program: String) { (self.shell, self.program) = (shell, program) }

    /// The answers of the hosts, in their order.
    ///
    /// - Throws: code 66 if the remote shell is missing, 75 if no process can be started.
    package func ask(_ hosts: [Host]) throws(TuttiError) -> [HostAnswer] {
        let names = hosts.map(\.name)
        let begin = Date().timeIntervalSince1970
        let results = try shell.run(
            [program, "launch-probe", shell.directory] + names, on: names, within: Preflight.limit)
        let end = Date().timeIntervalSince1970
        return zip(hosts, results).map { host, result in
            var answer = HostAnswer(host: host, report: nil, failure: result, asked: begin...max(begin, end))
            guard result.code == 0 else { return answer }
            do {
                // A login script may print a greeting first.
                let text = result.output.split(separator: "\n").last { $0.hasPrefix("{") } ?? ""
                answer.report = try JSONDecoder().decode(HostReport.self, from: Data(text.utf8))
                answer.failure = nil
            } catch {
                answer.failure?.errors = "its answer is no report: \(result.output.prefix(80))"
            }
            return answer
        }
    }
}
