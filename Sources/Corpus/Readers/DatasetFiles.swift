// The files of a data set: one, several, those that a pattern matches, those of a folder.
//
// A folder may be what `datasets.save_to_disk` writes (one data set, or one for each split), a retrieval data set in the BEIR
// layout, or any folder of tables: of its files, those of the split are taken, which their names tell as on the hub
// (train-00000-of-00002.parquet, train.csv, validation/part.jsonl). What is not here is told from what may be on the hub.

import Foundation
import TuttiFormats
import TuttiGround

/// A part of a data set.
enum DatasetPart: Equatable {
    case file(String)
    /// A folder in the BEIR layout, with its file of judgements.
    case retrieval(folder: String, judgements: String)
}

/// Finds the files of data sets.
struct DatasetFiles {
    private let split: String?

    /// The parts of the data set that `specification` names.
    ///
    /// Throws: `.missingFile`; `.usage` for a split that must be named, or is not there.
    static func parts(of specification: DatasetSpecification) throws(TuttiError) -> [DatasetPart] {
        let files = DatasetFiles(split: specification.split)
        var parts: [DatasetPart] = []
        for path in specification.paths { parts += try files.parts(path, isOnly: specification.paths.count == 1) }
        return parts
    }

    private init(split: String?) { self.split = split }

    /// Whether a folder holds a data set.
    static func hasTables(_ folder: String) -> Bool {
        do throws(TuttiError) {
            return try !parts(of: DatasetSpecification(path: folder)).isEmpty
        } catch {
            return error.kind == .usage  // of several splits, one must be named
        }
    }

    private func parts(_ path: String, isOnly: Bool) throws(TuttiError) -> [DatasetPart] {
        var isFolder: ObjCBool = false
        if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) {
            if isFolder.boolValue { return try folder(path) }
            guard !StreamPieces.isOnce(path) else {
                throw usage(
                    path, "is a pipe, which can be read once only",
                    hint: "Set streaming: true in train_dataset, with args.max_steps, or write it to a file first.")
            }
            guard split == nil || !isOnly else {
                throw usage(path, "split: is for folders and patterns, and this is one file", hint: "Remove it.")
            }
            return [.file(path)]
        }
        if path.contains(where: { "*?[".contains($0) }) {
            let found = matches(path)
            guard !found.isEmpty else {
                throw TuttiError(
                    .missingFile, "find data", path, "no file matches", hint: "Relative paths start where tutti runs.")
            }
            return try ofSplit(found, path).map { .file($0) }
        }
        throw DatasetFiles.missing(path)
    }

    /// The error for a path where nothing is.
    static func missing(_ path: String) -> TuttiError {
        guard DatasetSpecification.isHubName(path) else {
            return TuttiError(.missingFile, "open file", path, "no such file", hint: "Check the path.")
        }
        return TuttiError(
            .missingFile, "find data", path, "no such file or folder",
            hint: "If it is the name of a data set on the Hugging Face hub, fetch it first: tutti download --dataset "
                + "\(path); then path: the folder that it prints.")
    }

    /// The paths that match a pattern of the shell, in order.
    private func matches(_ pattern: String) -> [String] {
        var found = glob_t()
        defer { globfree(&found) }
        guard glob(pattern, 0, nil, &found) == 0 else { return [] }
        return (0..<Int(found.gl_pathc)).compactMap { found.gl_pathv[$0].map { String(cString: $0) } }
    }

    // MARK: Folders

    private func folder(_ path: String) throws(TuttiError) -> [DatasetPart] {
        let names = try DatasetFiles.entries(path)
        if names.contains("dataset_dict.json") {
            let listed = try JSONValue.parse(
                MappedFile(path: path + "/dataset_dict.json").contents, source: path + "/dataset_dict.json")
            let splits = listed["splits"]?.array?.compactMap(\.string) ?? []
            return try saved(path + "/" + chosen(of: splits, path))
        }
        if names.contains("state.json"), names.contains("dataset_info.json") { return try saved(path) }
        let isCorpus = names.contains { $0 == "corpus.jsonl" || $0.hasPrefix("corpus.jsonl.") }
        if isCorpus, names.contains("qrels") || names.contains("qrels.tsv") { return [try retrieval(path, names)] }
        var files = tables(path, names)
        if files.isEmpty, names.contains("data") {
            files = try tables(path + "/data", DatasetFiles.entries(path + "/data"))
        }
        if files.isEmpty {
            for name in names where DatasetFiles.splitWord(name) != nil {
                var isFolder: ObjCBool = false
                guard FileManager.default.fileExists(atPath: "\(path)/\(name)", isDirectory: &isFolder),
                    isFolder.boolValue
                else { continue }
                files += try tables("\(path)/\(name)", DatasetFiles.entries("\(path)/\(name)"))
            }
        }
        guard !files.isEmpty else {
            throw TuttiError(
                .data, "find data", path, "the folder has no tables",
                hint:
                    "Its files need extensions such as .parquet, .jsonl or .csv; name a folder or a pattern below it: "
                    + "\(names.prefix(5).joined(separator: ", ")).")
        }
        return try ofSplit(files, path).map { .file($0) }
    }

    private static func entries(_ path: String) throws(TuttiError) -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: path).sorted()
        } catch {
            throw TuttiError(.data, "find data", path, "the folder cannot be read", hint: "Check its permissions.")
        }
    }

    /// The files of a folder that are tables, but for those that describe them.
    private func tables(_ path: String, _ names: [String]) -> [String] {
        names.filter { name in
            DatasetReaders.isRead(DatasetReaders.fileExtension(of: name)) && !name.hasPrefix(".")
                && !name.hasPrefix("_") && !["dataset_infos.json", "dataset_info.json", "state.json"].contains(name)
        }.map { "\(path)/\($0)" }
    }

    /// The Arrow files of a data set that `datasets` saved.
    private func saved(_ path: String) throws(TuttiError) -> [DatasetPart] {
        let source = path + "/state.json"
        let state = try JSONValue.parse(MappedFile(path: source).contents, source: source)
        let names = state["_data_files"]?.array?.compactMap { $0["filename"]?.string } ?? []
        guard !names.isEmpty else { throw TuttiError(.data, "find data", source, "names no data files") }
        guard state["_indices_files"]?.array?.isEmpty ?? true, state["_indices_data_files"]?.array?.isEmpty ?? true
        else {
            throw TuttiError(
                .data, "find data", source, "has indices in files of their own, as old versions of datasets saved them",
                hint: "Save the data set again with flatten_indices().")
        }
        for name in names where name.contains("/") || name.hasPrefix(".") {
            throw TuttiError(.data, "find data", source, "names the data file '\(name)', which is not in its folder")
        }
        return names.map { .file("\(path)/\($0)") }
    }

    private func retrieval(_ path: String, _ names: [String]) throws(TuttiError) -> DatasetPart {
        guard names.contains("qrels") else { return .retrieval(folder: path, judgements: path + "/qrels.tsv") }
        let all = try DatasetFiles.entries(path + "/qrels").filter { DatasetReaders.fileExtension(of: $0) == "tsv" }
        let splits = all.map { String($0.prefix { $0 != "." }) }
        let wanted = try chosen(of: splits, path + "/qrels")
        guard let place = splits.firstIndex(of: wanted) else { throw DatasetFiles.missing(path + "/qrels/" + wanted) }
        return .retrieval(folder: path, judgements: "\(path)/qrels/\(all[place])")
    }

    // MARK: Splits

    /// The split to use among `splits`: the one that is named, or the only one, or train.
    private func chosen(of splits: [String], _ path: String) throws(TuttiError) -> String {
        let known = splits.sorted()
        guard let split else {
            if let only = known.first, known.count == 1 { return only }
            if let train = known.first(where: { DatasetFiles.canonical($0) == "train" }) { return train }
            throw usage(
                path, "holds several splits: \(known.joined(separator: ", "))", hint: "Name one with split: NAME.")
        }
        if let exact = known.first(where: { $0 == split }) { return exact }
        if let same = known.first(where: { DatasetFiles.canonical($0) == DatasetFiles.canonical(split) }) {
            return same
        }
        throw usage(
            path, "has no split '\(split)'",
            hint: TuttiError.hint(unknown: split, known: known))
    }

    /// Of `files`, those of the split; all, if no name tells a split.
    private func ofSplit(_ files: [String], _ path: String) throws(TuttiError) -> [String] {
        let words = files.map { file in
            let parts = file.split(separator: "/").suffix(2).map(String.init)
            return parts.last.flatMap { DatasetFiles.splitWord($0) }
                ?? (parts.count == 2 && !file.dropLast(parts[1].count + 1).elementsEqual(path)
                    ? DatasetFiles.splitWord(parts[0]) : nil)
        }
        let splits = Set(words.compactMap { $0 })
        guard !splits.isEmpty else {
            guard let split else { return files }
            throw usage(
                path, "no name of its files tells the split '\(split)'", hint: "Name the files with path: [...].")
        }
        // A pattern that names no split asks for all that it matches.
        if split == nil, path.contains(where: { "*?[".contains($0) }) { return files }
        let endings = Set(files.indices.filter { words[$0] != nil }.map { DatasetReaders.fileExtension(of: files[$0]) })
        let other = files.indices.first {
            words[$0] == nil && endings.contains(DatasetReaders.fileExtension(of: files[$0]))
        }
        if split == nil, let other {
            throw usage(
                path, "the names of some files tell a split, and that of \(files[other]) does not",
                hint: "Name the split with split: NAME, or the files with path: [...].")
        }
        let wanted = try chosen(of: Array(splits), path)
        return files.indices.filter { words[$0] == wanted }.map { files[$0] }
    }

    private static let words: [String: [String]] = [
        "train": ["train", "training"], "validation": ["validation", "valid", "dev", "val", "eval"],
        "test": ["test", "testing"],
    ]

    private static func canonical(_ split: String) -> String {
        words.first { $0.value.contains(split.lowercased()) }?.key ?? split
    }

    /// The split that the name of a file or folder tells, or nil: a word of it, or what stands before "-00000-of-00001".
    private static func splitWord(_ name: String) -> String? {
        let parts = name.split { "-_.".contains($0) }.map(String.init)
        for part in parts {
            if let word = words.first(where: { $0.value.contains(part.lowercased()) }) { return word.key }
        }
        if let place = parts.firstIndex(of: "of"), place >= 2, parts[place - 1].allSatisfy(\.isNumber),
            let before = name.range(of: "-" + parts[place - 1])
        {
            let word = String(name[..<before.lowerBound])
            return ["data", "part"].contains(word) ? nil : word
        }
        return nil
    }

    private func usage(_ path: String, _ problem: String, hint: String) -> TuttiError {
        TuttiError(.usage, "find data", path, problem, hint: hint)
    }
}

extension DatasetSpecification {
    /// Whether a path is the name of a data set on the hub rather than a file: it says so by "hf:", or there is nothing at
    /// the path and it has the form organization/name, perhaps with a configuration behind a colon.
    package static func isHubName(_ path: String) -> Bool {
        if path.hasPrefix("hf:") { return true }
        guard !FileManager.default.fileExists(atPath: path) else { return false }
        let name = path.prefix { $0 != ":" && $0 != "@" }
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        let isName =
            parts.count <= 2
            && parts.allSatisfy { part in
                part.first.map { $0 != "." } ?? false
                    && part.allSatisfy { $0.isLetter || $0.isNumber || "-_.".contains($0) }
            }
        let kind = DatasetReaders.fileExtension(of: path)
        return isName && (kind.isEmpty || parts.count == 2 && !DatasetReaders.isRead(kind))
    }
}
