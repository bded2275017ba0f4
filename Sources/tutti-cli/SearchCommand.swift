// `tutti search`: the texts of a corpus that are nearest to queries.

import ArgumentParser
import Foundation
import TuttiCorpus
import TuttiEnsemble
import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiModels
import TuttiObjectives
import TuttiReports

struct SearchCommand: RankedCommand {
    static let configuration = CommandConfiguration(
        commandName: "search", abstract: "Find the texts of a corpus that are nearest to queries.",
        discussion: """
            The search is exact, by the model's similarity; equal scores are ordered by place in the corpus. A BEIR \
            corpus.jsonl has ids, and titles that belong to the texts; of other files rows are numbered from 1.
            """)

    @Option(help: ArgumentHelp("Model folder or hub id.", valueName: "path"))
    var model: String

    @Option(help: ArgumentHelp("Lines of text, a data file, or a BEIR corpus.jsonl.", valueName: "file"))
    var corpus: String

    @Option(help: ArgumentHelp("Column of the corpus file to search.", valueName: "name"))
    var column: String?

    @Option(help: ArgumentHelp("The corpus' embeddings, from `tutti encode --output F.npy`.", valueName: "file.npy"))
    var vectors: String?

    @Option(help: ArgumentHelp("A query; may be repeated.", valueName: "text"))
    var query: [String] = []

    @Option(help: ArgumentHelp("Queries: lines of text, or a data file.", valueName: "file"))
    var queries: String?

    @Option(help: ArgumentHelp("Column of the file of queries.", valueName: "name"))
    var queryColumn: String?

    @Option(help: ArgumentHelp("Texts shown per query.", valueName: "n"))
    var top = 10

    @OptionGroup(title: "Prompts") var prompts: MiningPrompts

    @Flag(help: "Print one JSON object per query.")
    var json = false

    @OptionGroup(title: "Table format") var table: TableOptions
    @OptionGroup var encoding: EncodingOptions
    @OptionGroup var compute: ComputeOptions

    func validate() throws {
        guard top > 0 else { throw ValidationError("--top must be positive") }
        guard !query.isEmpty || queries != nil else { throw ValidationError("give --query TEXT or --queries FILE") }
    }

    func run(on ensemble: any Ensemble) throws {
        _ = try RankLayout.apply(compute, ensemble: ensemble)
        try ModelHub.fetch([model], among: ensemble)
        let (encoder, documents, wanted, stored, prefixes) = try ensemble.together("load model and texts") {
            func notice(_ line: String) { if ensemble.isRoot { TableOptions.notice(line) } }
            let options = try table.readerOptions()
            var wanted = query
            if let queries {
                wanted += try loadTextColumn(queries, column: queryColumn, options: options, notice: notice)
            }
            let encoder = try SentenceEncoder.load(model)
            encoder.notices.forEach(notice)
            let prefixes = (
                query: try prompts.query(encoder) ?? encoder.prompts["query"],
                corpus: try prompts.corpus(encoder) ?? encoder.prompts["document"]
            )
            let documents = try readCorpus(options, notice)
            return (encoder, documents, wanted, try storedVectors(encoder, documents.texts.count), prefixes)
        }
        try compute.chooseGemm(for: encoder, ensemble: ensemble)
        try encoding.apply(to: encoder, ensemble: ensemble)
        let display = ensemble.isRoot ? ProgressDisplay() : nil
        func encode(_ texts: [String], _ prompt: String?, task: String, _ what: String) throws -> Embeddings {
            try encoder.encode(texts, prompt: prompt, task: task, tokensPerBatch: 8192, ensemble: ensemble) {
                display?.worked(TaskProgress(what, done: $0, of: $1))
            }
        }
        let embeddings = try stored ?? encode(documents.texts, prefixes.corpus, task: "document", "Encoding the corpus")
        let asked = try encode(wanted, prefixes.query, task: "query", "Encoding queries")
        guard let similarity = SimilarityFunction(rawValue: encoder.similarity) else {
            preconditionFailure("a model with the similarity \(encoder.similarity)")  // loading refuses others
        }
        try ensemble.onRoot {
            let search = DocumentSearch(queries: asked, similarity: similarity, k: min(top, documents.texts.count))
            search.add(embeddings)
            let result = search.best()
            for (number, text) in wanted.enumerated() { try show(text, result.best(number), documents) }
        }
    }

    private func readCorpus(
        _ options: ReaderOptions, _ notice: (String) -> Void
    ) throws(TuttiError) -> NamedTexts {
        if column == nil, try RetrievalFiles.isCorpus(corpus) { return try RetrievalFiles.corpus(corpus) }
        let texts = try loadTextColumn(corpus, column: column, options: options, notice: notice)
        return NamedTexts(ids: texts.indices.map { "\($0 + 1)" }, texts: texts)
    }

    /// The embeddings in `--vectors`.
    private func storedVectors(_ model: SentenceEncoder, _ count: Int) throws(TuttiError) -> Embeddings? {
        guard let vectors else { return nil }
        let (rows, columns, floats) = try NumPy.read(path: vectors)
        guard rows == count, columns == model.dimension else {
            throw TuttiError(
                .data, "read vectors", vectors,
                "is \(rows) x \(columns), but \(corpus) has \(count) texts and the model \(model.dimension) dimensions",
                hint: "Write it with tutti encode, with the same model and file.")
        }
        return Embeddings(rows: floats, dimension: columns)
    }

    private func show(_ query: String, _ found: [(document: Int, score: Float)], _ documents: NamedTexts) throws {
        guard json else {
            try Output.line("\"\(query)\"")
            for (document, score) in found {
                let text = documents.texts[document].split(whereSeparator: \.isWhitespace).joined(separator: " ")
                let shown = text.count > 100 ? text.prefix(97) + "..." : Substring(text)
                try Output.line("  \(String(format: "%.4f", score))  \(documents.ids[document])  \(shown)")
            }
            return
        }
        let hits = found.map { document, score -> JSONValue in
            .object([
                "id": .string(documents.ids[document]), "score": .number(Double(score)),
                "text": .string(documents.texts[document]),
            ])
        }
        try Output.line(JSONValue.object(["query": .string(query), "hits": .array(hits)]).serialized())
    }
}
