// Tutti as a library: the names that users of sentence-transformers know, on the types that do the work.
//
//     let model = try SentenceTransformer.load("path/to/model")
//     var inputs = TrainingInputs(model: model, arguments: SentenceTransformerTrainingArguments(), ...)
//     try SentenceTransformerTrainer(inputs).train()
//
// Import `TuttiMPI` instead to run on several processes.

@_exported import TuttiCorpus
@_exported import TuttiEncoders
@_exported import TuttiEnsemble
@_exported import TuttiEvaluation
@_exported import TuttiFormats
@_exported import TuttiKernels
@_exported import TuttiModels
@_exported import TuttiObjectives
@_exported import TuttiReports
@_exported import TuttiText
@_exported import TuttiTraining

/// A sentence encoder with its tokenizer, pooling and heads.
public typealias SentenceTransformer = SentenceEncoder
/// What training depends on, with the reference's names and defaults.
public typealias SentenceTransformerTrainingArguments = TrainingArguments
