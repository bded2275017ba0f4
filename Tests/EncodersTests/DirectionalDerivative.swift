// The derivative of an encoder's embeddings along a line in its parameters: by its backward, and by differences.

import TuttiEncoders

/// f = sum(c * embeddings) of one batch, with its gradient at the encoder's parameters.
struct DirectionalDerivative {
    let encoder: SequenceEncoder
    let batch: PackedBatch
    let taps: [Int]
    let stream: DropoutStream?
    let coefficients: [Float]
    /// Sets parameters that depend on those along the line.
    var follow: () -> Void = {}
    private let start: [Float]
    private let gradient: [Float]

    /// Runs one pass; gradients must be zero before.
    init(_ encoder: SequenceEncoder, _ batch: PackedBatch, taps: [Int], dropout stream: DropoutStream?, seed: UInt64) {
        (self.encoder, self.batch, self.taps, self.stream) = (encoder, batch, taps, stream)
        coefficients = noise(taps.count * batch.sequenceCount * encoder.outputWidth, seed: seed)
        backpropagate(encoder, batch, coefficients, taps: taps, dropout: stream)
        start = Array(encoder.parameters.values)
        gradient = Array(encoder.parameters.gradients)
    }

    /// |gradient| of some parameters, and the derivative along a direction in them: analytic, and by Richardson's
    /// four-point rule with step `h`. The direction is half the gradient's own (a large slope to measure), half random (to
    /// see what the gradient leaves out).
    func along(_ entries: [ParameterLayout.Entry], step h: Double) -> (slope: Double, analytic: Double, numeric: Double)
    {
        var direction = [Float](repeating: 0, count: start.count)
        let random = noise(start.count, seed: 13)
        let elements = entries.flatMap { Array($0.elements) }
        let slope = length(elements.map { gradient[$0] })
        let randomLength = length(elements.map { random[$0] })
        for i in elements {
            direction[i] = Float((slope > 0 ? Double(gradient[i]) / slope : 0) + Double(random[i]) / randomLength)
        }
        let analytic = elements.reduce(0.0) { $0 + Double(gradient[$1]) * Double(direction[$1]) }
        func value(_ step: Double) -> Double {
            for i in elements {
                encoder.parameters.values[i] = Float(Double(start[i]) + step * Double(direction[i]))
            }
            follow()
            let embeddings = embed(encoder, batch, taps: taps, dropout: stream)
            return zip(embeddings, coefficients).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
        }
        let numeric = (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)
        _ = value(0)
        return (slope, analytic, numeric)
    }

    private func length(_ x: [Float]) -> Double { x.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot() }
}
