// Tiny encoders with the weights of Tests/Golden/encoders.py, for every test of this target.

import TestSupport
import Testing
import TuttiEncoders
import TuttiFormats
import TuttiKernels

/// The two families that goldens exist for.
enum GoldenKind: String, CaseIterable, Sendable {
    case bert
    case mpnet
}

/// One golden file.
struct Golden {
    let kind: GoldenKind
    let file: SafetensorsFile

    init(_ kind: GoldenKind) throws {
        self.kind = kind
        file = try SafetensorsFile(path: Goldens.path("encoders-\(kind.rawValue).safetensors"))
    }

    /// The shape that encoders.py builds, with dropout rates of the test's choice.
    func shape(hiddenDropout: Float = 0, attentionDropout: Float = 0) -> TransformerShape {
        var shape: TransformerShape
        switch kind {
        case .bert:
            shape = TransformerShape(
                vocabularySize: 61, hiddenSize: 48, layers: 2, heads: 3, innerSize: 80, maximumPositions: 44)
        case .mpnet:
            shape = TransformerShape(
                vocabularySize: 61, hiddenSize: 32, layers: 2, heads: 4, innerSize: 64, maximumPositions: 46)
            shape.layerNormEpsilon = 1e-5
            shape.padTokenID = 1
        }
        shape.hiddenDropout = hiddenDropout
        shape.attentionDropout = attentionDropout
        return shape
    }

    /// The plan of that shape.
    func plan(hiddenDropout: Float = 0, attentionDropout: Float = 0) throws -> EncoderPlan {
        let shape = shape(hiddenDropout: hiddenDropout, attentionDropout: attentionDropout)
        return switch kind {
        case .bert: try BERT(shape).plan()
        case .mpnet: try MPNet(shape).plan()
        }
    }

    /// An encoder with the golden weights and room for gradients; of a pre-LN model if the residual stream `carries` the
    /// plain sum, which no golden exists for.
    func encoder(
        heads: [HeadConfiguration], hiddenDropout: Float = 0, attentionDropout: Float = 0, carries: CarriedSum = .normed
    ) throws -> SequenceEncoder {
        var plan = try plan(hiddenDropout: hiddenDropout, attentionDropout: attentionDropout)
        plan.carries = carries
        let encoder = try SequenceEncoder(plan, heads: heads)
        for entry in encoder.layout.entries {
            let info = try #require(file.info("weight." + entry.name), "\(entry.name)")
            #expect(info.shape == entry.shape, "\(entry.name)")
            try file.readFloats(info.name, into: encoder.parameters.values(of: entry))
        }
        encoder.parameters.allocateGradients()
        return encoder
    }

    /// The heads of the case "heads".
    var denseHeads: [HeadConfiguration] {
        let width = shape().hiddenSize
        return [
            .pooling(modes: [.mean]),
            .dense(name: "2_Dense", inputWidth: width, outputWidth: 24),
            .layerNorm(name: "3_LayerNorm", width: 24),
            .dense(name: "4_Dense", inputWidth: 24, outputWidth: 20, bias: false, activation: .identity),
            .normalize,
        ]
    }

    /// The packed batch, or those of its sequences that are named, in that order.
    func batch(_ sequences: [Int]? = nil) throws -> PackedBatch {
        let ids = try file.floats("ids").map { Int32($0) }
        let offsets = try file.floats("offsets").map { Int($0) }
        let prompts = try file.floats("prompt").map { Int($0) }
        var batch = PackedBatch()
        for s in sequences ?? Array(prompts.indices) {
            batch.append(
                ids[offsets[s]..<offsets[s + 1]], slot: UInt64(100 + s), column: UInt32(s % 3), promptTokens: prompts[s]
            )
        }
        return batch
    }
}

/// Embeds a batch where no backward follows: [taps * S * Dout].
func embed(
    _ encoder: SequenceEncoder, _ batch: PackedBatch, taps: [Int]? = nil, dropout: DropoutStream? = nil
) -> [Float] {
    let rows = (taps?.count ?? 1) * batch.sequenceCount
    let result = FloatBlock(count: rows * encoder.outputWidth)
    encoder.embed(batch, taps: taps, dropout: dropout, into: result.matrix(rows, encoder.outputWidth))
    return result.values
}

/// One pass: embeds a batch and back-propagates `gradient` [taps * S * Dout], or ones. The embeddings, and the slices of
/// the arena that were reported.
@discardableResult
func backpropagate(
    _ encoder: SequenceEncoder, _ batch: PackedBatch, _ gradient: [Float]? = nil, taps: [Int]? = nil,
    dropout: DropoutStream? = nil
) -> (embeddings: [Float], slices: [Range<Int>]) {
    let rows = (taps?.count ?? 1) * batch.sequenceCount
    let result = FloatBlock(count: rows * encoder.outputWidth)
    let pass = encoder.forward(batch, taps: taps, dropout: dropout, into: result.matrix(rows, encoder.outputWidth))
    let block = gradient.map { FloatBlock($0) } ?? FloatBlock(count: rows * encoder.outputWidth, of: 1)
    var slices: [Range<Int>] = []
    pass.backward(block.matrix(rows, encoder.outputWidth)) { slices.append($0) }
    return (result.values, slices)
}

/// Largest absolute difference; infinite where lengths differ or a number is missing.
func largestDifference(_ a: some Sequence<Float>, _ b: some Sequence<Float>) -> Double {
    let (a, b) = (Array(a), Array(b))
    guard a.count == b.count else { return .infinity }
    return zip(a, b).reduce(0) { $1.0.isFinite && $1.1.isFinite ? max($0, Double(abs($1.0 - $1.1))) : .infinity }
}

/// Reproducible numbers of mean 0 and deviation 1, by the central limit.
func noise(_ count: Int, seed: UInt64) -> [Float] {
    var state = seed
    func uniform() -> Double {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return Double((z ^ (z >> 31)) >> 11) * 0x1p-53
    }
    return (0..<count).map { _ in Float((0..<12).reduce(-6.0) { sum, _ in sum + uniform() }) }
}
