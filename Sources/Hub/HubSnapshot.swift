// HubSnapshot: the files of a model or a data set at one revision, in the local cache.
//
// The hub is asked once which commit a revision is and what it holds; files that the cache has are not asked for again. If
// the hub cannot be reached, or refuses, the commit that the cache has is used, and a notice says so.
//
// Reference: huggingface_hub/_snapshot_download.py.

import Foundation
import TuttiFormats
import TuttiGround

/// A commit in the cache.
package struct HubSnapshot: Sendable, Codable {
    /// "org/name".
    package let id: String
    /// What was asked for: a branch, a tag or a commit.
    package let revision: String
    package let commit: String
    /// The files that were chosen; empty where the hub was not asked.
    package let files: [String]

    /// The same with the files that the cache of `settings` has of it, where the hub was not asked for their names.
    package func named(in settings: HubSettings, kind: HubRepository.Kind) -> HubSnapshot {
        guard files.isEmpty else { return self }
        let found = HubCache(settings, HubRepository(id, kind: kind)).files(of: commit)
        return HubSnapshot(id: id, revision: revision, commit: commit, files: found)
    }
}

/// Brings commits into the cache.
package struct HubDownloader {
    package let client: HubClient
    /// Gets a line about what is done.
    package let notice: (String) -> Void

    /// A downloader.
    package init(_ client: HubClient, notice: @escaping (String) -> Void) {
        self.client = client
        self.notice = notice
    }

    /// The folder of a snapshot.
    package func folder(of snapshot: HubSnapshot, kind: HubRepository.Kind = .model) -> String {
        HubCache(client.settings, HubRepository(snapshot.id, kind: kind)).snapshot(snapshot.commit)
    }

    /// A model at a revision, with the files that it needs.
    package func model(_ reference: HubReference) throws(HubFailure) -> HubSnapshot {
        let repository = HubRepository(reference.id)
        return try snapshot(repository, reference.revision) { (commit, all) throws(HubFailure) in
            let lists = ModelFiles.lists.filter(all.contains)
            try fetch(lists, of: repository, commit)
            let folder = HubCache(client.settings, repository).snapshot(commit)
            var folders: [String] = []
            for name in lists { folders += try modules(in: folder + "/" + name) }
            let needed = ModelFiles.needed(among: all, folders: folders.filter { !$0.isEmpty })
            guard needed.contains(where: { $0.hasSuffix(".json") }) else {
                throw HubFailure(
                    TuttiError(
                        .data, "download a model", repository.id,
                        "holds no model of sentence-transformers or transformers",
                        hint: "A model has config.json or modules.json."))
            }
            return needed
        }
    }

    /// A repository at a revision, with the files that `choose` takes of all files of the commit.
    package func snapshot(
        _ repository: HubRepository, _ revision: String?,
        _ choose: (_ commit: String, _ all: [String]) throws(HubFailure) -> [String]
    ) throws(HubFailure) -> HubSnapshot {
        let cache = HubCache(client.settings, repository)
        let revision = revision ?? "main"
        let known = try local { () throws(TuttiError) in try cache.commit(of: revision) }
        if client.settings.isOffline {
            guard let known else { throw HubFailure(notCached(repository, revision)) }
            return HubSnapshot(id: repository.id, revision: revision, commit: known, files: [])
        }
        let listing: (commit: String, files: [String])
        do throws(HubFailure) {
            listing = try files(of: repository, revision, isCached: known != nil)
        } catch {
            guard let known, error.reason != .revision else { throw error }
            notice(
                "\(repository): the hub gave no answer (\(error.error.problem)); the cache's commit "
                    + "\(known.prefix(8)) is used.")
            return HubSnapshot(id: repository.id, revision: revision, commit: known, files: [])
        }
        try local { () throws(TuttiError) in try cache.note(listing.commit, of: revision) }
        let chosen = try choose(listing.commit, listing.files)
        try fetch(chosen, of: repository, listing.commit)
        return HubSnapshot(id: repository.id, revision: revision, commit: listing.commit, files: chosen)
    }

    /// Has a snapshot that was found elsewhere in this cache: its files, and which commit its revision is.
    package func fetch(_ snapshot: HubSnapshot, kind: HubRepository.Kind) throws(HubFailure) {
        let repository = HubRepository(snapshot.id, kind: kind)
        try local { () throws(TuttiError) in
            try HubCache(client.settings, repository).note(snapshot.commit, of: snapshot.revision)
        }
        try fetch(snapshot.files, of: repository, snapshot.commit)
    }

    /// Has files of a commit in the cache.
    func fetch(_ files: [String], of repository: HubRepository, _ commit: String) throws(HubFailure) {
        for path in files {
            try HubFile(client: client, repository: repository, commit: commit, path: path, notice: notice).fetch()
        }
    }

    /// The commit of a revision, and its files.
    private func files(
        of repository: HubRepository, _ revision: String, isCached: Bool
    ) throws(HubFailure) -> (commit: String, files: [String]) {
        let json = try client.json(
            "GET", "\(repository.api)/revision/\(percentEncoded(revision))", of: repository, revision: revision,
            connectTimeout: client.settings.contactTimeout, client.firstContact(isCached: isCached))
        guard let commit = json["sha"]?.string, HubRepository.isCommit(commit),
            let files = json["siblings"]?.array?.compactMap({ $0["rfilename"]?.string })
        else {
            throw HubFailure(
                TuttiError(
                    .data, "ask the hub", "\(client.settings.endpoint)\(repository.api)",
                    "the answer names no commit and no files",
                    hint: "HF_ENDPOINT must name a server that answers as the hub does."))
        }
        if let outside = files.first(where: { !HubRepository.isInside($0) }) {
            throw HubFailure(
                TuttiError(.data, "ask the hub", repository.id, "a file is called '\(outside)', outside of its folder"))
        }
        return (commit, files.sorted())
    }

    /// The folders that modules.json or router_config.json names.
    private func modules(in path: String) throws(HubFailure) -> [String] {
        let json = try local { () throws(TuttiError) in try JSONValue.parse(file: path) }
        if let modules = json.array { return modules.compactMap { $0["path"]?.string } }
        return json["types"]?.object?.keys ?? []
    }

    private func notCached(_ repository: HubRepository, _ revision: String) -> TuttiError {
        TuttiError(
            .missingFile, "find \(repository)", client.settings.cacheFolder,
            "does not hold \(repository) at '\(revision)', and HF_HUB_OFFLINE forbids to ask the hub",
            hint: "Download it where there is a network: tutti download \(repository.id)"
                + (repository.kind == .dataset ? " --dataset." : "."))
    }

    private func local<Value>(_ body: () throws(TuttiError) -> Value) throws(HubFailure) -> Value {
        do throws(TuttiError) { return try body() } catch { throw HubFailure(error) }
    }
}
