// Central finite differences: the independent witness of every hand-written backward.

/// The directional derivative of `loss` at `point` along `direction`, by Richardson-extrapolated central differences.
package func directionalDerivative(
    at point: [Float], along direction: [Float], step: Double, _ loss: ([Float]) throws -> Double
) rethrows -> Double {
    func central(_ h: Double) throws -> Double {
        let up = zip(point, direction).map { Float(Double($0) + h * Double($1)) }
        let down = zip(point, direction).map { Float(Double($0) - h * Double($1)) }
        // The distance really walked, after rounding to fp32, projected on the direction.
        var walked = 0.0
        var length = 0.0
        for i in 0..<point.count {
            walked += (Double(up[i]) - Double(down[i])) * Double(direction[i])
            length += Double(direction[i]) * Double(direction[i])
        }
        guard walked != 0 else { return 0 }
        return try (loss(up) - loss(down)) / (walked / length)
    }
    let wide = try central(step)
    let narrow = try central(step / 2)
    return (4 * narrow - wide) / 3
}

/// The relative gap between an analytic gradient and finite differences along random directions (the largest of `tries`).
/// Directions are random signs, so that every element counts.
package func gradientGap(
    at point: [Float], gradient: [Float], step: Double = 1e-2, tries: Int = 3, seed: UInt64 = 1,
    _ loss: ([Float]) throws -> Double
) rethrows -> Double {
    var random = TinyRandom(seed)
    var gap = 0.0
    let size = gradient.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    for _ in 0..<tries {
        let direction = point.map { _ in random.next() & 1 == 0 ? Float(1) : Float(-1) }
        let analytic = zip(gradient, direction).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
        let numeric = try directionalDerivative(at: point, along: direction, step: step, loss)
        gap = max(gap, abs(analytic - numeric) / max(abs(numeric), size, 1e-12))
    }
    return gap
}
