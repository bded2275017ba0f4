// Models with a Router: embeddings by task against the reference (Golden/router.py), what is saved, how a route is chosen,
// and what is refused.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiModels

@Suite struct RouterModelTests {
    private func with<T>(_ name: String, _ body: (String) throws -> T) throws -> T {
        try withTemporaryDirectory { scratch in
            let model = scratch + "/model"
            try FileManager.default.copyItem(atPath: Goldens.path("router/\(name)/model"), toPath: model)
            return try body(model)
        }
    }

    private func texts() throws -> [String] {
        let text = try String(contentsOfFile: Goldens.path("families/rows/pairs.jsonl"), encoding: .utf8)
        return try text.split(separator: "\n").prefix(6).map {
            try #require(try JSONValue.parse(String($0), source: "pairs")["anchor"]?.string)
        }
    }

    private func encode(_ model: SentenceEncoder, _ task: String?) throws -> [Float] {
        try model.encode(try texts(), prompt: nil, task: task, tokensPerBatch: 64, ensemble: nil).flattened
    }

    @Test(arguments: ["asymmetric", "late", "shared"])
    func embeddingsEqualTheReference(_ name: String) throws {
        let golden = try SafetensorsFile(path: Goldens.path("router/\(name)/expected.safetensors"))
        let tasks = golden.tensors.map(\.name).filter { $0.hasPrefix("embedding.") }.map { String($0.dropFirst(10)) }
        #expect(tasks.count == 3)
        try with(name) { path in
            let model = try SentenceEncoder.load(path)
            let saved = path + "-saved"
            try FileManager.default.createDirectory(atPath: saved, withIntermediateDirectories: true)
            try model.save(to: saved, card: nil)
            let again = try SentenceEncoder.load(saved)
            for task in tasks {
                let wanted = try golden.floats("embedding." + task)
                let found = try encode(model, task == "none" ? nil : task)
                #expect(largestDifference(found, wanted) <= 1e-6, "\(task): \(largestDifference(found, wanted))")
                #expect(try encode(again, task == "none" ? nil : task) == found)
            }
            let named = tasks.filter { $0 != "none" }
            #expect(try encode(model, named[0]) != encode(model, named[1]))
            let own = try FileManager.default.subpathsOfDirectory(atPath: path).filter { $0.hasSuffix(".safetensors") }
            for file in own {
                let (a, b) = (
                    try SafetensorsFile(path: path + "/" + file), try SafetensorsFile(path: saved + "/" + file)
                )
                #expect(a.tensors.map(\.name) == b.tensors.map(\.name))
                for info in a.tensors { #expect(try a.floats(info.name) == b.floats(info.name), "\(file)") }
            }
            #expect(model.modelCardFacts().architecture.contains { $0.hasPrefix("Router(") })
            #expect(model.moduleNames.contains("Router"))
        }
    }

    @Test func sharedModulesHaveOneCopy() throws {
        let model = try SentenceEncoder.load(Goldens.path("router/shared/model"))
        let names = model.encoder.layout.entries.map(\.name)
        #expect(
            names.filter { $0.hasSuffix("word_embeddings.weight") } == [
                "query_0_Transformer.embeddings.word_embeddings.weight"
            ])
        #expect(model.inputs.count == 1 && model.directory.routes.map(\.name) == ["query", "document"])
    }

    @Test func routesAreChosenAsInTheReference() throws {
        func route(_ parameters: String, _ task: String?) throws -> String {
            try with("asymmetric") { path in
                let file = path + "/router_config.json"
                let text = try String(contentsOfFile: file, encoding: .utf8)
                let start = try #require(text.range(of: "\"parameters\": {"))
                try AtomicWrite.file(path: file, text: text[..<start.upperBound] + parameters + "}}")
                let directory = try ModelDirectory(path: path)
                return directory.routes[try directory.routing.route(of: task)].name
            }
        }
        let mapped = #""default_route": "query", "route_mappings": "#
        for (parameters, task, wanted) in [
            ("", nil, "query"), (#""default_route": "document""#, nil, "document"), ("", "document", "document"),
            (mapped + #"{"('a', None)": "document"}"#, "a", "document"),
            (mapped + #"{"('a', None)": "query", "('a', 'text')": "document"}"#, "a", "document"),
            (mapped + #"{"(None, 'text')": "document"}"#, "query", "document"),
            (mapped + #"{"(None, None)": "document"}"#, nil, "document"),
            (mapped + #"{"(None, 'image')": "document", "(None, ('image', 'text'))": "document"}"#, nil, "query"),
        ] as [(String, String?, String)] {
            #expect(try route(parameters, task) == wanted, "\(parameters) \(task ?? "none")")
        }
        for (parameters, task, word) in [
            (#""allow_empty_key": false"#, nil, "no default route"), ("", "doc", "'doc' has no route"),
            (#""default_route": "other""#, "query", "there is no route 'other'"),
            (mapped + #"{"('a', None)": "b"}"#, "a", "there is no route 'b'"),
            (mapped + #"{"a": "query"}"#, "a", "is not a pair"),
        ] as [(String, String?, String)] {
            let error = #expect(throws: TuttiError.self) { try route(parameters, task) }
            #expect(error?.problem.contains(word) == true, "\(String(describing: error))")
        }
    }

    @Test(arguments: [
        ("\"query_0_StaticEmbedding\",", "\"query_9_StaticEmbedding\",", "which 'types' does not have"),
        ("modules.static_embedding.StaticEmbedding", "modules.bow.CLIPModel", "encodes images"),
        ("base.modules.dense.Dense", "base.modules.router.Router", "a Router inside a Router"),
        ("base.modules.dense.Dense", "modules.Unknown", "'Unknown' is not known"),
        ("\"query\": [", "\"query\": 3, \"other\": [", "a list of 1 to"),
        (
            "            \"query_1_Dense\"\n", "            \"query_0_StaticEmbedding\"\n",
            "a second module that reads texts"
        ),
        ("\"query_1_Dense\"", "\"../query_1_Dense\"", "leads out of the model's folder"),
        (
            "            \"query_0_StaticEmbedding\",\n            \"query_1_Dense\"",
            "            \"query_0_StaticEmbedding\"", "gives embeddings of 12 numbers"
        ),
    ])
    func brokenRoutersAreTold(_ old: String, _ new: String, _ word: String) throws {
        try with("asymmetric") { path in
            let file = path + "/router_config.json"
            let text = try String(contentsOfFile: file, encoding: .utf8)
            #expect(text.contains(old))
            try AtomicWrite.file(path: file, text: text.replacingOccurrences(of: old, with: new))
            let error = #expect(throws: TuttiError.self) { try SentenceEncoder.load(path) }
            #expect(
                error?.kind == .data && error?.description.contains(word) == true,
                "\(word): \(String(describing: error))")
        }
    }

    /// One limit for all that have one: as the reference, which sets it everywhere.
    @Test func theLongestTextIsThatOfTheTransformer() throws {
        let model = try SentenceEncoder.load(Goldens.path("router/asymmetric/model"))
        #expect(model.maximumLength == 24 && model.lengthLimit == 24)
        let long = Array(repeating: try texts()[0], count: 40).joined(separator: " ")
        func ids(_ task: String) throws -> Int {
            model.readers[try model.directory.routing.route(of: task)].ids(of: long).count
        }
        #expect(try ids("document") == 24 && ids("query") > 40)
        model.maximumLength = 8
        #expect(try ids("document") == 8 && ids("query") > 40)
    }
}
