// The training arguments: the keys of `args:` that change what training does.
//
// Names, defaults and meanings are SentenceTransformerTrainingArguments' (sentence-transformers 6.2, transformers 5),
// with keys of our own: `global_train_batch_size` and `global_eval_batch_size`, which fix a batch whatever the number of
// ranks, `exchange` and `wire`, which say how ranks sum gradients, `optimizer_sharding`, who keeps the optimizer's state.
// `ArgumentOptions.swift` describes each, `ArgumentKeys.swift` lists the keys that are accepted without effect or refused.

import TuttiCorpus
import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiReports

/// When something periodic (logging, evaluation, saving) happens.
public enum IntervalStrategy: String, Sendable, CaseIterable {
    /// Never.
    case no
    /// Every so many steps.
    case steps
    /// At the end of an epoch.
    case epoch
    /// Saving only: whenever the watched metric improves.
    case best
}

/// Everything under `args:` that has an effect, with the reference's defaults.
public struct TrainingArguments: Sendable {
    // Length and batches
    /// Passes over the data; fractions are possible.
    public var numTrainEpochs = 3.0
    /// Overrides `numTrainEpochs` when positive.
    public var maxSteps = -1
    /// Rows of a training batch on every rank.
    public var perDeviceTrainBatchSize = 8
    /// Rows of an evaluation batch on every rank.
    public var perDeviceEvalBatchSize = 8
    /// Rows of one global batch, independent of the number of ranks; excludes `perDeviceTrainBatchSize`.
    public var globalTrainBatchSize: Int?
    /// Rows of one global evaluation batch; excludes `perDeviceEvalBatchSize`.
    public var globalEvalBatchSize: Int?
    /// Whether fewer rows than `perDeviceTrainBatchSize` are taken where memory does not hold a batch.
    public var autoFindBatchSize = false
    /// Batches whose gradients are averaged in one optimizer step.
    public var gradientAccumulationSteps = 1
    /// Whether a short last batch of an epoch is left out.
    public var dataloaderDropLast = false
    /// How rows are put into batches; by name: `BatchSamplerRegistry.sampler(named:)`.
    public var batchSampler: any BatchSampler = DefaultBatchSampler()
    /// How the batches of several data sets take turns.
    public var datasetMixing = DatasetMixing.proportional
    /// Which data sets keep their rows and tokens in files.
    public var tokenCache = TokenCacheChoice.auto
    /// The folder of these files; nil for $TUTTI_CACHE/tokens, or ~/.cache/tutti/tokens.
    public var tokenCacheFolder: String?
    // Optimizer
    /// The optimizer, by the name that the reference gives it.
    public var optim = "adamw_torch_fused"
    /// Options of the optimizer.
    public var optimArgs: [String: String] = [:]
    /// The base learning rate, which the schedule multiplies.
    public var learningRate = 5e-5
    /// Decoupled weight decay; not for biases and norms.
    public var weightDecay = 0.0
    /// Decay of the first moment.
    public var adamBeta1 = 0.9
    /// Decay of the second moment.
    public var adamBeta2 = 0.999
    /// Added to the root of the second moment.
    public var adamEpsilon = 1e-8
    /// Global gradient norm above which gradients are scaled down; 0 switches clipping off.
    public var maxGradNorm = 1.0
    /// Whether parameters that a loss owns count in the norm and are clipped too; the reference clips only the model's.
    public var clipLossParameters = false
    /// Texts that are encoded at a time (GradCache), where a loss says nothing else.
    public var miniBatchSize: Int?
    /// Tokens that are encoded at a time, where a loss says nothing else.
    public var miniBatchTokens: Int?
    /// Regular expression over parameter names -> learning rate; the last pattern that matches wins.
    public var learningRateMapping: [(pattern: String, rate: Double)] = []
    /// Patterns of names of parameters that are not trained (`ParameterPattern`).
    public var freeze: [String] = []
    /// Share of the learning rate that each layer below the top one keeps of the layer above it.
    public var layerwiseDecay = 1.0
    /// Share that an average of the weights keeps in each step; nil keeps no average.
    public var emaDecay: Double?
    /// The size of the noise that token embeddings get in training; nil for none.
    public var neftuneNoiseAlpha: Double?
    /// Whether dense products take bf16 operands and activations are kept in bf16; weights stay in fp32.
    public var bf16 = false
    /// The same where every processor multiplies bf16, else fp32.
    public var fp16 = false
    /// Whether only the inputs of layers are kept until backward, which computes the rest again: the same bits.
    public var gradientCheckpointing = false
    /// How evaluations of the model, guides and the teachers of evaluators compute.
    public var compute = FrozenCompute.fp32
    // Schedule
    /// The schedule of the learning rate, by its name in `ScheduleRegistry`.
    public var schedulerType = "linear"
    /// Options of the schedule, as a configuration writes them.
    public var schedulerOptions = JSONObject()
    /// >= 1: steps; below 1: a share of all steps (rounded up).
    public var warmupSteps = 0.0
    /// Where training ends, although the schedule goes on: >= 1: steps; below 1: a share of all steps.
    public var stopAfter: Double?
    // Ranks
    /// How the ranks sum gradients.
    public var exchange = ExchangeChoice.auto
    /// The number format of gradients in messages between nodes.
    public var wire = Wire.fp32
    /// Which memory keeps which part of the optimizer's state.
    public var optimizerSharding = OptimizerSharding.node
    /// What must not change the bits of the run.
    public var deterministic = Determinism.run
    /// Logical shards of a global batch where `deterministic` is `worldSize`: a power of two, at least the ranks.
    public var deterministicShards = 8
    // Randomness
    /// Seed of everything random.
    public var seed: UInt64 = 42
    /// Seed of the order of rows; nil is `seed`.
    public var dataSeed: UInt64?
    // Logging, evaluation, saving
    /// When a line is logged.
    public var loggingStrategy = IntervalStrategy.steps
    /// Steps between lines; below 1, a share of all steps.
    public var loggingSteps = 500.0
    /// Whether the first step is logged as well.
    public var loggingFirstStep = false
    /// When the model is evaluated.
    public var evalStrategy = IntervalStrategy.no
    /// Steps between evaluations; nil is `loggingSteps`.
    public var evalSteps: Double?
    /// Epochs or steps before the first evaluation.
    public var evalDelay = 0.0
    /// Whether the model is evaluated before the first step.
    public var evalOnStart = false
    /// When a checkpoint is saved.
    public var saveStrategy = IntervalStrategy.steps
    /// Steps between checkpoints; below 1, a share of all steps.
    public var saveSteps = 500.0
    /// Checkpoints that are kept; nil keeps all.
    public var saveTotalLimit: Int?
    /// Whether checkpoints are without what a resumption needs.
    public var saveOnlyModel = false
    /// Whether a checkpoint is written while training goes on, from copies.
    public var saveInBackground = true
    /// Whether the best checkpoint becomes the final model.
    public var loadBestModelAtEnd = false
    /// The metric that chooses the best checkpoint; nil is the loss.
    public var metricForBestModel: String?
    /// Whether a larger value of it is better; nil follows from its name.
    public var greaterIsBetter: Bool?
    /// Evaluations without improvement after which training ends; nil never ends it so.
    public var earlyStoppingPatience: Int?
    /// By how much more than the best value an improvement must be.
    public var earlyStoppingThreshold = 0.0
    /// Where the run goes on from.
    public var resumeFromCheckpoint = ResumeChoice.ifPresent
    /// Steps between two comparisons of the ranks' copies of the weights; 0 switches them off.
    public var replicaCheckSteps = 500
    /// Prompts of training and evaluation texts.
    public var prompts = TrainingPrompts()
    /// The task of each text column, which chooses its route through a model with a Router.
    public var routerMapping = RouterMapping()
    /// The name of the run in reports.
    public var runName: String?
    /// The reports beside metrics.jsonl, by their names in `ReportRegistry`.
    public var reportTo: [String] = ["html"]
    /// Whether and how the model is pushed to the hub.
    public var hub = HubArguments()

    /// The reference's defaults.
    public init() {}

    /// The metric that chooses the best checkpoint, without the `eval_` prefix being required.
    public var bestMetricName: String { metricForBestModel ?? "loss" }

    /// Whether a larger value of the watched metric is better.
    public var largerIsBetter: Bool { greaterIsBetter ?? TuttiReports.largerIsBetter(bestMetricName) }

    /// Whether evaluations are compared: something depends on the best value.
    var watchesMetric: Bool {
        loadBestModelAtEnd || metricForBestModel != nil || saveStrategy == .best || earlyStoppingPatience != nil
            || ScheduleRegistry.all.contains { $0.name == schedulerType && $0.followsMetric }
    }

    /// Rows of one global training batch on `world` ranks.
    public func trainBatchRows(world: Int) -> Int { globalTrainBatchSize ?? perDeviceTrainBatchSize * world }

    /// Rows of one global evaluation batch on `world` ranks; follows a fixed global training batch where none is given.
    public func evalBatchRows(world: Int) -> Int {
        globalEvalBatchSize ?? globalTrainBatchSize ?? perDeviceEvalBatchSize * world
    }

    /// Steps between two events for a setting that is a count (>= 1) or a share of all steps (< 1, rounded up).
    public static func interval(_ setting: Double, totalSteps: Int) -> Int {
        setting < 1 ? max(1, Int((setting * Double(totalSteps)).rounded(.up))) : Int(setting)
    }

    /// These arguments with a warm-up in steps.
    func countingWarmup(totalSteps: Int) -> TrainingArguments {
        var arguments = self
        arguments.warmupSteps = Double(warmupStepCount(totalSteps: totalSteps))
        return arguments
    }

    /// The last step that is taken of `totalSteps`.
    public func lastStep(totalSteps: Int) -> Int {
        stopAfter.map { min(totalSteps, TrainingArguments.interval($0, totalSteps: totalSteps)) } ?? totalSteps
    }

    /// Warm-up steps out of `totalSteps`.
    public func warmupStepCount(totalSteps: Int) -> Int {
        warmupSteps >= 1 ? Int(warmupSteps) : Int((warmupSteps * Double(totalSteps)).rounded(.up))
    }
}
