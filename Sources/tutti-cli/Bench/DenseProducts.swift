// The dense products of a layer, as the encoder calls them: forward, gradient of the input, gradient of the weight.
//
// Legend: T tokens, I inputs, O outputs; weights are [O, I].

import TuttiKernels

/// One of the three products of a weight.
enum ProductPass: String, CaseIterable {
    /// y [T, O] = x W^T
    case forward
    /// dX [T, I] = dY W, or += onto the residual stream
    case inputGradient = "input_gradient"
    /// dW [O, I] += dY^T x
    case weightGradient = "weight_gradient"
}

extension ModelShape.Product {
    /// FLOPs of one pass over `tokens`, the same for all three.
    func flops(tokens: Int) -> Double { 2 * Double(tokens) * Double(inputs) * Double(outputs) }

    /// Upper bound on the `RotatingMemory` bytes that the operands of one call take.
    func largestOperand(tokens: Int) -> Int { max(tokens * max(inputs, outputs), inputs * outputs) * 4 }

    /// Computes one pass on the next operands of `memory`.
    func multiply(_ pass: ProductPass, tokens: Int, _ memory: RotatingMemory) {
        switch pass {
        case .forward:
            Gemm.multiply(
                memory.input(tokens, inputs), memory.input(outputs, inputs), transposeB: true,
                into: memory.output(tokens, outputs))
        case .inputGradient:
            Gemm.multiply(
                memory.input(tokens, outputs), memory.input(outputs, inputs), into: memory.output(tokens, inputs),
                beta: accumulatesInputGradient ? 1 : 0)
        case .weightGradient:
            Gemm.multiply(
                memory.input(tokens, outputs), transposeA: true, memory.input(tokens, inputs),
                into: memory.output(outputs, inputs), beta: 1)
        }
    }
}

extension ModelShape {
    /// Bytes of the largest operand of a dense product.
    func largestOperand(tokens: Int) -> Int { products.map { $0.largestOperand(tokens: tokens) }.max() ?? 0 }

    /// Seconds of all dense products of a training step with `tokens`, in step order, and nothing else.
    func denseSeconds(tokens: Int, _ memory: RotatingMemory) -> Double {
        Stopwatch.seconds {
            for _ in 0..<layers {
                for product in products { product.multiply(.forward, tokens: tokens, memory) }
            }
            for _ in 0..<layers {
                for product in products.reversed() {
                    product.multiply(.weightGradient, tokens: tokens, memory)
                    product.multiply(.inputGradient, tokens: tokens, memory)
                }
            }
        }
    }
}
