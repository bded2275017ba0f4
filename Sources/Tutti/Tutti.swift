// Tutti as a library: the names that users of sentence-transformers know, on the types that do the work.
//
//     let model = try SentenceTransformer.load("path/to/model")
//     let trainer = try SentenceTransformerTrainer(
//         model: model, trainDataset: .load("pairs.csv"), loss: MultipleNegativesRankingLoss(), outputDirectory: "runs/mine")
//     try trainer.train()
//
// What is public in the modules below is the library; everything else there is `package`. Tutti.docc lists every public
// name, and Tests/LayeringTests holds the list to the sources. Import `TuttiMPI` instead where ranks are processes.

import Foundation
@_exported import TuttiCorpus
@_exported import TuttiEnsemble
@_exported import TuttiEvaluation
@_exported import TuttiFormats
@_exported import TuttiGround
@_exported import TuttiKernels
@_exported import TuttiModels
@_exported import TuttiObjectives
@_exported import TuttiReports
@_exported import TuttiTraining

/// A sentence encoder with its tokenizer, pooling and heads.
public typealias SentenceTransformer = SentenceEncoder
/// What training depends on, with the reference's names and defaults.
public typealias SentenceTransformerTrainingArguments = TrainingArguments
/// Rows of texts, with labels or without.
public typealias Dataset = Table

extension Table {
    /// Reads a data set: a file whose extension a reader knows, a folder, or a data set of the hub, "organization/name" or
    /// "organization/name:configuration", which is downloaded to the cache if it is not there.
    ///
    /// - Parameters:
    ///   - path: where the rows are.
    ///   - columns: the columns in use, label included, in the order in which the loss sees them; nil uses all.
    ///   - split: of a folder or data set with several; train by default.
    ///   - options: how the files are read.
    ///   - ensemble: the ranks that read it, each of them all.
    /// - Throws: 66 for a missing file; 65 naming file and line for anything that is no table of texts and labels; 75 for a
    ///   hub that cannot be reached.
    ///
    /// Collective with an ensemble.
    public static func load(
        _ path: String, columns: [String]? = nil, split: String? = nil, options: ReaderOptions = ReaderOptions(),
        ensemble: any Ensemble = LocalEnsemble.single()
    ) throws -> Table {
        var specification = DatasetSpecification(path: path, columns: columns, options: options)
        specification.split = split
        try specification.fetch(among: ensemble) { FileHandle.standardError.write(Data("\($0)\n".utf8)) }
        return try ensemble.together("load \(path)") { try loadTable(specification) }
    }
}
