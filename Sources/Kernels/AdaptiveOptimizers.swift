// The elementwise optimizers beside AdamW and SGD, over flat ranges of parameters (adaptive_optimizers.c).

import CTuttiKernels

/// What an update goes over.
package struct UpdateArrays {
    /// The parameters, moved in place.
    package var parameters: UnsafeMutableBufferPointer<Float>
    /// Their gradients.
    package var gradients: UnsafeBufferPointer<Float>
    /// Up to three arenas of state; what each means is the update's.
    package var a, b, c: UnsafeMutableBufferPointer<Float>?

    /// Parameters, their gradients and the state of an update, all of one length.
    package init(
        parameters: UnsafeMutableBufferPointer<Float>, gradients: UnsafeBufferPointer<Float>,
        a: UnsafeMutableBufferPointer<Float>? = nil, b: UnsafeMutableBufferPointer<Float>? = nil,
        c: UnsafeMutableBufferPointer<Float>? = nil
    ) {
        (self.parameters, self.gradients, self.a, self.b, self.c) = (parameters, gradients, a, b, c)
        let count = parameters.count
        precondition(
            gradients.count == count && a?.count ?? count == count && b?.count ?? count == count
                && c?.count ?? count == count,
            "UpdateArrays: \(count) parameters, \(gradients.count) gradients, state of another length")
    }

    /// The floats of `range`, in C form; nil if there are none.
    func kernel(_ range: Range<Int>) -> tutti_update? {
        guard let p = parameters.baseAddress, let g = gradients.baseAddress else { return nil }
        let at = range.lowerBound
        return tutti_update(
            parameters: p + at, gradients: g + at, a: a?.baseAddress.map { $0 + at },
            b: b?.baseAddress.map { $0 + at }, c: c?.baseAddress.map { $0 + at }, count: Int64(range.count))
    }
}

/// The scalars of a step, computed in double and rounded to fp32 once; each update reads those that it names.
package struct UpdateScalars {
    /// Multiplies every gradient: the clip coefficient.
    package var gradientScale: Float = 1
    /// Times the parameter, added to the gradient or the direction.
    package var coupledDecay = 0.0
    /// Multiplies the parameter before it moves.
    package var decay = 1.0
    /// How far a step goes, and a second such number.
    package var (rate, secondRate) = (0.0, 0.0)
    /// Keeps denominators from zero.
    package var epsilon = 0.0
    /// Of moments.
    package var (momentum, beta1, beta2, beta3) = (0.0, 0.0, 0.0, 0.0)
    /// Divide moments that began at zero.
    package var (correction1, correction2) = (1.0, 1.0)

    /// Those of a step whose gradients are multiplied by `gradientScale`.
    package init(gradientScale: Float) { self.gradientScale = gradientScale }

    var kernel: tutti_update_scalars {
        tutti_update_scalars(
            gradient_scale: gradientScale, coupled_decay: Float(coupledDecay), decay: Float(decay), rate: Float(rate),
            second_rate: Float(secondRate), epsilon: Float(epsilon), momentum: Float(momentum), beta1: Float(beta1),
            one_minus_beta1: Float(1 - beta1), beta2: Float(beta2), one_minus_beta2: Float(1 - beta2),
            beta3: Float(beta3), one_minus_beta3: Float(1 - beta3), correction1: Float(correction1),
            correction2: Float(correction2))
    }
}

/// The elementwise updates of adaptive_optimizers.c; its header says what each makes of state and scalars.
package enum AdaptiveUpdate: CaseIterable, Sendable {
    case adagrad, rmsprop, adadelta, adamax, nadam, radam, lion, ademamix, scheduleFree
}

extension OptimizerKernels {
    /// One step of `update`. Allocates nothing.
    package static func apply(_ update: AdaptiveUpdate, _ arrays: UpdateArrays, _ scalars: UpdateScalars) {
        let scalars = scalars.kernel
        Parallel.forRange(arrays.parameters.count, grain: chunk) { range in
            guard let part = arrays.kernel(range) else { return }
            switch update {
            case .adagrad: tutti_adagrad(part, scalars)
            case .rmsprop: tutti_rmsprop(part, scalars)
            case .adadelta: tutti_adadelta(part, scalars)
            case .adamax: tutti_adamax(part, scalars)
            case .nadam: tutti_nadam(part, scalars)
            case .radam: tutti_radam(part, scalars)
            case .lion: tutti_lion(part, scalars)
            case .ademamix: tutti_ademamix(part, scalars)
            case .scheduleFree: tutti_schedule_free(part, scalars)
            }
        }
    }

    /// out = from + weight * (to - from), in the form that torch's lerp chooses; `out` may be one of them.
    package static func interpolate(
        from: UnsafeBufferPointer<Float>, to: UnsafeBufferPointer<Float>, weight: Double,
        into out: UnsafeMutableBufferPointer<Float>
    ) {
        precondition(from.count == out.count && to.count == out.count, "interpolate: lengths differ")
        guard let a = from.baseAddress, let b = to.baseAddress, let target = out.baseAddress else { return }
        Parallel.forRange(out.count, grain: chunk) { range in
            let at = range.lowerBound
            tutti_interpolate(target + at, a + at, b + at, Float(weight), Int64(range.count))
        }
    }

    /// Exchanges the floats of two buffers.
    package static func swap(_ x: UnsafeMutableBufferPointer<Float>, _ y: UnsafeMutableBufferPointer<Float>) {
        precondition(x.count == y.count, "swap: \(x.count) against \(y.count)")
        guard let x0 = x.baseAddress, let y0 = y.baseAddress else { return }
        Parallel.forRange(x.count, grain: chunk) { range in
            tutti_swap(x0 + range.lowerBound, y0 + range.lowerBound, Int64(range.count))
        }
    }
}
