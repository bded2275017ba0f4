// The data sets of NanoBEIR on disk, in one of the layouts that the hub and BEIR have.
//
//   <folder>/corpus/NanoMSMARCO-00000-of-00001.parquet   all data sets in one repository, the same for queries/ and qrels/
//   <folder>/NanoMSMARCO/corpus/train-00000-of-00001.parquet   a repository a data set, the same for queries/ and qrels/
//   <folder>/NanoMSMARCO/corpus.parquet, queries.parquet, qrels.parquet
//   <folder>/NanoMSMARCO/corpus.jsonl, queries.jsonl, qrels.tsv (or qrels/test.tsv)
//
// Corpus and queries have _id and text (a title does not count, as in the reference), qrels query-id, corpus-id (an id, or
// a list of them) and perhaps score. A sub-folder may also be named without "Nano", and in any case. Empty texts are dropped.
//
// Reference: sentence_transformers/sentence_transformer/evaluation/nano_beir.py (6.2).

import Foundation
import TuttiCorpus
import TuttiFormats
import TuttiGround

/// The folder of NanoBEIR data sets.
struct NanoBEIRFolder {
    /// The thirteen data sets, as people write their names.
    static let dataSets = [
        "ClimateFEVER", "DBPedia", "FEVER", "FiQA2018", "HotpotQA", "MSMARCO", "NFCorpus", "NQ", "QuoraRetrieval",
        "SCIDOCS", "ArguAna", "SciFact", "Touche2020",
    ]
    /// The wanted data sets: "Nano" and the name, and their files.
    let places: [(name: String, files: NanoBEIRFiles)]

    /// Finds the data sets `names` below `path`.
    ///
    /// Throws: `.usage` for a name that is none; `.missingFile` for a data set without files.
    init(_ path: String, names: [String], _ options: EvaluatorOptions) throws(TuttiError) {
        var wanted: [String] = []
        for name in names {
            guard let known = NanoBEIRFolder.dataSets.first(where: { $0.lowercased() == name.lowercased() }) else {
                throw options.error(
                    "dataset_names", "the data set '\(name)' is not known",
                    hint: TuttiError.hint(unknown: name, known: NanoBEIRFolder.dataSets.map { $0.lowercased() }))
            }
            guard !wanted.contains(known) else { throw options.error("dataset_names", "names '\(name)' twice") }
            wanted.append(known)
        }
        let entries = try NanoBEIRFolder.entries(path)
        var found: [(name: String, files: NanoBEIRFiles)] = []
        for name in wanted {
            let entry = ["nano" + name.lowercased(), name.lowercased()].lazy.compactMap { spelled in
                entries.first { $0.lowercased() == spelled }
            }.first
            if let entry {
                found.append(("Nano" + name, try NanoBEIRFiles(dataSet: "\(path)/\(entry)")))
            } else if let files = try NanoBEIRFiles(repository: path, entries, name: name) {
                found.append(("Nano" + name, files))
            } else {
                throw TuttiError(
                    .missingFile, "read evaluation data", "\(path)/Nano\(name)", "there is no such folder",
                    hint: "Choose the data sets that are there with \(options.place).dataset_names.")
            }
        }
        places = found
    }

    /// What is in a folder, in order.
    fileprivate static func entries(_ path: String) throws(TuttiError) -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: path).sorted()
        } catch {
            throw TuttiError(
                .missingFile, "read evaluation data", path, "there is no such folder",
                hint:
                    "Data sets of the hub are not fetched: hf download --repo-type dataset NAME --local-dir DIR does; then "
                    + "path: DIR.")
        }
    }
}

/// The files of one data set.
struct NanoBEIRFiles {
    private let corpus: [String]
    private let queries: [String]
    private let judgements: [String]

    /// The files in a folder of one data set.
    ///
    /// Throws: as `DatasetReaders.files`, for a folder of Parquet files.
    init(dataSet folder: String) throws(TuttiError) {
        let names = try NanoBEIRFolder.entries(folder)
        /// Of `part` its first file among `plain`, or its Parquet files, or the first of `plain` for the error.
        func files(_ part: String, plain: [String]) throws(TuttiError) -> [String] {
            for name in plain where FileManager.default.fileExists(atPath: "\(folder)/\(name)") {
                return ["\(folder)/\(name)"]
            }
            if names.contains(part + ".parquet") { return ["\(folder)/\(part).parquet"] }
            guard names.contains(part) else { return ["\(folder)/\(plain[0])"] }
            return try DatasetReaders.files(of: DatasetSpecification(path: "\(folder)/\(part)"))
        }
        corpus = try files("corpus", plain: ["corpus.jsonl"])
        queries = try files("queries", plain: ["queries.jsonl"])
        judgements = try files("qrels", plain: ["qrels.tsv", "qrels/test.tsv"])
    }

    /// The files of the data set `name` in a folder with those of all; nil where there are none.
    ///
    /// Throws: `.missingFile` where not all of corpus, queries and qrels are there.
    init?(repository path: String, _ entries: [String], name: String) throws(TuttiError) {
        var parts: [[String]] = []
        for part in ["corpus", "queries", "qrels"] {
            guard entries.contains(part) else { return nil }
            let prefix = "nano" + name.lowercased()
            parts.append(
                try NanoBEIRFolder.entries("\(path)/\(part)").filter { file in
                    let spelled = file.lowercased()
                    let next = spelled.dropFirst(prefix.count).first
                    return spelled.hasPrefix(prefix) && (next == "-" || next == ".") && spelled.hasSuffix(".parquet")
                }.map { "\(path)/\(part)/\($0)" })
        }
        if parts.allSatisfy(\.isEmpty) { return nil }
        for (part, files) in zip(["corpus", "queries", "qrels"], parts) where files.isEmpty {
            throw TuttiError(
                .missingFile, "read evaluation data", "\(path)/\(part)/Nano\(name)-00000-of-00001.parquet",
                "there is no such file", hint: "Fetch the whole data set again.")
        }
        (corpus, queries, judgements) = (parts[0], parts[1], parts[2])
    }

    /// The queries, documents and judgements.
    ///
    /// Throws: `.missingFile`; `.data` naming file and line.
    func collection() throws(TuttiError) -> JudgedCollection {
        let documents = try RetrievalFiles.queries(corpus)
        let queries = try RetrievalFiles.queries(queries)
        return try JudgedCollection(
            queries: queries.droppingEmptyTexts(), documents: documents.droppingEmptyTexts(), judgements: judgements)
    }
}

extension NamedTexts {
    /// The texts that hold anything.
    fileprivate func droppingEmptyTexts() -> NamedTexts {
        let kept = texts.indices.filter { !texts[$0].isEmpty }
        return NamedTexts(ids: kept.map { ids[$0] }, texts: kept.map { texts[$0] })
    }
}
