// The data sets of NanoBEIR on disk: a folder with one sub-folder a data set, in the BEIR layout.
//
//   <folder>/NanoMSMARCO/corpus.jsonl   {"_id", "text"}: a title does not count, as in the reference
//   <folder>/NanoMSMARCO/queries.jsonl  {"_id", "text"}
//   <folder>/NanoMSMARCO/qrels.tsv      (or qrels/test.tsv) query-id, corpus-id and perhaps score, with a header line
//
// A sub-folder may also be named without "Nano", and in any case. Empty texts are dropped. The hub serves these data as
// Parquet, in folders of their own, which are not read: the refusal says how to convert it.
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
    /// The wanted data sets: "Nano" and the name, and the sub-folder.
    let places: [(name: String, folder: String)]

    /// Finds the data sets `names` below `path`.
    ///
    /// Throws: `.usage` for a name that is none; `.missingFile` where there is no sub-folder; `.data` for Parquet.
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
        var found: [(name: String, folder: String)] = []
        for name in wanted {
            let entry = ["nano" + name.lowercased(), name.lowercased()].lazy.compactMap { spelled in
                entries.first { $0.lowercased() == spelled }
            }.first
            guard let entry else {
                if NanoBEIRFolder.holdsParquet(path) { throw NanoBEIRFolder.parquetRefusal(path) }
                throw TuttiError(
                    .missingFile, "read evaluation data", "\(path)/Nano\(name)", "there is no such folder",
                    hint: "Choose the data sets that are there with \(options.place).dataset_names.")
            }
            found.append(("Nano" + name, "\(path)/\(entry)"))
        }
        places = found
    }

    /// The queries, documents and judgements in the folder of one data set.
    ///
    /// Throws: `.missingFile`; `.data` naming file and line.
    static func collection(_ folder: String) throws(TuttiError) -> JudgedCollection {
        let files = try entries(folder)
        if !files.contains("corpus.jsonl"), holdsParquet(folder) { throw parquetRefusal(folder) }
        let documents = try RetrievalFiles.queries(folder + "/corpus.jsonl")
        let queries = try RetrievalFiles.queries(folder + "/queries.jsonl")
        return try JudgedCollection(
            queries: queries.droppingEmptyTexts(), documents: documents.droppingEmptyTexts(),
            judgements: folder + (files.contains("qrels") ? "/qrels/test.tsv" : "/qrels.tsv"))
    }

    private static func entries(_ path: String) throws(TuttiError) -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: path).sorted()
        } catch {
            throw TuttiError(
                .missingFile, "read evaluation data", path, "there is no such folder",
                hint: "Data sets of the hub are not fetched: name a folder with one sub-folder a data set.")
        }
    }

    /// Whether a Parquet file lies in the folder or one level below.
    private static func holdsParquet(_ path: String) -> Bool {
        guard let walk = FileManager.default.enumerator(atPath: path) else { return false }
        for case let entry as String in walk where walk.level <= 2 && entry.hasSuffix(".parquet") { return true }
        return false
    }

    private static func parquetRefusal(_ path: String) -> TuttiError {
        TuttiError(
            .data, "read evaluation data", path, "NanoBEIR in Parquet is not supported yet",
            hint: "Convert them first, with pandas, for each data set D: "
                + "pandas.read_parquet(F).to_json(\"D/corpus.jsonl\", orient=\"records\", lines=True), the same for "
                + "D/queries.jsonl, and pandas.read_parquet(F).to_csv(\"D/qrels.tsv\", sep=\"\\t\", index=False).")
    }
}

extension NamedTexts {
    /// The texts that hold anything.
    fileprivate func droppingEmptyTexts() -> NamedTexts {
        let kept = texts.indices.filter { !texts[$0].isEmpty }
        return NamedTexts(ids: kept.map { ids[$0] }, texts: kept.map { texts[$0] })
    }
}
