// What the searching evaluators refuse, and how they say so.

import Foundation
import TestSupport
import Testing
import TuttiEvaluation
import TuttiFormats
import TuttiGround

@Suite struct SearchInputTests {
    private func failure(_ name: String, _ options: JSONObject) -> TuttiError? {
        do {
            _ = try EvaluatorRegistry.make(
                name: name,
                options: EvaluatorOptions(
                    place: "evaluators[0]", object: options, modelSimilarity: "cosine",
                    modelPrompts: ["query": "query: "]))
            return nil
        } catch { return error }
    }

    private func write(_ path: String, _ text: String) throws {
        try FileManager.default.createDirectory(
            atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try AtomicWrite.file(path: path, text: text)
    }

    private func writeCollection(_ folder: String) throws {
        try write(folder + "/corpus.jsonl", "{\"_id\": \"d\", \"text\": \"a document\"}\n")
        try write(folder + "/queries.jsonl", "{\"_id\": \"q\", \"text\": \"a query\"}\n")
        try write(folder + "/qrels.tsv", "query-id\tcorpus-id\nq\td\n")
    }

    @Test func folderOfNanoBEIR() throws {
        try withTemporaryDirectory { folder in
            let nowhere = failure("NanoBEIREvaluator", ["dataset_id": .string("sentence-transformers/NanoBEIR-en")])
            #expect(nowhere?.kind == .missingFile && nowhere?.hint?.contains("not fetched") == true)
            try writeCollection(folder + "/NanoSciFact")
            func problem(_ names: JSONValue, _ more: JSONObject = [:]) -> TuttiError? {
                var options: JSONObject = ["path": .string(folder), "dataset_names": names]
                for (key, value) in more { options.set(key, value) }
                return failure("NanoBEIREvaluator", options)
            }
            #expect(problem(.string("scifact")) == nil)
            let missing = problem(.null)
            #expect(missing?.kind == .missingFile && missing?.subject == folder + "/NanoClimateFEVER")
            #expect(missing?.hint?.contains("evaluators[0].dataset_names") == true)
            #expect(problem(.string("sifact"))?.hint?.contains("'scifact'") == true)
            #expect(problem(.array([.string("scifact"), .string("SciFact")]))?.problem.contains("twice") == true)
            #expect(problem(.array([]))?.kind == .usage)
            #expect(problem(.string("scifact"), ["id": .string("x")])?.subject == "evaluators[0].id")
            let prompts = problem(.string("scifact"), ["query_prompts": .object(["msmarco": .string("x")])])
            #expect(prompts?.kind == .usage && prompts?.problem.contains("scifact") == true)
            #expect(problem(.string("scifact"), ["aggregate_fn": .string("mode")])?.hint?.contains("median") == true)
        }
    }

    /// The model card has the data sets and, where there are several, the aggregate.
    @Test func whatTheCardTellsOf() throws {
        try withTemporaryDirectory { folder in
            for name in ["NanoSciFact", "nq"] { try writeCollection("\(folder)/\(name)") }
            func reported(_ names: [String]) throws -> [String] {
                try EvaluatorRegistry.make(
                    name: "NanoBEIREvaluator",
                    options: EvaluatorOptions(
                        place: "evaluators[0]",
                        object: [
                            "path": .string(folder), "dataset_names": .array(names.map { .string($0) }),
                            "truncate_dim": .integer(8),
                        ], modelSimilarity: "dot")
                ).reported.map { "\(type(of: $0).className) \($0.name)" }
            }
            #expect(
                try reported(["NQ", "scifact"]) == [
                    "InformationRetrievalEvaluator NanoNQ_8", "InformationRetrievalEvaluator NanoSciFact_8",
                    "NanoBEIREvaluator NanoBEIR_mean_8",
                ])
            #expect(try reported(["nq"]) == ["InformationRetrievalEvaluator NanoNQ_8"])
        }
    }

    /// The layouts of Parquet on the hub hold what the folder of JSON lines holds.
    @Test(arguments: [
        "/P-00000-of-00001.parquet", "/NanoSciFact/P/train-00000-of-00001.parquet", "/scifact/P.parquet",
        "/P/NanoSciFact-00000-of-00001.parquet",
    ])
    func folderOfParquet(_ layout: String) throws {
        try withTemporaryDirectory { folder in
            let tables: [(part: String, columns: [(name: String, texts: [String])])] = [
                ("corpus", [("_id", ["d1", "d2", "d3"]), ("text", ["one", "", "three"])]),
                ("queries", [("_id", ["q1", "q2"]), ("text", ["which?", "what?"])]),
                ("qrels", [("query-id", ["q1", "q2", "q1"]), ("corpus-id", ["d1", "d3", "d3"])]),
            ]
            for (part, columns) in tables {
                let path = folder + layout.replacing("/P", with: "/" + part)
                try FileManager.default.createDirectory(
                    atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
                try ParquetWriter.write(path: path, columns: columns.map { .texts($0.name, $0.texts) })
            }
            let failed = failure("NanoBEIREvaluator", ["path": .string(folder), "dataset_names": .string("scifact")])
            guard !layout.hasPrefix("/P-") else {
                #expect(failed?.kind == .missingFile, "files of no data set in particular")
                return
            }
            #expect(failed == nil, "\(failed as Any)")
            let other = failure("NanoBEIREvaluator", ["path": .string(folder), "dataset_names": .string("nq")])
            #expect(other?.kind == .missingFile && other?.subject == folder + "/NanoNQ")
        }
    }

    /// Judgements in Parquet: ids that are lists, numbers, grades.
    @Test func judgementsInParquet() throws {
        try withTemporaryDirectory { folder in
            let (corpus, queries, qrels) = (folder + "/c.parquet", folder + "/q.parquet", folder + "/r.parquet")
            try ParquetWriter.write(path: corpus, columns: [.texts("_id", ["1", "2"]), .texts("text", ["a", "b"])])
            try ParquetWriter.write(path: queries, columns: [.texts("_id", ["q"]), .texts("text", ["c"])])
            func problem(_ documents: [UInt8], width: Int, more: [ParquetOutputColumn] = []) throws -> TuttiError? {
                try documents.withUnsafeBytes { bytes in
                    try ParquetWriter.write(
                        path: qrels,
                        columns: [
                            .texts("query-id", ["q"]), .lists("corpus-id", bytes, type: .u8, width: width),
                        ] + more)
                }
                return failure(
                    "InformationRetrievalEvaluator",
                    ["corpus": .string(corpus), "queries": .string(queries), "qrels": .string(qrels)])
            }
            #expect(try problem([1, 2], width: 2) == nil)
            let word = try problem([1], width: 1, more: [.texts("score", ["good"])])
            #expect(
                word?.kind == .data && word?.subject == qrels + ": row 1" && word?.problem.contains("'score'") == true)
            try ParquetWriter.write(path: qrels, columns: [.texts("query", ["q"]), .texts("corpus-id", ["1"])])
            let bare = failure(
                "InformationRetrievalEvaluator",
                ["corpus": .string(corpus), "queries": .string(queries), "qrels": .string(qrels)])
            #expect(bare?.kind == .data && bare?.problem == "has no column 'query-id'")
            try ParquetWriter.write(path: corpus, columns: [.texts("_id", ["1", "1"]), .texts("text", ["a", "b"])])
            let twice = failure(
                "InformationRetrievalEvaluator",
                ["corpus": .string(corpus), "queries": .string(queries), "qrels": .string(qrels)])
            #expect(twice?.subject == corpus + ": row 2" && twice?.problem.contains("duplicate") == true)
        }
    }

    @Test func promptsByName() throws {
        try withTemporaryDirectory { folder in
            try writeCollection(folder)
            var options: JSONObject = [:]
            for (key, file) in [("corpus", "corpus.jsonl"), ("queries", "queries.jsonl"), ("qrels", "qrels.tsv")] {
                options.set(key, .string(folder + "/" + file))
            }
            options.set("query_prompt_name", .string("query"))
            #expect(failure("InformationRetrievalEvaluator", options) == nil)
            options.set("corpus_prompt_name", .string("qery"))
            let unknown = failure("InformationRetrievalEvaluator", options)
            #expect(unknown?.subject == "evaluators[0].corpus_prompt_name")
            #expect(unknown?.hint?.contains("'query'") == true)
            options.set("corpus_chunk_size", .integer(0))
            #expect(failure("InformationRetrievalEvaluator", options)?.subject == "evaluators[0].corpus_chunk_size")
        }
    }

    @Test func samplesToRerank() throws {
        try withTemporaryDirectory { folder in
            func problem(_ name: String, _ text: String) throws -> TuttiError? {
                try write(folder + "/" + name, text)
                return failure("RerankingEvaluator", ["path": .string(folder + "/" + name)])
            }
            let sample = "{\"query\": \"q\", \"positive\": \"p\", \"negative\": [\"n\", \"m\"]}"
            #expect(try problem("a.jsonl", sample + "\n") == nil)
            #expect(try problem("a.json", "[" + sample + ",\n" + sample + "]") == nil)
            #expect(try problem("a.csv", "query,positive,negative\nq,p,n\n")?.hint?.contains("JSON lines") == true)
            #expect(try problem("b.jsonl", sample + "\n{\"query\": \"q\"}")?.subject == folder + "/b.jsonl:2")
            #expect(
                try problem("c.jsonl", "{\"query\": [\"q\"], \"positive\": \"p\", \"negative\": \"n\"}")?.kind == .data)
            #expect(
                try problem("d.jsonl", "{\"query\": \"q\", \"positive\": [1], \"negative\": \"n\"}")?.kind == .data)
            let parquet = Goldens.path("columnar/rerank.parquet")
            #expect(failure("RerankingEvaluator", ["path": .string(parquet)]) == nil)
            let other = Goldens.path("columnar/mixed.parquet")
            let lacking = failure("RerankingEvaluator", ["path": .string(other)])
            #expect(lacking?.kind == .data && lacking?.subject.hasPrefix(other) == true, "\(lacking as Any)")
            let none = try problem("e.jsonl", "{\"query\": \"q\", \"positive\": [], \"negative\": \"n\"}")
            #expect(none?.problem.contains("no sample") == true)
        }
    }

    @Test func sentencesAndDuplicates() throws {
        try withTemporaryDirectory { folder in
            func problem(_ sentences: (String, String), _ duplicates: JSONValue = .null) throws -> TuttiError? {
                try write(folder + "/" + sentences.0, sentences.1)
                return failure(
                    "ParaphraseMiningEvaluator",
                    ["sentences_map": .string(folder + "/" + sentences.0), "duplicates_list": duplicates])
            }
            let pairs = JSONValue.array([.array([.string("1"), .integer(2)])])
            for text in ["[[1, \"a\"], [2, \"b\"]]", "{\"1\": \"a\", \"2\": \"b\"}", "[{\"id\": 1, \"s\": \"a\"}]"] {
                #expect(try problem(("a.json", text), pairs) == nil)
            }
            #expect(try problem(("a.tsv", "id\ttext\n1\ta\n2\tb\n"), pairs) == nil)
            #expect(try problem(("a.jsonl", "{\"qid\": 1, \"question\": \"a\"}\n[2, \"b\"]\n"), pairs) == nil)
            #expect(try problem(("b.csv", "id,text\n1,a\n1,b\n"))?.problem.contains("'1' twice") == true)
            #expect(try problem(("b.csv", "id,text\n1,a\n2\n"))?.subject == folder + "/b.csv:3")
            #expect(try problem(("b.csv", "id\n1\n"))?.kind == .data)
            #expect(try problem(("b.jsonl", "[1, \"a\"]\n[1]\n"))?.subject == folder + "/b.jsonl:2")
            let flawed = try problem(("c.csv", "id,text\n1,a\n"), .array([.string("1")]))
            #expect(flawed?.kind == .usage && flawed?.subject == "evaluators[0].duplicates_list")
        }
    }
}
