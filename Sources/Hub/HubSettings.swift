// HubSettings: which hub, which token, which cache: the environment variables that huggingface_hub reads.
//
// Reference: huggingface_hub/constants.py, huggingface_hub/utils/_auth.py.

import Foundation
import TuttiFormats
import TuttiGround

/// How the hub is reached, and where its files are kept.
package struct HubSettings: Sendable {
    /// "https://huggingface.co", without a final slash.
    package var endpoint: String
    /// The user's access token; nil for none.
    package var token: String?
    /// The cache that Python's libraries share.
    package var cacheFolder: String
    /// Whether only the cache is used.
    package var isOffline: Bool
    /// Seconds in which the hub must be reached at first, where nothing says yet that there is a network.
    package var contactTimeout: Double
    /// Seconds to wait for what the hub says of a file.
    package var metadataTimeout: Double
    /// Seconds without a byte of a file.
    package var downloadTimeout: Double
    /// The proxies, for the client.
    package var environment: [String: String]

    /// The settings of the environment.
    package init(_ environment: [String: String] = ProcessInfo.processInfo.environment) {
        func value(_ names: String...) -> String? {
            names.lazy.compactMap { environment[$0] }.first { !$0.isEmpty }
        }
        func isSet(_ name: String) -> Bool {
            ["1", "ON", "YES", "TRUE"].contains(environment[name]?.uppercased() ?? "")
        }
        let user = environment["HOME"] ?? NSHomeDirectory()
        func expanded(_ path: String) -> String { path.hasPrefix("~/") ? user + path.dropFirst() : path }
        let home = expanded(value("HF_HOME") ?? (value("XDG_CACHE_HOME") ?? user + "/.cache") + "/huggingface")
        self.environment = environment
        endpoint = HubSettings.withoutSlash(value("HF_ENDPOINT") ?? "https://huggingface.co")
        cacheFolder = expanded(value("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE") ?? home + "/hub")
        isOffline = isSet("HF_HUB_OFFLINE") || isSet("TRANSFORMERS_OFFLINE")
        let given = value("HF_HUB_ETAG_TIMEOUT").flatMap(Double.init)
        (contactTimeout, metadataTimeout) = (given ?? 2, given ?? 10)
        downloadTimeout = value("HF_HUB_DOWNLOAD_TIMEOUT").flatMap(Double.init) ?? 10
        token =
            HubSettings.cleaned(value("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"))
            ?? HubSettings.tokenFile(expanded(value("HF_TOKEN_PATH") ?? home + "/token"))
    }

    /// The token in a file; nil where there is none.
    private static func tokenFile(_ path: String) -> String? {
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        do throws(TuttiError) { return cleaned(try MappedFile(path: path).text) } catch { return nil }
    }

    /// A token without line ends; nil for none.
    private static func cleaned(_ token: String?) -> String? {
        let text = token?.trimmingCharacters(in: .whitespacesAndNewlines) ?? ""
        return text.isEmpty ? nil : text
    }

    private static func withoutSlash(_ text: String) -> String {
        var text = text
        while text.hasSuffix("/") { text.removeLast() }
        return text
    }
}
