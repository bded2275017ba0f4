// LossParameters: the parameters that a loss owns (a classifier, a projection, a temperature).
//
// They lie in the same arenas as the model's, behind them: the same exchange sums their gradients, the same optimizer
// updates them, and `loss.safetensors` keeps them beside every saved model. Names are those of the reference's state
// dictionary.

import TuttiGround
import TuttiKernels

/// One tensor that a loss owns.
public struct LossParameter: Sendable, Equatable {
    /// How it begins.
    public enum Start: Sendable, Equatable {
        /// Every number the same.
        case constant(Float)
        /// Evenly between -bound and bound: what torch gives a linear layer, with bound = 1 / sqrt(inputs).
        case uniform(bound: Float)
        /// Normally distributed around zero.
        case normal(deviation: Float)
    }

    /// The reference's name, such as classifier.weight.
    public var name: String

    /// Its shape.
    public var shape: [Int]

    /// How it begins where no file says otherwise.
    public var start: Start

    /// A parameter of a loss.
    public init(_ name: String, _ shape: [Int], start: Start) {
        self.name = name
        self.shape = shape
        self.start = start
    }

    /// Weight and bias of a linear layer, which begin as torch's do.
    static func linear(_ name: String, inputs: Int, outputs: Int) -> [LossParameter] {
        let bound = Float(1 / Double(inputs).squareRoot())
        return [
            LossParameter("\(name).weight", [outputs, inputs], start: .uniform(bound: bound)),
            LossParameter("\(name).bias", [outputs], start: .uniform(bound: bound)),
        ]
    }

    /// Fills `values` with the start, a function of seed and name.
    public func fill(_ values: UnsafeMutableBufferPointer<Float>, seed: UInt64) {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325  // FNV-1a of the name
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        var random = CounterRandom(seed: seed, stream: hash)
        switch start {
        case .constant(let value): values.update(repeating: value)
        case .uniform(let bound):
            for index in values.indices { values[index] = Float.random(in: -bound...bound, using: &random) }
        case .normal(let deviation):
            for index in values.indices { values[index] = deviation * Float(random.normal()) }
        }
    }
}

/// A linear classifier of pairs of embeddings that a loss trains: where its numbers are among the loss's parameters.
public struct LossClassifier: Sendable, Equatable {
    /// Number of classes.
    public var classes: Int
    /// What it sees of a pair.
    public var features: SoftmaxLoss.Features
    /// What stands before `weight` and `bias` in the names of its parameters.
    public var prefix: String

    /// A classifier of `features` whose parameters are called `prefix` + "weight" and `prefix` + "bias".
    public init(classes: Int, features: SoftmaxLoss.Features, prefix: String) {
        (self.classes, self.features, self.prefix) = (classes, features, prefix)
    }

    /// The same classifier among the parameters of a loss that calls those of the inner one `prefix` and their names.
    func scoped(_ prefix: String) -> LossClassifier {
        var scoped = self
        scoped.prefix = prefix + scoped.prefix
        return scoped
    }
}

/// Values and gradients of the parameters that a loss owns, by name.
public struct LossParameters {
    /// One tensor in the run's arenas.
    public struct Tensor {
        /// Its values, one row for a vector.
        public var values: Matrix
        /// Where its gradient is added to; nil = evaluation only.
        public var gradient: Matrix?

        /// A tensor of the run's arenas.
        public init(values: Matrix, gradient: Matrix?) {
            self.values = values
            self.gradient = gradient
        }
    }

    private var tensors: [String: Tensor]
    private var prefix = ""

    /// The tensors of a loss; none by default.
    public init(_ tensors: [String: Tensor] = [:]) { self.tensors = tensors }

    /// The tensor called `name`, which the loss must have declared.
    public subscript(name: String) -> Tensor {
        guard let tensor = tensors[prefix + name] else {
            preconditionFailure("LossParameters: '\(prefix + name)' was not declared")
        }
        return tensor
    }

    /// The tensors whose names begin with `prefix`, without it.
    public func scoped(_ prefix: String) -> LossParameters {
        var scoped = self
        scoped.prefix += prefix
        return scoped
    }
}
