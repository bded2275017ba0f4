// The layers of an encoder as operators: token embedding, norms, junctions, feed-forward branches, convolutions.
//
// Dropout is left out. What the parts compute is defined where they are (Encoders/Parts); each has one rule here.
//
// Legend: B texts, L tokens of the longest one, D hidden, W width of the tables.

import TuttiEncoders
import TuttiFormats
import TuttiGround

extension GraphBuilder {
    /// The names of the inputs.
    enum Input {
        static let ids = "input_ids"
        static let mask = "attention_mask"
        static let types = "token_type_ids"
    }

    /// The token vectors [B, L, D] of an encoder.
    ///
    /// Throws: naming a part that cannot be exported.
    mutating func encoder(_ plan: EncoderPlan) throws(TuttiError) -> String {
        scope = "embeddings"
        let embedded = embedding(plan.embedding)
        let convolved = plan.convolution.map { convolution($0, embedded) }
        var (carried, input) = (embedded, plan.entry.map { norm($0, embedded) } ?? embedded)
        for (number, layer) in plan.layers.enumerated() {
            for stage in layer.stages {
                let product: String
                switch stage.branch {
                case .selfAttention(let attention):
                    scope = "layer.\(number)/attention"
                    product = try selfAttention(attention, input)
                case .feedForward(let branch):
                    scope = "layer.\(number)/feed_forward"
                    product = feedForward(branch, input)
                case .crossAttention: throw unsupported("cross-attention")
                }
                let joined = junction(stage.junction, product, residual: carried)
                (carried, input) = (plan.carries == .normed ? joined.normed : joined.sum, joined.normed)
            }
            if number == 0, let own = plan.convolution, let convolved {
                input = norm(own.norm, add(carried, activate(own.activation, convolved)))
                carried = input
            }
        }
        scope = ""
        return input
    }

    /// The error for a part that has no operators.
    func unsupported(_ part: String) -> TuttiError {
        TuttiError(.data, "export to ONNX", graph.name, "\(part) cannot be exported")
    }

    // MARK: Parts

    private mutating func embedding(_ plan: TokenEmbeddingPlan) -> String {
        var sum = words(plan.word, width: plan.width, Input.ids)  // [B, L, W]
        if let table = plan.position {
            sum = add(sum, gather(parameter(table.name, [table.rows, plan.width]), positions(plan.numbering)))
        }
        if let table = plan.type {
            let rows = table.rows > 1 ? Input.types : integer(0)
            sum = add(sum, gather(parameter(table.name, [table.rows, plan.width]), rows))
        }
        sum = multiply(sum, by: plan.scale)
        if let projection = plan.projection, projection.isBeforeNorm { sum = dense(projection.linear, sum) }
        if let own = plan.norm { sum = norm(own, sum) }
        if let projection = plan.projection, !projection.isBeforeNorm { sum = dense(projection.linear, sum) }
        return sum
    }

    /// The rows of the position table: [L], or [B, L] where padding is not counted.
    private mutating func positions(_ numbering: TokenEmbeddingPlan.Numbering) -> String {
        switch numbering {
        case .from(let first): return first == 0 ? places() : add(places(), integer(first))
        case .counting(let padding):
            let isText = cast(node("Not", [node("Equal", [Input.ids, integer(padding)])]), to: .int64)
            let count = node("CumSum", [isText, integer(1)])
            return add(multiply(count, isText), integer(padding))
        }
    }

    /// norm(x) over the last axis.
    mutating func norm(_ plan: NormPlan, _ x: String) -> String {
        let weight = plan.name + ".weight"
        switch plan.kind {
        case .layer:
            let shift = plan.shifts ? [parameter(plan.name + ".bias", [plan.width])] : []
            return node(
                "LayerNormalization", [x, parameter(weight, [plan.width])] + shift,
                [("axis", .integer(-1)), ("epsilon", .float(plan.epsilon))])
        case .rms, .shiftedRMS:
            return rootMeanSquareNorm(
                x, weight, width: plan.width, shift: plan.kind == .shiftedRMS ? 1 : 0, epsilon: plan.epsilon)
        }
    }

    /// x / rms(x) * (weight + shift) over the last axis.
    mutating func rootMeanSquareNorm(
        _ x: String, _ weight: String, width: Int, shift: Float, epsilon: Float
    ) -> String {
        let squares = node(
            "ReduceMean", [multiply(x, x)], [("axes", .integers([-1])), ("keepdims", .integer(1))])
        let root = node("Sqrt", [add(squares, number(epsilon))])
        var scale = weight
        if shift == 0 {
            scale = parameter(weight, [width])
        } else {
            let values = values(weight)
            scale = floats("\(weight) + \(shift)", [width], values.map { $0 + shift })
        }
        return multiply(node("Div", [x, root]), scale)
    }

    private mutating func junction(
        _ plan: JunctionPlan, _ product: String, residual: String
    ) -> (sum: String, normed: String) {
        let branch = plan.branchNorm.map { norm($0, product) } ?? product
        let sum = add(branch, residual)
        let normed = norm(plan.norm, sum)
        guard let outer = plan.outerNorm else { return (sum, normed) }
        let outerSum = add(normed, residual)
        return (outerSum, norm(outer, outerSum))
    }

    private mutating func feedForward(_ plan: FeedForwardPlan, _ x: String) -> String {
        guard let gate = plan.gate else {
            return feedForwardOutput(plan.output, activate(plan.activation, dense(plan.inner, x)))
        }
        let halves = dense(plan.inner, x, widths: [plan.width, plan.width])
        let (gated, factor) = gate == .first ? (halves[0], halves[1]) : (halves[1], halves[0])
        return feedForwardOutput(plan.output, multiply(activate(plan.activation, gated), factor))
    }

    /// A convolution over the tokens of x [B, L, D]; beyond the ends of a text is zero.
    private mutating func convolution(_ plan: EmbeddingConvolutionPlan, _ x: String) -> String {
        let own = plan.convolution
        let isText = unsqueeze(cast(Input.mask, to: .float32), [2])  // [B, L, 1]
        let weight = parameter(own.name + ".weight", [own.outputs, own.inputs / own.groups, own.width])
        let convolved = node(
            "Conv",
            [transpose(multiply(x, isText), [0, 2, 1]), weight, parameter(own.name + ".bias", [own.outputs])],
            [
                ("kernel_shape", .integers([own.width])), ("pads", .integers([own.width / 2, own.width / 2])),
                ("group", .integer(own.groups)),
            ])
        return transpose(convolved, [0, 2, 1])
    }

    /// f(x).
    mutating func activate(_ activation: ActivationFunction, _ x: String) -> String {
        switch activation {
        case .identity: return x
        case .gelu:  // spelled as torch's exporter does: runtimes know this form
            let error = node("Erf", [node("Div", [x, number(Float(2).squareRoot())])])
            return multiply(multiply(x, add(error, number(1))), by: 0.5)
        case .geluTanh:
            let cube = multiply(multiply(multiply(x, x), x), by: 0.044715)
            let inner = multiply(add(x, cube), by: Float((2 / Double.pi).squareRoot()))
            return multiply(multiply(x, by: 0.5), add(node("Tanh", [inner]), number(1)))
        case .relu: return node("Relu", [x])
        case .silu: return multiply(x, node("Sigmoid", [x]))
        case .tanh: return node("Tanh", [x])
        case .sigmoid: return node("Sigmoid", [x])
        case .quickGELU: return multiply(x, node("Sigmoid", [multiply(x, by: 1.702)]))
        case .relu6: return node("Clip", [x, number(0), number(6)])
        case .leakyReLU: return node("LeakyRelu", [x], [("alpha", .float(0.01))])
        case .mish: return multiply(x, node("Tanh", [node("Softplus", [x])]))
        case .hardSwish: return node("HardSwish", [x])
        case .reluSquared:
            let positive = node("Relu", [x])
            return multiply(positive, positive)
        }
    }
}
