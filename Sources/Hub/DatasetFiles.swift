// DatasetFiles: the Parquet files of one split of a data set of the hub.
//
// The repository's own files count where their names say which configuration and split they are, as data sets that were
// pushed by Python's `datasets` do: data/train-00000-of-00001.parquet, triplet/dev-00000-of-00001.parquet. For all others
// the hub keeps a copy in Parquet at the revision refs/convert/parquet: <configuration>/<split>/0000.parquet.
//
// Reference: https://huggingface.co/docs/dataset-viewer/parquet; datasets/data_files.py.

import TuttiGround

/// A split of a data set: "org/name:configuration@revision".
package struct DatasetReference: Sendable, Hashable {
    /// "org/name".
    package let id: String
    /// One of several data sets in the repository; nil for the only one.
    package let configuration: String?
    package let revision: String?

    /// Where the hub keeps its own copies.
    static let converted = "refs/convert/parquet"

    /// Parts of a text, which may begin with "hf:"; nil for a text that cannot be one.
    package init?(_ text: String) {
        let name = text.hasPrefix("hf:") ? text.dropFirst(3) : text[...]
        let parts = name.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let names = parts[0].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard HubRepository.isID(names[0]), parts.count == 1 || HubRepository.isRevision(parts[1]),
            names.count == 1 || HubRepository.isInside(names[1])
        else { return nil }
        id = names[0]
        configuration = names.count > 1 ? names[1] : nil
        revision = parts.count > 1 ? parts[1] : nil
    }
}

/// The files of a repository by configuration and split.
struct DatasetFiles {
    /// The Parquet files by configuration, "" for one without a name, and split.
    private(set) var splits: [String: [String: [String]]] = [:]
    /// Whether the hub's copy holds only a beginning of some split.
    private(set) var partial: Set<String> = []

    /// Those of the hub's own copy.
    init(converted all: [String]) {
        for path in all where path.hasSuffix(".parquet") {
            let parts = path.split(separator: "/").map(String.init)
            guard parts.count == 3 else { continue }
            var split = parts[1]
            if split.hasPrefix("partial-") {
                split.removeFirst("partial-".count)
                partial.insert(parts[0] + "/" + split)
            }
            splits[parts[0], default: [:]][split, default: []].append(path)
        }
    }

    /// Those whose names say what they are: "data/train-...", "<configuration>/train-...", "train-...".
    init(named all: [String]) {
        for path in all where path.hasSuffix(".parquet") {
            let parts = path.split(separator: "/").map(String.init)
            guard parts.count <= 2, let name = parts.last?.dropLast(".parquet".count) else { continue }
            let folder = parts.count == 2 ? parts[0] : ""
            // train-00000-of-00002, train
            let split = name.firstMatch(of: /-[0-9]{5}-of-[0-9]{5}$/).map { String(name[..<$0.range.lowerBound]) }
            let configuration = folder == "data" ? "" : folder
            splits[configuration, default: [:]][split ?? String(name), default: []].append(path)
        }
    }

    /// The configuration that is meant: the named one, else the only one, else the one without a name or "default".
    func configuration(_ name: String?) -> String? {
        if let name { return splits[name] == nil ? nil : name }
        if splits.count == 1 { return splits.keys.first }
        return ["", "default"].first { splits[$0] != nil }
    }
}

extension HubDownloader {
    /// One split, in the cache; its `files` are the split's.
    package func dataset(_ reference: DatasetReference, split: String?) throws(HubFailure) -> HubSnapshot {
        let repository = HubRepository(reference.id, kind: .dataset)
        let split = split ?? "train"
        var own: HubSnapshot?
        do throws(HubFailure) {
            own = try snapshot(repository, reference.revision) { (_, all) in
                let files = DatasetFiles(named: all)
                return files.configuration(reference.configuration).flatMap { files.splits[$0]?[split] } ?? []
            }
        } catch {
            // The cache may have the hub's copy instead.
            guard reference.revision == nil, client.settings.isOffline || error.reason == .unreachable,
                try holdsCopy(of: repository)
            else { throw error }
        }
        if let own, let found = withFiles(own, reference, split) { return found }
        if reference.revision == nil {
            let copy = try snapshot(repository, DatasetReference.converted) { (_, all) throws(HubFailure) in
                try paths(in: DatasetFiles(converted: all), reference, split)
            }
            if let found = withFiles(copy, reference, split) { return found }
        }
        throw HubFailure(
            TuttiError(
                .data, "download a data set", reference.id, "holds no Parquet files of the split '\(split)'",
                hint: "Set split: to one of its splits, and write a configuration as \(reference.id):NAME."))
    }

    /// Whether the cache has a commit of the hub's own copy.
    private func holdsCopy(of repository: HubRepository) throws(HubFailure) -> Bool {
        do throws(TuttiError) {
            return try HubCache(client.settings, repository).commit(of: DatasetReference.converted) != nil
        } catch {
            throw HubFailure(error)
        }
    }

    /// A snapshot with the files of the split, if there are any: where the hub was not asked, those in the cache.
    private func withFiles(_ snapshot: HubSnapshot, _ reference: DatasetReference, _ split: String) -> HubSnapshot? {
        if !snapshot.files.isEmpty { return snapshot }
        let all = HubCache(client.settings, HubRepository(snapshot.id, kind: .dataset)).files(of: snapshot.commit)
        for files in [DatasetFiles(named: all), DatasetFiles(converted: all)] {
            if let name = files.configuration(reference.configuration), let paths = files.splits[name]?[split] {
                return HubSnapshot(
                    id: snapshot.id, revision: snapshot.revision, commit: snapshot.commit, files: paths.sorted())
            }
        }
        return nil
    }

    /// The files of a split in the hub's own copy.
    private func paths(
        in files: DatasetFiles, _ reference: DatasetReference, _ split: String
    ) throws(HubFailure) -> [String] {
        func failure(_ problem: String, _ hint: String) -> HubFailure {
            HubFailure(TuttiError(.usage, "download a data set", reference.id, problem, hint: hint))
        }
        let names = files.splits.keys.sorted()
        guard let configuration = files.configuration(reference.configuration) else {
            let example = "\(reference.id):\(names.first ?? "NAME")"
            throw failure(
                reference.configuration.map { "has no configuration '\($0)'" } ?? "has several configurations",
                "Write \(example); there are \(names.joined(separator: ", ")).")
        }
        guard let paths = files.splits[configuration]?[split] else {
            let known = files.splits[configuration]?.keys.sorted().joined(separator: ", ") ?? ""
            throw failure("has no split '\(split)'", "There are \(known).")
        }
        if files.partial.contains("\(configuration)/\(split)") {
            notice("\(reference.id): the hub's copy of '\(split)' holds only its first part.")
        }
        return paths.sorted()
    }
}
