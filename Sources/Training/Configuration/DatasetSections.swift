// Data sets and losses of a configuration: one of each, or several by name.
//
//   train_dataset: {path: all-nli.csv, columns: [anchor, positive]}           loss: {name: CoSENTLoss}
//   train_dataset: {nli: {path: all-nli.csv}, stsb: {path: stsb.csv}}         loss: {nli: {name: ...}, stsb: {...}}

import TuttiCorpus
import TuttiGround

/// The loss of every data set.
package enum LossSelection: Sendable {
    /// The same for all data sets.
    case one(NamedOptions)
    /// One for each, by the data set's name, in the order of the configuration.
    case byDataset([(dataset: String, loss: NamedOptions)])

    /// The losses, each once.
    package var all: [NamedOptions] {
        switch self {
        case .one(let loss): [loss]
        case .byDataset(let losses): losses.map(\.loss)
        }
    }

    /// The data set of each of `all`; nil for a loss of all data sets.
    var datasets: [String?] {
        switch self {
        case .one: [nil]
        case .byDataset(let losses): losses.map(\.dataset)
        }
    }

    /// The place in `all` of the loss of the data set `name`; reading the configuration has checked that there is one.
    package func index(of name: String?) -> Int {
        switch self {
        case .one: return 0
        case .byDataset(let losses):
            guard let place = losses.firstIndex(where: { $0.dataset == name }) else {
                preconditionFailure("no loss for the data set \(name ?? "without a name")")
            }
            return place
        }
    }
}

// MARK: Data sets

extension [DatasetSpecification] {
    /// A path, a list of them, `{path: ..., columns: [...]}`, or `{name: {path: ...}, ...}`.
    static func datasets(_ json: JSONValue) throws(OptionProblem) -> [DatasetSpecification] {
        guard let object = json.object else { return json.isNull ? [] : [try DatasetSpecification(option: json)] }
        // {a: a.csv, b: [b-1.csv, b-2.csv]}
        let areFiles = object.count > 1 && object.values.allSatisfy { $0.string != nil || $0.array != nil }
        let isOne =
            object["path"]?.string != nil || object["path"]?.array != nil
            || !(areFiles || object.values.contains { $0.object != nil })
        if isOne { return [try DatasetSpecification(option: json)] }
        var datasets: [DatasetSpecification] = []
        for (name, value) in object {
            guard !name.isEmpty else { throw OptionProblem("a data set without a name", at: name) }
            guard !value.isNull else {
                throw OptionProblem(
                    "the data set is empty", hint: "Give its file, as in \(name): {path: train.csv}.", at: name)
            }
            do throws(OptionProblem) {
                var dataset = try DatasetSpecification(option: value)
                dataset.name = name
                datasets.append(dataset)
            } catch let flaw {
                throw flaw.inside(name)
            }
        }
        return datasets
    }

    /// Refuses a share of `eval`'s rows put aside, and one put aside where `eval` has a data set for the same rows.
    ///
    /// Throws: a usage error.
    func checkValidation(eval: [DatasetSpecification], _ places: ConfigurationPlaces) throws(TuttiError) {
        func key(_ section: String, _ dataset: DatasetSpecification) -> String {
            section + (dataset.name.map { ".\($0)" } ?? "") + ".validation_split"
        }
        if let dataset = eval.first(where: { $0.validationSplit != nil }) {
            throw places.error(
                key("eval_dataset", dataset), "is for training data", hint: "Write it in train_dataset.")
        }
        for dataset in self where dataset.validationSplit != nil && eval.contains(where: { $0.name == dataset.name }) {
            throw places.error(
                key("train_dataset", dataset), "there is an eval_dataset too", hint: "Remove one of the two.")
        }
    }

    /// Refuses streams of which nothing says how long they are, beside other data sets, and in another order.
    ///
    /// Throws: a usage error.
    func checkStreaming(
        eval: [DatasetSpecification], _ arguments: TrainingArguments, _ places: ConfigurationPlaces
    ) throws(TuttiError) {
        func key(_ section: String, _ dataset: DatasetSpecification) -> String {
            section + (dataset.name.map { ".\($0)" } ?? "") + ".streaming"
        }
        if let dataset = eval.first(where: \.isStreamed) {
            throw places.error(key("eval_dataset", dataset), "is for training data", hint: "Remove it.")
        }
        guard let dataset = first(where: \.isStreamed) else { return }
        guard count == 1 else {
            throw places.error(
                key("train_dataset", dataset), "is for one data set, and there are \(count)",
                hint: "Batches of several data sets are mixed by their numbers of rows, which a stream does not have.")
        }
        guard arguments.maxSteps > 0 else {
            throw places.error(
                key("train_dataset", dataset), "needs args.max_steps: a stream does not say how long it is",
                hint: "Set args.max_steps.")
        }
        guard ["batch_sampler", "sequential"].contains(arguments.batchSampler.name) else {
            throw places.error(
                "args.batch_sampler", "\(arguments.batchSampler.name) needs all rows, and a stream gives them in order",
                hint: "Remove it; shuffle: {buffer: N} mixes the rows of a stream.")
        }
        guard arguments.tokenCache != .never else {
            throw places.error(
                "args.token_cache", "never, and streaming: true keeps its rows there", hint: "Remove one of the two.")
        }
    }

    /// The data sets as a configuration writes them.
    var configurationJSON: JSONValue {
        var object = JSONObject()
        for dataset in self {
            guard let name = dataset.name else { return dataset.optionJSON }
            object[name] = dataset.optionJSON
        }
        return object.isEmpty ? .null : .object(object)
    }
}

// MARK: Losses

extension LossSelection {
    /// A name, `{name: ...}`, or `{dataset: {name: ...}, ...}` of data sets among `known`.
    init(_ json: JSONValue, datasets known: [String]) throws(OptionProblem) {
        // The loss of a data set may be a name alone too, but {name: TripletLoss} is one loss.
        let takesNames = !known.isEmpty && (json["name"]?.string == nil || known.contains("name"))
        guard let object = json.object, !object.isEmpty,
            object.values.allSatisfy({ $0.object != nil || takesNames && $0.string != nil })
        else {
            self = .one(try NamedOptions(option: json))
            return
        }
        var losses: [(dataset: String, loss: NamedOptions)] = []
        for (name, value) in object {
            do throws(OptionProblem) {
                losses.append((name, try NamedOptions(option: value)))
            } catch let flaw {
                throw flaw.inside(name)
            }
        }
        self = .byDataset(losses)
    }

    /// The losses as a configuration writes them.
    var configurationJSON: JSONValue {
        switch self {
        case .one(let loss): return loss.optionJSON
        case .byDataset(let losses):
            var object = JSONObject()
            for (dataset, loss) in losses { object[dataset] = loss.optionJSON }
            return .object(object)
        }
    }

    /// The same, each known to stand below `path`.
    func placed(at path: String, _ places: ConfigurationPlaces) -> LossSelection {
        switch self {
        case .one(let loss): .one(loss.placed(at: path, places))
        case .byDataset(let losses):
            .byDataset(losses.map { ($0.dataset, $0.loss.placed(at: "\(path).\($0.dataset)", places)) })
        }
    }

    /// Refuses a data set without a loss, and a loss without a data set.
    ///
    /// Throws: a usage error.
    func check(
        train: [DatasetSpecification], eval: [DatasetSpecification], _ places: ConfigurationPlaces
    ) throws(TuttiError) {
        guard case .byDataset(let losses) = self else { return }
        for (key, datasets) in [("train_dataset", train), ("eval_dataset", eval)]
        where datasets.contains(where: { $0.name == nil }) {
            throw places.error(
                key, "has one data set without a name, and loss names one loss for each",
                hint: "Write \(key): {NAME: {path: ...}}, with the names under loss.")
        }
        let names = (train + eval).compactMap(\.name)
        for name in names where !losses.contains(where: { $0.dataset == name }) {
            throw places.error(
                "loss.\(name)", "there is no loss for the data set",
                hint: "Give each data set one, as in \(name): {name: ...}.")
        }
        for (name, _) in losses where !names.contains(name) && !train.isEmpty {
            throw places.error(
                "loss.\(name)", "there is no data set of this name", hint: TuttiError.hint(unknown: name, known: names))
        }
    }
}
