// Flat optimizer updates and gradient norms, operation by operation as torch, without contraction or reassociation, so
// that replicas on different processors keep the same bits (with contraction 41 % of parameters differed after 100 steps).

import CTuttiKernels

/// Optimizer updates over flat ranges of parameters.
package enum OptimizerKernels {
    /// Elements of one chunk: of a sum of squares, whose chunks are added in order, and of one thread's work.
    package static let chunk = 65_536

    /// torch.optim.AdamW: decoupled decay, then moments, then the step. `step` counts from 1. Gradients are first
    /// multiplied by `gradientScale` (the clip coefficient).
    package static func adamW(
        parameters p: UnsafeMutableBufferPointer<Float>, gradients g: UnsafeBufferPointer<Float>,
        first m: UnsafeMutableBufferPointer<Float>, second v: UnsafeMutableBufferPointer<Float>, step: Int,
        learningRate: Double, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
        weightDecay: Double = 0, gradientScale: Float = 1
    ) {
        precondition(
            p.count == g.count && p.count == m.count && p.count == v.count && step >= 1,
            "adamW: \(p.count) parameters, \(g.count) gradients, moments \(m.count) and \(v.count), step \(step)")
        guard let p0 = p.baseAddress, let g0 = g.baseAddress, let m0 = m.baseAddress, let v0 = v.baseAddress else {
            return
        }
        let scalars = adamWScalars(
            step: step, learningRate: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon,
            weightDecay: weightDecay, gradientScale: gradientScale)
        Parallel.forRange(p.count, grain: chunk) { range in
            let at = range.lowerBound
            tutti_adamw(p0 + at, g0 + at, m0 + at, v0 + at, Int64(range.count), scalars)
        }
    }

    /// The scalars of a step, computed in double and rounded once, as torch does.
    static func adamWScalars(
        step: Int, learningRate: Double, beta1: Double, beta2: Double, epsilon: Double, weightDecay: Double,
        gradientScale: Float
    ) -> tutti_adamw_scalars {
        tutti_adamw_scalars(
            gradient_scale: gradientScale, decay: Float(1 - learningRate * weightDecay),
            one_minus_beta1: Float(1 - beta1), beta2: Float(beta2), one_minus_beta2: Float(1 - beta2),
            root_correction2: Float((1 - power(beta2, step)).squareRoot()), epsilon: Float(epsilon),
            step_size: Float(learningRate / (1 - power(beta1, step))))
    }

    /// torch.optim.SGD. `momentumBuffer` is needed when momentum is not 0; `firstStep` sets it to the gradient.
    package static func sgd(
        parameters p: UnsafeMutableBufferPointer<Float>, gradients g: UnsafeBufferPointer<Float>,
        momentumBuffer: UnsafeMutableBufferPointer<Float>?, firstStep: Bool, learningRate: Double,
        momentum: Double = 0, dampening: Double = 0, nesterov: Bool = false, weightDecay: Double = 0,
        gradientScale: Float = 1
    ) {
        precondition(p.count == g.count, "sgd: \(p.count) parameters, \(g.count) gradients")
        precondition(
            momentum == 0 || momentumBuffer?.count == p.count,
            "sgd: momentum buffer of \(momentumBuffer?.count ?? 0) for \(p.count) parameters")
        guard let p0 = p.baseAddress, let g0 = g.baseAddress else { return }
        let scalars = tutti_sgd_scalars(
            gradient_scale: gradientScale, weight_decay: Float(weightDecay), momentum: Float(momentum),
            one_minus_dampening: Float(1 - dampening), learning_rate: Float(learningRate), nesterov: nesterov ? 1 : 0,
            first: firstStep ? 1 : 0)
        let buffer = momentum == 0 ? nil : momentumBuffer?.baseAddress
        Parallel.forRange(p.count, grain: chunk) { range in
            let at = range.lowerBound
            tutti_sgd(p0 + at, g0 + at, buffer.map { $0 + at }, Int64(range.count), scalars)
        }
    }

    /// Sum of squares in fp64 of a chunk of gradients, in sixteen lanes that are added in order.
    ///
    /// `forEachPart` calls its argument with the parts of the chunk outside of which it is zero, ascending; each starts
    /// at a multiple of 16 floats in the chunk. Skipping zeros gives the same bits: a lane never falls below +0.
    @inline(__always)
    package static func sumOfSquares(_ forEachPart: ((UnsafeBufferPointer<Float>) -> Void) -> Void) -> Double {
        withUnsafeTemporaryAllocation(of: Double.self, capacity: 16) { lanes in
            lanes.initialize(repeating: 0)
            forEachPart { part in
                if let x = part.baseAddress, let sums = lanes.baseAddress {
                    tutti_add_squares(x, Int64(part.count), sums)
                }
            }
            return lanes.reduce(0, +)
        }
    }

    /// out[range] = the sum over all arenas of their floats there, in the order of arenas; `out` may be one of them.
    package static func sum(
        _ arenas: [UnsafePointer<Float>], over range: Range<Int>, into out: UnsafeMutablePointer<Float>
    ) {
        tutti_sum_arenas(out, arenas, Int64(arenas.count), range.kernel)
    }

    /// The same along a binary tree whose leaves are the arenas: 1, 2, 4 ... at most 64 of them. The sum of the first half
    /// and the sum of the second half, added, give the sum of all.
    package static func sumTree(
        _ arenas: [UnsafePointer<Float>], over range: Range<Int>, into out: UnsafeMutablePointer<Float>
    ) {
        let leaves = arenas.count
        precondition(leaves & (leaves - 1) == 0 && leaves <= Int(TUTTI_MOST_LEAVES), "sumTree: \(leaves) leaves")
        if leaves > 1 { return tutti_sum_tree(out, arenas, Int64(leaves), range.kernel) }
        if out != arenas[0] { (out + range.lowerBound).update(from: arenas[0] + range.lowerBound, count: range.count) }
    }

    /// x *= factor.
    package static func scale(_ x: UnsafeMutableBufferPointer<Float>, by factor: Float) {
        guard let base = x.baseAddress else { return }
        Parallel.forRange(x.count, grain: chunk) { range in
            tutti_scale(base + range.lowerBound, Int64(range.count), factor)
        }
    }

    /// y += factor * x.
    package static func addScaled(
        _ x: UnsafeBufferPointer<Float>, factor: Float, to y: UnsafeMutableBufferPointer<Float>
    ) {
        precondition(x.count == y.count, "addScaled: \(x.count) against \(y.count)")
        guard let x0 = x.baseAddress, let y0 = y.baseAddress else { return }
        Parallel.forRange(x.count, grain: chunk) { range in
            tutti_add_scaled(y0 + range.lowerBound, x0 + range.lowerBound, factor, Int64(range.count))
        }
    }

    /// base^exponent by repeated squaring, the same on every platform's math library.
    package static func power(_ base: Double, _ exponent: Int) -> Double {
        var result = 1.0
        var square = base
        var rest = exponent
        while rest > 0 {
            if rest & 1 == 1 { result *= square }
            square *= square
            rest >>= 1
        }
        return result
    }
}
