// Data sets, losses, mixing and prompts of a configuration: one of each, or several by name.

import Testing
import TuttiCorpus
import TuttiFormats
import TuttiGround
import TuttiTraining

@Suite struct DatasetSectionTests {
    private func configuration(_ json: String) throws -> TrainingConfiguration {
        let text = "{\"model\": \"m\", \"output_dir\": \"o\", \(json)}"
        let object = try #require(try JSONValue.parse(text, source: "c").object)
        return try TrainingConfiguration(object, places: ConfigurationPlaces(file: "c"), purpose: .training) { _ in }
    }

    private func refusal(_ json: String) -> TuttiError? {
        do {
            _ = try configuration(json)
            return nil
        } catch {
            return error as? TuttiError
        }
    }

    private let loss = "\"loss\": {\"name\": \"MultipleNegativesRankingLoss\"}"

    @Test func oneDatasetHasNoName() throws {
        let plain = try configuration("\"train_dataset\": \"a.csv\", \(loss)")
        #expect(plain.trainDatasets == [DatasetSpecification(path: "a.csv")])
        let full = try configuration("\"train_dataset\": {\"path\": \"a.csv\", \"columns\": [\"x\", \"y\"]}, \(loss)")
        #expect(full.trainDatasets == [DatasetSpecification(path: "a.csv", columns: ["x", "y"])])
        #expect(full.losses?.all.count == 1 && full.losses?.index(of: nil) == 0)
    }

    @Test func severalHaveNamesAndKeepTheirOrder() throws {
        let two = try configuration(
            """
            "train_dataset": {"z": {"path": "z.csv", "columns": ["x"]}, "a": "a.csv"},
            "eval_dataset": {"a": {"path": "b"}},
            "loss": {"a": {"name": "A", "scale": 2}, "z": {"name": "Z"}}
            """)
        #expect(
            two.trainDatasets == [
                DatasetSpecification(path: "z.csv", columns: ["x"], name: "z"),
                DatasetSpecification(path: "a.csv", name: "a"),
            ])
        #expect(two.evalDatasets == [DatasetSpecification(path: "b", name: "a")])
        let losses = try #require(two.losses)
        #expect(losses.all.map(\.name) == ["A", "Z"])
        #expect(losses.index(of: "z") == 1 && losses.index(of: "a") == 0)
        #expect(losses.all[0].options == ["scale": .integer(2)] && losses.all[0].path == "loss.a")
        // One loss for all of them.
        let one = try configuration("\"train_dataset\": {\"z\": {\"path\": \"z\"}, \"a\": {\"path\": \"a\"}}, \(loss)")
        #expect(one.losses?.all.count == 1 && one.losses?.index(of: "a") == 0)
    }

    @Test func aDataSetMayBeSeveralFiles() throws {
        for text in ["[\"a.csv\", \"b.csv\"]", "{\"path\": [\"a.csv\", \"b.csv\"]}"] {
            let both = try configuration("\"train_dataset\": \(text), \(loss)")
            #expect(both.trainDatasets.map(\.paths) == [["a.csv", "b.csv"]] && both.trainDatasets[0].name == nil)
        }
        let named = try configuration("\"train_dataset\": {\"x\": [\"a.csv\", \"b.csv\"], \"y\": \"c.csv\"}, \(loss)")
        #expect(named.trainDatasets.map(\.paths) == [["a.csv", "b.csv"], ["c.csv"]])
        #expect(named.trainDatasets.map(\.name) == ["x", "y"])
        #expect(refusal("\"train_dataset\": {\"path\": []}, \(loss)")?.problem.contains("names no file") == true)
    }

    @Test func aShareOfTheRowsIsForValidation() throws {
        let split = "\"train_dataset\": {\"path\": \"a.csv\", \"validation_split\": 0.1}"
        let alone = try configuration("\(split), \(loss), \"args\": {\"eval_strategy\": \"epoch\"}")
        #expect(alone.trainDatasets[0].validationSplit == 0.1)
        let twice = refusal("\(split), \"eval_dataset\": \"b.csv\", \(loss)")
        #expect(twice?.subject == "c: train_dataset.validation_split")
        let wrong = refusal(
            "\"train_dataset\": \"a.csv\", \"eval_dataset\": {\"path\": \"b.csv\", \"validation_split\": 0.1}, \(loss)")
        #expect(wrong?.subject == "c: eval_dataset.validation_split")
        let nothing = refusal("\"train_dataset\": \"a.csv\", \(loss), \"args\": {\"eval_strategy\": \"epoch\"}")
        #expect(nothing?.hint?.contains("validation_split") == true)
    }

    @Test func aLossMayBeANameAlone() throws {
        let plain = try configuration("\"train_dataset\": \"a.csv\", \"loss\": \"CoSENTLoss\"")
        #expect(plain.losses?.all.map(\.name) == ["CoSENTLoss"] && plain.losses?.all[0].options.isEmpty == true)
        let data = "\"train_dataset\": {\"a\": \"a.csv\", \"b\": \"b.csv\"}"
        let two = try configuration("\(data), \"loss\": {\"a\": \"CoSENTLoss\", \"b\": {\"name\": \"TripletLoss\"}}")
        #expect(two.losses?.all.map(\.name) == ["CoSENTLoss", "TripletLoss"] && two.losses?.index(of: "b") == 1)
        #expect(try configuration("\(data), \"loss\": {\"name\": \"TripletLoss\"}").losses?.all.count == 1)
        #expect(
            refusal("\"train_dataset\": \"a.csv\", \"loss\": {\"nmae\": \"CoSENTLoss\"}")?.subject == "c: loss.name")
    }

    @Test func theModelCardIsReadKeyByKey() throws {
        let data = "\"train_dataset\": \"a.csv\", \(loss)"
        let card = try configuration(
            """
            \(data), "model_card": {"language": "en", "license": "mit", "base_model": "org/base", "tags": ["x"],
            "model_id": "org/name", "local_files_only": true}
            """
        ).modelCard
        #expect(card.languages == ["en"] && card.license == "mit" && card.baseModel == "org/base" && card.tags == ["x"])
        let unknown = refusal("\(data), \"model_card\": {\"licence\": \"mit\"}")
        #expect(unknown?.subject == "c: model_card.licence" && unknown?.hint?.contains("'license'") == true)
        #expect(refusal("\(data), \"model_card\": {\"license\": 3}")?.problem.contains("a string") == true)
        #expect(refusal("\(data), \"model_card\": {\"model_id\": \"name\"}")?.kind == .usage)
        let named = try configuration(
            """
            \(data), "model_card": {"train_datasets": [{"name": "A", "id": "org/a"}], "generate_widget_examples": false}
            """
        ).modelCard
        #expect(named.trainDatasets == [.init(name: "A", id: "org/a")] && !named.generatesExamples)
        let short = try configuration("\(data), \"model_card\": {\"train_datasets\": \"org/a\"}").modelCard
        #expect(short.trainDatasets == [.init(name: "org/a", id: "org/a")])
        for (names, place) in [
            ("[{\"name\": \"A\"}, {\"name\": \"B\"}]", ""), ("[{}]", ".0"), ("[{\"nmae\": \"A\"}]", ".0.nmae"),
        ] {
            let error = refusal("\(data), \"model_card\": {\"train_datasets\": \(names)}")
            #expect(error?.subject == "c: model_card.train_datasets\(place)", "\(names): \(error as Any)")
        }
    }

    @Test func keysInTheWrongPlaceAreToldWhereTheyBelong() throws {
        let data = "\"train_dataset\": \"a.csv\", \(loss)"
        #expect(refusal("\(data), \"max_steps\": 3")?.hint?.contains("args: {max_steps: ...}") == true)
        #expect(refusal("\(data), \"args\": {\"model\": \"x\"}")?.hint?.contains("top level") == true)
        _ = try configuration("\(data), \"args\": {\"output_dir\": \"other\"}")
        let text = "{\"model\": \"m\", \(data), \"args\": {\"output_dir\": \"other\"}}"
        let object = try #require(try JSONValue.parse(text, source: "c").object)
        let error = #expect(throws: TuttiError.self) {
            try TrainingConfiguration(object, places: ConfigurationPlaces(file: "c"), purpose: .training) { _ in }
        }
        #expect(error?.subject == "c: args.output_dir" && error?.hint?.contains("top level") == true)
    }

    @Test(arguments: [
        ("\"train_dataset\": {\"a\": {\"pth\": \"x\"}}", "c: train_dataset.a.pth", "unknown key"),
        ("\"train_dataset\": {\"pth\": \"x\"}", "c: train_dataset.pth", "unknown key"),
        ("\"train_dataset\": {\"a\": {\"columns\": [\"x\"]}}", "c: train_dataset.a.path", "is missing"),
        ("\"train_dataset\": {\"a\": {\"path\": \"x\"}, \"b\": 3}", "c: train_dataset.b", "expected a mapping"),
        ("\"train_dataset\": {\"a\": {\"path\": \"x\"}, \"b\": null}", "c: train_dataset.b", "the data set is empty"),
    ])
    func wrongDatasetsAreRefused(json: String, place: String, problem: String) throws {
        let error = try #require(refusal("\(json), \(loss)"))
        #expect(error.kind == .usage && error.subject == place && error.problem.hasPrefix(problem), "\(error)")
    }

    @Test func everyDatasetNeedsALossAndEveryLossADataset() throws {
        let data = "\"train_dataset\": {\"nli\": {\"path\": \"x\"}, \"stsb\": {\"path\": \"y\"}}"
        let missing = try #require(refusal("\(data), \"loss\": {\"nli\": {\"name\": \"A\"}}"))
        #expect(missing.subject == "c: loss.stsb" && missing.problem == "there is no loss for the data set")
        let typo = try #require(
            refusal(
                "\(data), \"loss\": {\"nli\": {\"name\": \"A\"}, \"stsb\": {\"name\": \"B\"}, "
                    + "\"stsp\": {\"name\": \"C\"}}"))
        #expect(typo.subject == "c: loss.stsp" && typo.problem == "there is no data set of this name")
        #expect(typo.hint?.contains("'stsb'") == true)
        let unnamed = try #require(
            refusal("\"train_dataset\": {\"path\": \"x\"}, \"loss\": {\"nli\": {\"name\": \"A\"}}"))
        #expect(unnamed.subject == "c: train_dataset" && unnamed.problem.contains("without a name"))
        let evaluation = try #require(
            refusal(
                "\(data), \"eval_dataset\": {\"dev\": {\"path\": \"z\"}}, "
                    + "\"loss\": {\"nli\": {\"name\": \"A\"}, \"stsb\": {\"name\": \"B\"}}"))
        #expect(evaluation.subject == "c: loss.dev")
        let nameless = try #require(
            refusal("\(data), \"loss\": {\"nli\": {\"scale\": 2}, \"stsb\": {\"name\": \"B\"}}"))
        #expect(nameless.subject == "c: loss.nli.name" && nameless.problem.hasPrefix("is missing"))
    }

    /// What the list of top-level options writes is a configuration that means the same.
    @Test func whatIsWrittenIsReadAgain() throws {
        let first = try configuration(
            """
            "train_dataset": {"z": {"path": "z.tsv", "quote": "none", "header": ["x", "y"]}, "a": "a.csv"},
            "eval_dataset": {"a": {"path": "b", "delimiter": "tab", "header": false, "columns": ["x"]}},
            "loss": {"a": {"name": "A", "scale": 2}, "z": "Z"}, "max_seq_length": 12,
            "config_overrides": {"hidden_dropout_prob": 0}, "evaluators": {"name": "E", "path": "e.csv"},
            "args": {"max_steps": 3}, "model_card": {"language": "en"}
            """)
        var written = JSONObject()
        for (name, value) in TrainingConfiguration.options.values(of: first) { written[name] = value }
        #expect(written["train_dataset"]?["z"]?["quote"] == .string("none"))
        let second = try TrainingConfiguration(
            written, places: ConfigurationPlaces(file: "c"), purpose: .training
        ) { _ in }
        #expect(second.trainDatasets == first.trainDatasets && second.evalDatasets == first.evalDatasets)
        #expect(second.evalDatasets[0].options.header == .columns && second.losses?.all.map(\.name) == ["A", "Z"])
        #expect(second.evaluators.map(\.path) == ["evaluators.0"] && first.evaluators.map(\.path) == ["evaluators"])
        #expect(second.arguments.maxSteps == 3 && second.modelCard == first.modelCard && second.maxSequenceLength == 12)
        #expect(second.configOverrides == first.configOverrides)
    }

    private func arguments(_ json: String) throws -> TrainingArguments {
        try configuration("\"train_dataset\": \"a.csv\", \(loss), \"args\": {\(json)}").arguments
    }

    @Test func mixingIsNamedAsInTheReference() throws {
        func mixing(_ json: String) throws -> DatasetMixing { try arguments(json).datasetMixing }
        #expect(try mixing("") == .proportional)
        #expect(try mixing("\"multi_dataset_batch_sampler\": \"round_robin\"") == .roundRobin)
        #expect(try mixing("\"multi_dataset_batch_sampler\": \"MultiDatasetBatchSamplers.ROUND_ROBIN\"") == .roundRobin)
        #expect(
            try mixing("\"multi_dataset_batch_sampler\": \"temperature\", \"multi_dataset_temperature\": 3")
                == .temperature(3))
        let wrong = [
            ("\"multi_dataset_batch_sampler\": \"roundrobin\"", "'round_robin'"),
            ("\"multi_dataset_batch_sampler\": \"temperature\"", "1 draws data sets in proportion"),
            ("\"multi_dataset_temperature\": 3", "multi_dataset_batch_sampler: temperature"),
        ]
        for (json, hint) in wrong {
            let error = refusal("\"train_dataset\": \"a.csv\", \(loss), \"args\": {\(json)}")
            #expect(error?.kind == .usage && error?.hint?.contains(hint) == true, "\(json)")
        }
    }

    @Test func promptsHaveFourForms() throws {
        func prompts(_ json: String, _ dataset: String?) throws -> [String] {
            try arguments("\"prompts\": \(json)").prompts.prompts(dataset: dataset, columns: ["query", "answer"])
        }
        #expect(try prompts("\"p: \"", nil) == ["p: ", "p: "])
        #expect(try prompts("\"p: \"", "nq") == ["p: ", "p: "])
        #expect(try prompts("{\"query\": \"q: \"}", nil) == ["q: ", ""])
        #expect(try prompts("{\"query\": \"q: \"}", "nq") == ["q: ", ""])
        #expect(try prompts("{\"nq\": \"n: \"}", "nq") == ["n: ", "n: "])
        #expect(try prompts("{\"nq\": \"n: \"}", "other") == ["", ""])
        #expect(try prompts("{\"nq\": {\"answer\": \"a: \"}}", "nq") == ["", "a: "])
        #expect(try prompts("{\"nq\": {\"answer\": \"a: \"}}", "other") == ["", ""])
        // A data set's own entry comes first.
        #expect(try prompts("{\"nq\": \"n: \", \"query\": \"q: \"}", "nq") == ["n: ", "n: "])
        #expect(try prompts("{\"nq\": \"n: \", \"query\": \"q: \"}", "other") == ["q: ", ""])
    }
}
