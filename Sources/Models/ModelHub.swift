// From what a user calls a model to a folder: a path, or a hub id that the local Hugging Face cache holds.
//
// What: "org/name" is looked up as <cache>/models--org--name/snapshots/<commit in refs/main>, a bare "name" also as
// sentence-transformers/name, as the reference does. Nothing is downloaded: an id that is not cached is an error that
// says how to fetch it. The cache is $HF_HUB_CACHE, else $HF_HOME/hub, else ~/.cache/huggingface/hub.
//
// Reference: huggingface_hub/constants.py, huggingface_hub/file_download.py.

import Foundation
import TuttiFormats
import TuttiGround

/// Finds model folders by path or hub id.
package enum ModelHub {
    /// The folder that `model` names.
    ///
    /// Throws: `.missingFile` with a remedy when there is neither such a folder nor such an id in the local cache.
    package static func resolve(
        _ model: String, environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(TuttiError) -> String {
        var isDirectory: ObjCBool = false
        if FileManager.default.fileExists(atPath: model, isDirectory: &isDirectory) {
            guard isDirectory.boolValue else {
                throw TuttiError(
                    .data, "find model", model, "is a file, where a model folder is needed",
                    hint: "Give the folder that holds config.json.")
            }
            return model.count > 1 && model.hasSuffix("/") ? String(model.dropLast()) : model
        }
        guard isHubID(model) else {
            throw TuttiError(.missingFile, "find model", model, "there is no such folder")
        }
        let cache = cacheFolder(environment)
        for id in candidates(model) {
            if let snapshot = try newestSnapshot(of: id, in: cache) { return snapshot }
        }
        let id = candidates(model)[0]
        throw TuttiError(
            .missingFile, "find model", model,
            "there is no such folder, and the local cache \(cache) does not hold '\(id)'",
            hint: "Download it where there is a network with 'hf download \(id)', or give the path of a model folder.")
    }

    /// True for "name" and "org/name" of the characters that hub ids have.
    static func isHubID(_ text: String) -> Bool {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2 else { return false }
        return parts.allSatisfy { part in
            !part.isEmpty && !part.hasPrefix(".")
                && part.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) }
        }
    }

    private static func candidates(_ model: String) -> [String] {
        model.contains("/") ? [model] : ["sentence-transformers/" + model, model]
    }

    private static func cacheFolder(_ environment: [String: String]) -> String {
        if let cache = environment["HF_HUB_CACHE"], !cache.isEmpty { return cache }
        if let home = environment["HF_HOME"], !home.isEmpty { return home + "/hub" }
        if let cache = environment["XDG_CACHE_HOME"], !cache.isEmpty { return cache + "/huggingface/hub" }
        return (environment["HOME"] ?? NSHomeDirectory()) + "/.cache/huggingface/hub"
    }

    private static func newestSnapshot(of id: String, in cache: String) throws(TuttiError) -> String? {
        let folder = cache + "/models--" + id.replacingOccurrences(of: "/", with: "--")
        let reference = folder + "/refs/main"
        guard FileManager.default.fileExists(atPath: reference) else { return nil }
        let commit = try MappedFile(path: reference).text.trimmingCharacters(in: .whitespacesAndNewlines)
        let snapshot = folder + "/snapshots/" + commit
        return !commit.isEmpty && FileManager.default.fileExists(atPath: snapshot) ? snapshot : nil
    }
}
