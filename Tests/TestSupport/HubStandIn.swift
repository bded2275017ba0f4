// A stand-in for the hub on the loopback: Tests/StandIns/hub.py, run for one test.

import Foundation
import TuttiFormats
import TuttiGround

/// A hub of repositories that a test makes.
package final class HubStandIn {
    /// The address of the hub.
    package let endpoint: String
    /// The folder of its repositories, and of the cache.
    package let folder: String
    private let server: StandIn

    /// Starts a hub of the files `models["org/name"]?["path"]`, and of data sets likewise.
    package init(
        in folder: String, models: [String: [String: String]] = [:], datasets: [String: [String: String]] = [:]
    ) throws {
        self.folder = folder
        for (kind, repositories) in ["models": models, "datasets": datasets] {
            for (name, files) in repositories {
                for (path, text) in files {
                    let place = "\(folder)/\(kind)/\(name)/\(path)"
                    let parent = (place as NSString).deletingLastPathComponent
                    try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
                    try Data(text.utf8).write(to: URL(fileURLWithPath: place))
                }
            }
        }
        server = try StandIn("hub.py", [folder])
        endpoint = server.endpoint
    }

    /// The environment of a client of this hub.
    package func environment(token: String? = "hf_good", _ more: [String: String] = [:]) -> [String: String] {
        var values = ["HF_ENDPOINT": endpoint, "HF_HUB_CACHE": folder + "/cache", "HF_HOME": folder + "/home"]
        values["HF_TOKEN"] = token
        return values.merging(more) { _, new in new }
    }

    /// Has requests fail: see the script.
    package func fail(_ faults: String...) throws {
        try server.control("{\"faults\": [\(faults.joined(separator: ", "))]}")
    }

    /// Forgets the requests so far.
    package func forget() throws { try server.control("{\"forget\": true, \"faults\": []}") }

    /// The JSON at a path of the hub.
    package func json(_ path: String) throws -> JSONValue { try server.json(path) }

    /// A request that came.
    package struct Request {
        /// "hub" or "store".
        package var role: String
        /// "GET /org/name/resolve/...".
        package var text: String
        package var token: String?
        package var range: String?
        package var isProxied: Bool
    }

    /// All requests since the start, or since `forget`.
    package func requests() throws -> [Request] {
        try server.json("/_log").array?.map { entry in
            Request(
                role: entry["role"]?.string ?? "",
                text: (entry["method"]?.string ?? "") + " " + (entry["path"]?.string ?? ""),
                token: entry["token"]?.string, range: entry["range"]?.string,
                isProxied: entry["proxied"]?.bool ?? false)
        } ?? []
    }
}
