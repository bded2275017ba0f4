// Servers of Tests/StandIns on the loopback, run for one test.

import Foundation
import TuttiFormats
import TuttiGround
import TuttiNet

/// A script that serves until this object goes away.
package final class StandIn {
    /// What it printed when it was ready: its ports.
    let words: [String]
    private let process = Process()
    private let input = Pipe()
    private let client = HTTPClient(environment: [:])

    /// Starts Tests/StandIns/`script`.
    init(_ script: String, _ arguments: [String] = []) throws {
        let path =
            URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().path
            + "/StandIns/" + script
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", path] + arguments
        let output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        words = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
            .split(whereSeparator: \.isWhitespace).map(String.init)
        guard !words.isEmpty else { throw TuttiError(.retryable, "start a stand-in", path, "it said nothing") }
    }

    deinit {
        try? input.fileHandleForWriting.close()
        process.terminate()
        process.waitUntilExit()
    }

    /// Its address.
    var endpoint: String { "http://127.0.0.1:\(words[0])" }

    /// The token that the stand-in for the hub knows.
    private var own: [(name: String, value: String)] { [("Authorization", "Bearer hf_good")] }

    /// The JSON at a path of it.
    func json(_ path: String) throws -> JSONValue {
        try JSONValue.parse(client.send(HTTPRequest("GET", endpoint + path, headers: own)).text)
    }

    /// Tells it what to do.
    func control(_ json: String) throws {
        let request = HTTPRequest("POST", endpoint + "/_control", body: .bytes(Array(json.utf8)))
        guard try client.send(request).isSuccess else { throw TuttiError(.retryable, "control", endpoint, "failed") }
    }
}
