// RetryPolicy: which failures of a request another try may mend, and how long to wait before it.
//
// A server that says when to come again is obeyed: Retry-After in seconds, or the `t=` of a RateLimit header.
// Reference: RFC 9110, section 10.2.3; draft-ietf-httpapi-ratelimit-headers.

import Foundation
import TuttiGround

/// How often a request is sent.
package struct RetryPolicy: Sendable {
    /// Tries in all.
    package var tries: Int
    /// Seconds before the second try; doubled for each further one.
    package var firstPause = 1.0
    /// Seconds at most, unless the server asks for more.
    package var longestPause = 8.0
    /// Seconds that a server may ask for; if it asks for more, its answer is taken as it is.
    package var patience = 300.0
    /// Seconds without any answer after which no other try begins.
    package var secondsWithoutAnswer = Double.infinity
    /// The answers after which another try may succeed.
    package var statuses: Set<Int> = [408, 429, 500, 502, 503, 504]
    /// Waits; tests replace it.
    package var sleep: @Sendable (Double) -> Void = { Thread.sleep(forTimeInterval: $0) }

    /// A policy.
    package init(tries: Int = 5) { self.tries = tries }

    /// One try only.
    package static let never = RetryPolicy(tries: 1)

    /// The seconds to wait after the try `number`, counted from 1, that was answered by `response` or not at all; nil
    /// for no other try.
    package func pause(after number: Int, _ response: HTTPResponse?) -> Double? {
        guard number < tries else { return nil }
        let usual = min(longestPause, firstPause * pow(2, Double(number - 1)))
        guard let response else { return usual }
        guard statuses.contains(response.status) else { return nil }
        guard let asked = RetryPolicy.askedPause(response.headers) else { return usual }
        return asked <= patience ? max(asked, 0) : nil
    }

    /// The seconds that a server asks to wait.
    static func askedPause(_ headers: HTTPHeaders) -> Double? {
        if let after = headers["Retry-After"], let seconds = Double(after) { return seconds }
        for part in headers["RateLimit"]?.split(whereSeparator: { ";, ".contains($0) }) ?? []
        where part.hasPrefix("t=") {
            return Double(part.dropFirst(2))
        }
        return nil
    }
}

extension HTTPClient {
    /// Sends a request until it is answered, as often as `policy` allows.
    ///
    /// Throws: as `send`; the last failure.
    package func send(_ request: HTTPRequest, _ policy: RetryPolicy) throws(TuttiError) -> HTTPResponse {
        var number = 1
        var silent = ContinuousClock.now  // since when nobody has answered
        while true {
            do throws(TuttiError) {
                let response = try send(request)
                guard let pause = policy.pause(after: number, response) else { return response }
                policy.sleep(pause)
                silent = .now
            } catch {
                guard error.kind == .retryable, let pause = policy.pause(after: number, nil),
                    silent.duration(to: .now) / .seconds(1) + pause <= policy.secondsWithoutAnswer
                else { throw error }
                policy.sleep(pause)
            }
            number += 1
        }
    }
}
