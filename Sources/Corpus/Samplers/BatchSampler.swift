// How rows are put into batches: one protocol, a registry of samplers by name.
//
// Adding one = one file with a sampler + one line in the registry + one test, or `BatchSamplerRegistry.add` from outside
// the package. `TrainingArguments.batchSampler` takes a sampler as it is, too.

import TuttiGround

/// Puts the rows of a data set into batches.
public protocol BatchSampler: Sendable {
    /// Its name in a configuration, in lower case.
    var name: String { get }
    /// One line on its batches, for help and documentation.
    var summary: String { get }
    /// Whether every epoch has as many batches as the first, so that one need not plan them to count them.
    var epochsAreAlike: Bool { get }
    /// Refuses a table or a batch that it cannot work with.
    ///
    /// - Throws: a usage error for the size of the batch or the kind of the data, a data error for too few of them.
    func check(_ table: Table, globalBatchSize: Int) throws(TuttiError)
    /// The global batches of an epoch.
    ///
    /// A pure function of its arguments and of the sampler's own settings: every rank plans for itself, and a resumed run
    /// plans again, so what it draws must come from `generator`.
    ///
    /// - Parameters:
    ///   - table: one that `check` has let pass.
    ///   - globalBatchSize: rows of a batch on all ranks together.
    ///   - dropLast: whether only full batches are wanted.
    ///   - epoch: counted from 0.
    ///   - generator: random numbers of this seed, data set and epoch.
    func plan(
        _ table: Table, globalBatchSize: Int, dropLast: Bool, epoch: Int, generator: inout CounterRandom
    ) -> EpochPlan
    /// Why rows are in no batch of an epoch.
    func reasonForLeavingOut(dropLast: Bool) -> String
    /// Why batches may be much smaller than asked for; nil for a sampler that makes full ones.
    var reasonForSmallBatches: String? { get }
    /// Why `rows` rows make no batch of `size` rows at all, and what to do about it.
    func reasonForNoBatch(rows: Int, size: Int, dropLast: Bool) -> (problem: String, hint: String)
}

extension BatchSampler {
    /// True.
    public var epochsAreAlike: Bool { true }

    /// Takes every table.
    public func check(_ table: Table, globalBatchSize: Int) throws(TuttiError) {}

    /// That the last batch is short.
    public func reasonForLeavingOut(dropLast: Bool) -> String {
        dropLast ? "the last batch is short (dataloader_drop_last)" : "they are in no batch of \(name)"
    }

    /// None.
    public var reasonForSmallBatches: String? { nil }

    /// That only full batches are kept, or that the sampler makes none.
    public func reasonForNoBatch(rows: Int, size: Int, dropLast: Bool) -> (problem: String, hint: String) {
        guard dropLast, rows < size else {
            return (
                "\(rows) rows make no batch of \(size) with batch_sampler: \(name)",
                "Lower the batch size, or use batch_sampler: batch_sampler."
            )
        }
        return (
            "\(rows) rows make no batch of \(size), and dataloader_drop_last: true keeps full batches only",
            "Lower the batch size, or set dataloader_drop_last: false."
        )
    }
}

/// The samplers by name.
public enum BatchSamplerRegistry {
    /// One line a sampler.
    private static let registry = OpenRegistry<any BatchSampler>(
        "BatchSamplerRegistry",
        [
            DefaultBatchSampler(), NoDuplicatesBatchSampler(), GroupByLabelBatchSampler(), SequentialBatchSampler(),
        ]
    ) { $0.name }

    /// Further names: the reference's hashed variant makes the same batches.
    private static let synonyms = ["no_duplicates_hashed": "no_duplicates"]

    /// All of them, those of the package first.
    public static var all: [any BatchSampler] { registry.all }

    /// Adds a sampler from outside the package; one of the same name is replaced.
    public static func add(_ sampler: any BatchSampler) {
        let name = sampler.name
        precondition(synonyms[name] == nil, "BatchSamplerRegistry: '\(name)' is built in")
        precondition(name == name.lowercased(), "BatchSamplerRegistry: '\(name)' is not in lower case")
        registry.add(sampler)
    }

    /// The sampler with the configuration's name, in the reference's spellings too ("BatchSamplers.NO_DUPLICATES").
    ///
    /// - Throws: a usage error with the nearest name.
    public static func sampler(named name: String) throws(TuttiError) -> any BatchSampler {
        var plain = name.lowercased()
        if plain.hasPrefix("batchsamplers.") { plain.removeFirst("batchsamplers.".count) }
        plain = synonyms[plain] ?? plain
        let all = all
        if let sampler = all.first(where: { $0.name == plain }) { return sampler }
        throw TuttiError(
            .usage, "read configuration", "batch_sampler", "there is no batch sampler '\(name)'",
            hint: TuttiError.hint(unknown: name, known: all.map(\.name)))
    }
}
