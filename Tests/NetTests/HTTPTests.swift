// HTTP: what messages show of addresses, when another try is made, and answers of a server on the loopback.

import Foundation
import TestSupport
import Testing
import TuttiGround
import TuttiNet

@Suite struct HTTPTests {
    @Test func addressesAreShownWithoutSecrets() {
        #expect(HTTPRequest.shown("https://me:word@host:8/a/b?X-Amz-Signature=1#c") == "https://host:8/a/b")
        #expect(HTTPRequest.host(of: "https://me:word@Host:8/a@b") == "host:8")
        #expect(HTTPRequest.origin(of: "HTTPS://Host/a") == "https://host")
        #expect(HTTPRequest.origin(of: "/a") == nil)
    }

    @Test func pausesGrowAndServersAreObeyed() throws {
        let policy = RetryPolicy()
        #expect((1...5).map { policy.pause(after: $0, nil) } == [1, 2, 4, 8, nil])
        #expect(RetryPolicy(tries: 9).pause(after: 8, nil) == 8)
        #expect(RetryPolicy.never.pause(after: 1, nil) == nil)
        let hub = try HubStandIn(in: try TemporaryDirectory().path)
        func pause(_ status: Int, _ headers: String = "") throws -> Double? {
            try hub.fail("{\"status\": \(status), \"headers\": {\(headers)}}")
            return policy.pause(
                after: 1, try HTTPClient(environment: [:]).send(HTTPRequest("GET", hub.endpoint + "/x")))
        }
        #expect(try pause(503) == 1)
        #expect(try pause(404) == nil)
        #expect(try pause(429, #""retry-after": "12""#) == 12)
        #expect(try pause(429, #""RateLimit": "\"api\";r=0;t=40""#) == 40)
        // Longer than anybody waits.
        #expect(try pause(429, #""Retry-After": "4000""#) == nil)
    }

    @Test func redirectsAreNotFollowed() throws {
        let hub = try HubStandIn(in: try TemporaryDirectory().path)
        try hub.fail(#"{"status": 302, "headers": {"Location": "/elsewhere"}}"#)
        let response = try HTTPClient(environment: [:]).send(HTTPRequest("GET", hub.endpoint + "/x"))
        #expect(response.status == 302 && response.isRedirect && response.headers["location"] == "/elsewhere")
        #expect(try hub.requests().map(\.text) == ["GET /x"])
    }

    @Test func aChallengeIsAnAnswer() throws {
        let hub = try HubStandIn(in: try TemporaryDirectory().path)
        try hub.fail(#"{"status": 401, "headers": {"WWW-Authenticate": "Basic realm=\"x\""}, "body": {"a": 1}}"#)
        let response = try HTTPClient(environment: [:]).send(HTTPRequest("GET", hub.endpoint + "/x"))
        #expect(response.status == 401 && response.text == #"{"a": 1}"#)
    }

    @Test func silenceAndRefusedConnectionsAreErrors() throws {
        let client = HTTPClient(environment: [:])
        let refused = #expect(throws: TuttiError.self) {
            try client.send(HTTPRequest("GET", "http://127.0.0.1:1/x?secret=1"))
        }
        #expect(refused?.kind == .retryable && refused?.subject == "http://127.0.0.1:1/x")
        let hub = try HubStandIn(in: try TemporaryDirectory().path)
        try hub.fail(#"{"delay": 4}"#)
        var request = HTTPRequest("GET", hub.endpoint + "/x")
        request.timeout = 1
        let started = Date()
        #expect(#expect(throws: TuttiError.self) { try client.send(request) }?.kind == .retryable)
        #expect(-started.timeIntervalSinceNow < 3.5)
        let scheme = #expect(throws: TuttiError.self) { try client.send(HTTPRequest("GET", "file:///etc/passwd")) }
        #expect(scheme?.kind == .usage)
        // The client is of use afterwards.
        #expect(try client.send(HTTPRequest("GET", hub.endpoint + "/x")).status == 401)
    }

    @Test func aReceiverMayStop() throws {
        let hub = try HubStandIn(in: try TemporaryDirectory().path)
        var count = 0
        let response = try HTTPClient(environment: [:]).send(HTTPRequest("GET", hub.endpoint + "/x")) { head, bytes in
            count += bytes.count
            return head.status != 401
        }
        #expect(response.status == 401 && count > 0 && response.body.isEmpty)
    }
}
