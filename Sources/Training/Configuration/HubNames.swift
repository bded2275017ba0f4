// HubNames: what a configuration names on the hub, downloaded before anything is loaded, once a node.

import Foundation
import TuttiCorpus
import TuttiEnsemble
import TuttiGround
import TuttiHub
import TuttiModels

extension TrainingConfiguration {
    /// The models that it names: the one that is trained, and those of losses and evaluators.
    package var modelNames: [String] {
        var names = model.isEmpty ? [] : [model]
        let keys: Set<String> = ["guide", "decoder_name_or_path", "teacher_model"]
        func add(_ value: JSONValue) {
            for (key, member) in value.object ?? JSONObject() {
                if keys.contains(key), let name = member.string { names.append(name) } else { add(member) }
            }
            for item in value.array ?? [] { add(item) }
        }
        for options in (losses?.all ?? []) + evaluators + testEvaluators { add(.object(options.options)) }
        return names
    }

    /// The same, with the models that it names in the cache of every node, and the files of data sets in place of their
    /// names. Collective.
    ///
    /// - Parameter notice: gets a line about what is downloaded, on rank zero.
    /// - Throws: as `ModelHub.fetch`, on every rank.
    package func fetched(
        among ensemble: any Ensemble, notice: @escaping (String) -> Void
    ) throws -> TrainingConfiguration {
        try ModelHub.fetch(modelNames, among: ensemble, notice: notice)
        var configuration = self
        for section in [\TrainingConfiguration.trainDatasets, \.evalDatasets] {
            for place in configuration[keyPath: section].indices {
                try configuration[keyPath: section][place].fetch(among: ensemble, notice: notice)
            }
        }
        for section in [\TrainingConfiguration.evaluators, \.testEvaluators] {
            for place in configuration[keyPath: section].indices {
                let options = configuration[keyPath: section][place].options
                guard let path = options["path"]?.string else { continue }
                var specification = DatasetSpecification(path: path)
                specification.split = options["split"]?.string
                // Rank zero says what is a name of the hub: other nodes may have other files.
                try specification.fetch(among: ensemble, notice: notice)
                guard specification.paths != [path] else { continue }
                configuration[keyPath: section][place].options["path"] = .array(
                    specification.paths.map(JSONValue.string))
                configuration[keyPath: section][place].options.remove("split")
            }
        }
        return configuration
    }
}

extension DatasetSpecification {
    /// Puts files in place of names of the hub. Collective.
    package mutating func fetch(among ensemble: any Ensemble, notice: @escaping (String) -> Void) throws {
        let names = paths
        let onHub = try ensemble.onRoot { names.map(DatasetSpecification.isHubName) }
        guard onHub.contains(true) else { return }
        guard !onHub.contains(false) else {
            throw TuttiError(
                .usage, "find data", path, "names files and data sets of the hub",
                hint: "Make two data sets of them, each with a name.")
        }
        var files: [String] = []
        for name in names {
            guard let reference = DatasetReference(name) else {
                throw TuttiError(
                    .usage, "find data", name, "is not a name of the hub",
                    hint: "Write organization/name, or organization/name:configuration.")
            }
            files += try ModelHub.dataset(
                reference, split: split, path: name.hasPrefix("hf:") ? nil : name, among: ensemble, notice: notice)
        }
        (paths, split) = (files, nil)
    }
}
