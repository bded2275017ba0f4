// From what a user calls a model to a folder: a path, or a hub id, which is downloaded into the cache that Python's
// libraries share.
//
// What: "org/name", or "org/name@revision"; a bare "name" is looked for as sentence-transformers/name first, as the
// reference does. An id is resolved once in a process, so that a run never sees two commits of one model; of several ranks
// one of each node downloads, and only if its cache does not hold what rank zero has found.
//
// Reference: sentence_transformers/base/model.py.

import Foundation
import Synchronization
import TuttiEnsemble
import TuttiGround
import TuttiHub

/// Finds model folders by path or hub id.
package enum ModelHub {
    /// What was resolved in this process, by settings and name.
    private static let found = Mutex<[String: String]>([:])

    /// The folder that `model` names.
    ///
    /// - Parameter notice: gets a line about what is downloaded.
    ///
    /// Throws: `.missingFile` with a remedy when there is neither such a folder nor such a model on the hub or in the
    /// cache; `.retryable` where the hub cannot be reached; `.usage` where it refuses; `.data` for a damaged download.
    package static func resolve(
        _ model: String, environment: [String: String] = ProcessInfo.processInfo.environment,
        notice: (String) -> Void = ModelHub.showNotice
    ) throws(TuttiError) -> String {
        if let folder = try localFolder(model) { return folder }
        let settings = HubSettings(environment)
        let key = key(model, settings)
        if let known = found.withLock({ $0[key] }), FileManager.default.fileExists(atPath: known) { return known }
        let snapshot = try download(model, settings, notice)
        return keep(snapshot, as: key, settings)
    }

    /// Has the models that `names` names in the cache of every node, before all ranks load them. Collective.
    ///
    /// - Parameter notice: gets a line about what is downloaded, on rank zero.
    /// - Throws: as `resolve`, on every rank.
    package static func fetch(
        _ names: [String], among ensemble: any Ensemble,
        environment: [String: String] = ProcessInfo.processInfo.environment,
        notice: @escaping (String) -> Void = ModelHub.showNotice
    ) throws {
        let settings = HubSettings(environment)
        for model in Set(names).sorted() where !model.isEmpty {
            let found = try ensemble.onRoot { () throws -> Found in
                if let folder = try localFolder(model) {
                    return Found(folder: folder, base: try AdapterFolder.baseName(in: folder))
                }
                let snapshot = try download(model, settings, notice).named(in: settings, kind: .model)
                let folder = HubCache(settings, HubRepository(snapshot.id)).snapshot(snapshot.commit)
                return Found(folder: folder, base: try AdapterFolder.baseName(in: folder), snapshot: snapshot)
            }
            if let snapshot = found.snapshot {
                try complete(snapshot, .model, settings, among: ensemble)
                _ = keep(snapshot, as: key(model, settings), settings)
            }
            guard let base = found.base else { continue }
            do { try fetch([base], among: ensemble, environment: environment, notice: notice) } catch let error
                as TuttiError
            {
                throw AdapterFolder.missing(base, in: found.folder, error)
            }
        }
    }

    /// What rank zero has found.
    private struct Found: Codable {
        var folder: String
        /// The base model of the adapter in it.
        var base: String?
        /// Nil for a folder of this machine.
        var snapshot: HubSnapshot?
    }

    /// The files of one split of a data set, in the cache of every node. Collective.
    ///
    /// - Parameters:
    ///   - path: what was given, if it may have been meant as a path.
    ///   - notice: gets a line about what is downloaded, on rank zero.
    /// - Throws: as `resolve`, on every rank.
    package static func dataset(
        _ reference: DatasetReference, split: String?, path: String? = nil, among ensemble: any Ensemble,
        environment: [String: String] = ProcessInfo.processInfo.environment,
        notice: @escaping (String) -> Void = ModelHub.showNotice
    ) throws -> [String] {
        let settings = HubSettings(environment)
        let snapshot = try ensemble.onRoot {
            do throws(HubFailure) {
                return try HubDownloader(HubClient(settings), notice: notice).dataset(reference, split: split)
            } catch {
                throw path.map { explained(error, $0, "file") } ?? error.error
            }
        }
        try complete(snapshot, .dataset, settings, among: ensemble)
        let folder = HubCache(settings, HubRepository(snapshot.id, kind: .dataset)).snapshot(snapshot.commit)
        return snapshot.files.map { folder + "/" + $0 }
    }

    /// Has the first rank of every node download what its cache does not hold of a snapshot. Collective.
    private static func complete(
        _ snapshot: HubSnapshot, _ kind: HubRepository.Kind, _ settings: HubSettings, among ensemble: any Ensemble
    ) throws {
        let nodes = try ensemble.gatherCounts(ensemble.node)
        let isFirst = nodes.firstIndex(of: ensemble.node) == ensemble.rank
        try ensemble.together("download \(snapshot.id)") {
            guard isFirst, !ensemble.isRoot, !settings.isOffline else { return }
            let downloader = HubDownloader(HubClient(settings), notice: { _ in })
            try unwrapped { () throws(HubFailure) in
                try downloader.fetch(snapshot, kind: kind)
            }
        }
    }

    /// True for "name" and "org/name" of the characters that hub ids have.
    static func isHubID(_ text: String) -> Bool { HubRepository.isID(text) }

    /// What `model` is called without its revision: "org/name".
    static func title(of model: String) -> String {
        guard model.contains("@"), !FileManager.default.fileExists(atPath: model) else { return model }
        return HubReference(model)?.id ?? model
    }

    /// Shows a line on standard error.
    package static let showNotice: @Sendable (String) -> Void = { line in
        FileHandle.standardError.write(Data("tutti: note: \(line)\n".utf8))
    }

    // MARK: Steps

    /// The folder at the path `model`; nil where there is nothing and `model` may be a hub id.
    private static func localFolder(_ model: String) throws(TuttiError) -> String? {
        var isDirectory: ObjCBool = false
        if FileManager.default.fileExists(atPath: model, isDirectory: &isDirectory) {
            guard isDirectory.boolValue else {
                throw TuttiError(
                    .data, "find model", model, "is a file, where a model folder is needed",
                    hint: "Give the folder that holds config.json.")
            }
            return model.count > 1 && model.hasSuffix("/") ? String(model.dropLast()) : model
        }
        guard HubReference(model) != nil else {
            throw TuttiError(.missingFile, "find model", model, "there is no such folder")
        }
        return nil
    }

    /// The snapshot of a hub id, downloaded unless the cache has it.
    private static func download(
        _ model: String, _ settings: HubSettings, _ notice: (String) -> Void
    ) throws(TuttiError) -> HubSnapshot {
        guard let reference = HubReference(model) else {
            throw TuttiError(.missingFile, "find model", model, "there is no such folder")
        }
        let ids =
            reference.id.contains("/") ? [reference.id] : ["sentence-transformers/" + reference.id, reference.id]
        return try withoutActuallyEscaping(notice) { notice throws(TuttiError) in
            let downloader = HubDownloader(HubClient(settings), notice: notice)
            var first: HubFailure?
            for id in ids {
                do throws(HubFailure) {
                    return try downloader.model(HubReference(id: id, revision: reference.revision))
                } catch {
                    if first == nil { first = error }
                    let isAbsent = error.reason == .repository || settings.isOffline
                    guard isAbsent, id != ids.last else { break }
                }
            }
            guard let first else { preconditionFailure("no id was looked for") }
            throw explained(first, model, "folder")
        }
    }

    private static func unwrapped<Value>(_ body: () throws(HubFailure) -> Value) throws(TuttiError) -> Value {
        do throws(HubFailure) { return try body() } catch { throw error.error }
    }

    /// The failure as users read it who gave `name`: what the hub does not know is mostly a `thing`, a folder or a file, that is
    /// not there.
    private static func explained(_ failure: HubFailure, _ name: String, _ thing: String) -> TuttiError {
        var error = failure.error
        let isUnreached = failure.reason == .unreachable && failure.answer == nil
        guard error.kind == .missingFile || failure.reason == .unreachable else { return error }
        let place = error.subject
        error.problem =
            if isUnreached {
                "there is no such \(thing) here, and the hub cannot be reached: \(error.problem)"
            } else if place.isEmpty {
                "there is no such \(thing) here, and the hub cannot be asked for it: \(error.problem)"
            } else {
                "there is no such \(thing) here, and \(place): \(error.problem)"
            }
        if isUnreached {
            let near = neighbour(of: name).map { "did you mean '\($0)'?" } ?? "check the path."
            error.hint = ["If it is a \(thing): \(near)", error.hint.map { "If it is of the hub: \($0)" } ?? ""]
                .joined(separator: " ")
        }
        error.operation = "find \(thing == "folder" ? "model" : "data")"
        error.subject = name
        return error
    }

    /// The path that differs from `path` by a few letters of its last part; nil where there is none.
    private static func neighbour(of path: String) -> String? {
        let parent = (path as NSString).deletingLastPathComponent
        do {
            let names = try FileManager.default.contentsOfDirectory(atPath: parent.isEmpty ? "." : parent).sorted()
            let name = nearestName(to: (path as NSString).lastPathComponent, among: names)
            return name.map { (parent as NSString).appendingPathComponent($0) }
        } catch {
            return nil
        }
    }

    private static func keep(_ snapshot: HubSnapshot, as key: String, _ settings: HubSettings) -> String {
        let folder = HubCache(settings, HubRepository(snapshot.id)).snapshot(snapshot.commit)
        found.withLock { $0[key] = folder }
        return folder
    }

    private static func key(_ model: String, _ settings: HubSettings) -> String {
        [settings.cacheFolder, settings.endpoint, model].joined(separator: "\n")
    }
}
