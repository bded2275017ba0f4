// Data sets and losses of a configuration: one of each, or several by name.
//
//   train_dataset: {path: all-nli.csv, columns: [anchor, positive]}           loss: {name: CoSENTLoss}
//   train_dataset: {nli: {path: all-nli.csv}, stsb: {path: stsb.csv}}         loss: {nli: {name: ...}, stsb: {...}}

import TuttiCorpus
import TuttiFormats
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

extension ConfigurationSection {
    /// The data sets under `key`: a path, `{path: ..., columns: [...]}`, or `{name: {path: ...}, ...}`.
    func datasets(_ key: String) throws(TuttiError) -> [DatasetSpecification] {
        if let path = object[key]?.string { return [DatasetSpecification(path: path)] }
        guard let inner = try section(key) else { return [] }
        let values = inner.object.values
        let areFiles = values.count > 1 && values.allSatisfy { $0.string != nil }  // {a: a.csv, b: b.csv}
        let isOne = inner.object["path"]?.string != nil || !(areFiles || values.contains { $0.object != nil })
        if isOne { return [try inner.dataset(name: nil)] }
        var datasets: [DatasetSpecification] = []
        for name in inner.object.keys {
            guard !name.isEmpty else { throw inner.error(name, "a data set without a name") }
            if let path = inner.object[name]?.string {
                datasets.append(DatasetSpecification(path: path, name: name))
            } else if let own = try inner.section(name) {
                datasets.append(try own.dataset(name: name))
            } else {
                throw inner.error(
                    name, "the data set is empty", hint: "Give its file, as in \(name): {path: train.csv}.")
            }
        }
        return datasets
    }

    private func dataset(name: String?) throws(TuttiError) -> DatasetSpecification {
        try allowOnly(["path", "columns"] + ReaderOptions.keys)
        let path = try requiredString("path", hint: "The data file, .csv .tsv .json .jsonl.")
        let options = try ReaderOptions({ object[$0] }, error: { error($0, $1, hint: $2) })
        let columns = try strings("columns")
        if options.header == .columns, columns == nil {
            throw error(
                "header", "false, and nothing names the fields", hint: "Name all of them with columns: [...].")
        }
        return DatasetSpecification(path: path, columns: columns, name: name, options: options)
    }

    /// The losses under `key`: a name, `{name: ...}`, or `{dataset: {name: ...}, ...}`.
    ///
    /// Throws: a usage error where a data set has no loss, or a loss no data set.
    func losses(_ key: String, train: [DatasetSpecification], eval: [DatasetSpecification]) throws(TuttiError)
        -> LossSelection?
    {
        if let name = object[key]?.string {
            return .one(NamedOptions(name: name, path: path(of: key), places: places))
        }
        guard let inner = try section(key) else { return nil }
        // The loss of a data set may be a name alone too, but {name: TripletLoss} is one loss.
        let known = (train + eval).compactMap(\.name)
        let takesNames = !known.isEmpty && (inner.object["name"]?.string == nil || known.contains("name"))
        let areSeveral =
            !inner.object.isEmpty
            && inner.object.values.allSatisfy { $0.object != nil || takesNames && $0.string != nil }
        guard areSeveral else { return .one(try NamedOptions(inner)) }
        let names = train.map(\.name) + eval.map(\.name)
        for (key, datasets) in [("train_dataset", train), ("eval_dataset", eval)]
        where datasets.contains(where: { $0.name == nil }) {
            throw error(
                key, "has one data set without a name, and loss names one loss for each",
                hint: "Write \(key): {NAME: {path: ...}}, with the names under loss.")
        }
        for case let name? in names where inner.object[name] == nil {
            throw inner.error(
                name, "there is no loss for the data set", hint: "Give each data set one, as in \(name): {name: ...}.")
        }
        var losses: [(dataset: String, loss: NamedOptions)] = []
        for name in inner.object.keys {
            guard names.contains(name) || train.isEmpty else {
                throw inner.error(
                    name, "there is no data set of this name",
                    hint: TuttiError.hint(unknown: name, known: names.compactMap { $0 }))
            }
            if let loss = inner.object[name]?.string {
                losses.append((name, NamedOptions(name: loss, path: inner.path(of: name), places: places)))
            } else if let own = try inner.section(name) {
                losses.append((name, try NamedOptions(own)))
            }
        }
        return .byDataset(losses)
    }
}
