// AdamW and SGD bit for bit against scalar Swift in torch's order of operations, at every instruction level.

import CTuttiKernels
import Testing
import TestSupport
import TuttiKernels

@Suite(.serialized, .atEveryLevel) struct OptimizerKernelTests {
    /// torch's single-tensor AdamW, one scalar operation after the other.
    private func reference(
        _ p: inout [Float], _ g: [Float], _ m: inout [Float], _ v: inout [Float], step: Int, lr: Double, beta1: Double,
        beta2: Double, eps: Double, decay: Double, clip: Float
    ) {
        var power1 = 1.0
        var power2 = 1.0
        for _ in 0..<step {
            power1 *= beta1
            power2 *= beta2
        }
        let stepSize = Float(lr / (1 - power1))
        let root = Float((1 - power2).squareRoot())
        for i in p.indices {
            let gradient = g[i] * clip
            p[i] = p[i] * Float(1 - lr * decay)
            let weight = Float(1 - beta1)
            let way = gradient - m[i]
            if weight < 0.5 {
                let part = weight * way
                m[i] = m[i] + part
            } else {
                let part = way * (1 - weight)
                m[i] = gradient - part
            }
            let kept = v[i] * Float(beta2)
            let square = Float(1 - beta2) * gradient * gradient
            v[i] = kept + square
            let denominator = v[i].squareRoot() / root + Float(eps)
            let change = -stepSize * m[i] / denominator
            p[i] = p[i] + change
        }
    }

    @Test(arguments: [0.9, 0.3]) func adamWIsTorchsBitForBit(beta1: Double) {
        var random = TinyRandom(11)
        let count = 1003
        var p = random.floats(count)
        var m = [Float](repeating: 0, count: count)
        var v = m
        let pointers = [FloatBlock(p), FloatBlock(m), FloatBlock(v)]
        for step in 1...6 {
            let g = random.floats(count, scale: step == 3 ? 1e-6 : 0.1)
            let gradient = FloatBlock(g)
            reference(
                &p, g, &m, &v, step: step, lr: 2e-3, beta1: beta1, beta2: 0.999, eps: 1e-8, decay: 0.01, clip: 0.7)
            OptimizerKernels.adamW(
                parameters: pointers[0].buffer, gradients: UnsafeBufferPointer(gradient.buffer),
                first: pointers[1].buffer, second: pointers[2].buffer, step: step, learningRate: 2e-3, beta1: beta1,
                weightDecay: 0.01, gradientScale: 0.7)
            // Powers by repeated squaring may differ in the last bit of fp64, which one rounding to fp32 hides.
            #expect(pointers[0].values == p && pointers[1].values == m && pointers[2].values == v, "step \(step)")
        }
    }

    @Test func everyInstructionLevelGivesTheSameBits() {
        var random = TinyRandom(12)
        let count = 4099
        let start = random.floats(count)
        let moments = random.floats(count, scale: 0.01)
        let squares = random.floats(count, scale: 0.01).map { $0 * $0 }
        let gradient = FloatBlock(random.floats(count, scale: 0.1))
        let scalars = tutti_adamw_scalars(
            gradient_scale: 0.9, decay: 0.9999, one_minus_beta1: 0.1, beta2: 0.999, one_minus_beta2: 0.001,
            root_correction2: 0.2, epsilon: 1e-8, step_size: 1e-3)
        let results = InstructionLevel.available.map { level in
            let (p, m, v) = (FloatBlock(start), FloatBlock(moments), FloatBlock(squares))
            Compute(level: level).run {
                for _ in 0..<20 {
                    tutti_adamw(p.pointer, gradient.pointer, m.pointer, v.pointer, Int64(count), scalars)
                }
            }
            return (p.values + m.values + v.values).map(\.bitPattern)
        }
        #expect(results.allSatisfy { $0 == results[0] })
        #expect(results[0].prefix(count).elementsEqual(start.map(\.bitPattern)) == false)
    }

    @Test(arguments: [(0.0, 0.0, false), (0.9, 0.0, false), (0.9, 0.1, false), (0.9, 0.0, true)])
    func sgdIsTorchsBitForBit(options: (Double, Double, Bool)) {
        let (momentum, dampening, nesterov) = options
        var random = TinyRandom(13)
        let count = 517
        var p = random.floats(count)
        var buffer = [Float](repeating: .nan, count: count)
        let weights = FloatBlock(p)
        let moments = FloatBlock(count: count)
        for step in 0..<4 {
            let g = random.floats(count)
            let gradient = FloatBlock(g)
            for i in p.indices {
                let decay = Float(0.01) * p[i]
                let d = g[i] * Float(0.5) + decay
                var direction = d
                if momentum != 0 {
                    if step == 0 {
                        buffer[i] = d
                    } else {
                        let kept = buffer[i] * Float(momentum)
                        let taken = d * Float(1 - dampening)
                        buffer[i] = kept + taken
                    }
                    let ahead = Float(momentum) * buffer[i]
                    direction = nesterov ? d + ahead : buffer[i]
                }
                let change = -Float(0.1) * direction
                p[i] = p[i] + change
            }
            OptimizerKernels.sgd(
                parameters: weights.buffer, gradients: UnsafeBufferPointer(gradient.buffer),
                momentumBuffer: momentum == 0 ? nil : moments.buffer, firstStep: step == 0, learningRate: 0.1,
                momentum: momentum, dampening: dampening, nesterov: nesterov, weightDecay: 0.01, gradientScale: 0.5)
            #expect(weights.values == p)
        }
    }

    @Test func sumOfSquaresIsFp64AndMayPassOverZeros() {
        var random = TinyRandom(14)
        var x = random.floats(65_536 - 16 + 7)
        for index in 1600..<48_000 { x[index] = 0 }
        let block = FloatBlock(x)
        let values = UnsafeBufferPointer(block.buffer)
        let exact = x.reduce(0.0) { $0 + Double($1) * Double($1) }
        let whole = OptimizerKernels.sumOfSquares { $0(values) }
        #expect(abs(whole - exact) < 1e-12 * exact)
        let parts = OptimizerKernels.sumOfSquares { body in
            body(UnsafeBufferPointer(rebasing: values[0..<1600]))
            body(UnsafeBufferPointer(rebasing: values[48_000...]))
        }
        #expect(parts == whole)
        #expect(OptimizerKernels.sumOfSquares { $0(UnsafeBufferPointer(rebasing: values[1600..<48_000])) } == 0)
    }
}
