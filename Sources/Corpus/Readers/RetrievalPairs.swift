// A retrieval data set as training pairs: every query with every document that is judged relevant to it.
//
// The layout is that of BEIR (`RetrievalFiles`); judgements may be in TREC's format too. Texts are stored once, however
// often they are judged.

import TuttiFormats
import TuttiGround

/// Reads pairs of queries and documents.
enum RetrievalPairs {
    /// The pairs in `folder`, in the order of the file of judgements: columns query and document.
    ///
    /// Throws: `.missingFile`; `.data` naming the file, for an id without a text, and where nothing is relevant.
    static func read(
        _ folder: String, judgements path: String, columns: [String]?, options: ReaderOptions
    ) throws(TuttiError) -> Table {
        guard options.isPlain else {
            throw TuttiError(
                .usage, "read table", folder, "delimiter, quote and header do not apply to a retrieval data set",
                hint: "They are options of .csv and .tsv files.")
        }
        try RowCollector.refuse(options, folder)
        let judgements = try RetrievalFiles.judgements(path).filter { $0.score > 0 }
        guard !judgements.isEmpty else { throw TuttiError(.data, "read table", path, "judges no document relevant") }
        let selection = try ColumnSelection(
            header: ["query", "document"], columns: columns, source: folder, options: options)
        let named = [
            try RetrievalFiles.queries(RetrievalFiles.file("queries.jsonl", in: folder)),
            try RetrievalFiles.corpus(RetrievalFiles.file("corpus.jsonl", in: folder)),
        ]
        let places = named.map { texts in
            Dictionary(zip(texts.ids, texts.ids.indices), uniquingKeysWith: { first, _ in first })
        }
        var builder = selection.builder(source: folder)
        var numbers: [[Int: UInt32]] = [[:], [:]]
        var cells: [UInt32] = []
        for (row, judgement) in judgements.enumerated() {
            for column in selection.texts {
                let id = column == 0 ? judgement.query : judgement.document
                guard let place = places[column][id] else {
                    throw TuttiError(
                        .data, "read table", path,
                        "judges the \(column == 0 ? "query" : "document") '\(id)', which has no text",
                        hint: "Every id needs a line in \(column == 0 ? "queries.jsonl" : "corpus.jsonl").")
                }
                let number = numbers[column][place] ?? builder.add(text: named[column].texts[place], row: row)
                numbers[column][place] = number
                cells.append(number)
            }
        }
        return try builder.table(columnNames: selection.textNames, rowCount: judgements.count, cells: cells)
    }
}
