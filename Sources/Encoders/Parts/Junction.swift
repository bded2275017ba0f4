// Where a branch joins the residual stream: sum = residual + dropout(branch + bias), normed = norm(sum).
//
// Sandwich norms (Gemma) also norm the branch, bias included, before it is added: sum = residual + dropout(norm'(branch)).
// An outer norm (Jina's model for code) adds the normed sum to the residual again: normed = norm'(residual + norm(sum)).
//
// Post-LN (BERT) carries `normed` on and also feeds it to the next branch. Pre-LN carries `sum` on, and only the next
// branch reads `normed`: its norm is the one before that branch, or the final norm. So both are the same computation in
// the same kernel; they differ in what is carried, and in one more gradient in backward.
//
// Legend: T packed tokens, D hidden.

import TuttiKernels

/// The plan of a junction.
package struct JunctionPlan: Sendable, Equatable {
    package let norm: NormPlan
    /// Dropout of the branch, used only during training.
    let dropout: Float
    /// The norm of the branch before the sum; nil = none.
    package var branchNorm: NormPlan?
    /// The norm of the residual plus the normed sum, where the normed sum is carried and no branch is normed; nil = none.
    package var outerNorm: NormPlan?

    /// Its tensors, in the order in which backward finishes their gradients.
    var tensors: [TensorSpecification] {
        (outerNorm?.tensors ?? []) + norm.tensors + (branchNorm?.tensors ?? [])
    }
}

/// The residual stream of a model.
package enum CarriedSum: Sendable, Equatable {
    /// The normed sum (post-LN).
    case normed
    /// The sum itself (pre-LN).
    case plain
}

/// The residual sum and its norm.
struct Junction: Sendable {
    private let norm: Norm
    private let branchNorm: Norm?
    private let outerNorm: Norm?
    private let rate: Float
    private let layer: Int
    private let site: DropoutSite

    /// What backward needs.
    struct Saved {
        /// [T, D] the branch's product first, then the sum.
        let sum: Matrix
        let norm: Norm.Saved
        /// [T, D] the branch's product, where it has a norm of its own, and the statistics of that norm.
        let branch: (product: Matrix, norm: Norm.Saved)?
        /// [T, D] the outer sum, where there is one, and the statistics of its norm.
        let outer: (sum: Matrix, norm: Norm.Saved)?

        /// [T, D] the sum whose norm goes on.
        var lastSum: Matrix { outer?.sum ?? sum }
        /// Where the branch writes its product.
        var product: Matrix { branch?.product ?? sum }
    }

    /// A junction that draws the masks of `site` in `layer`.
    init(_ plan: JunctionPlan, layer: Int, site: DropoutSite, _ layout: ParameterLayout) {
        norm = Norm(plan.norm, layout)
        precondition(plan.outerNorm == nil || plan.branchNorm == nil, "Junction: an outer norm and one of the branch")
        branchNorm = plan.branchNorm.map { Norm($0, layout) }
        outerNorm = plan.outerNorm.map { Norm($0, layout) }
        rate = plan.dropout
        self.layer = layer
        self.site = site
    }

    /// Memory for `tokens` rows of `width` numbers.
    func allocate(tokens: Int, width: Int, arena: inout Arena) -> Saved {
        Saved(
            sum: arena.matrix(tokens, width), norm: Norm.Saved(rows: tokens, arena: &arena),
            branch: branchNorm == nil
                ? nil : (arena.matrix(tokens, width), Norm.Saved(rows: tokens, arena: &arena)),
            outer: outerNorm == nil
                ? nil : (arena.matrix(tokens, width), Norm.Saved(rows: tokens, arena: &arena)))
    }

    /// The sums [T, D] and normed [T, D] from the branch's product in saved.product; `normed` may be `residual`.
    func forward(
        bias: UnsafePointer<Float>?, residual: Matrix, _ pass: PassContext, _ parameters: ParameterStore, saved: Saved,
        into normed: Matrix
    ) {
        var bias = bias
        if let branchNorm, let branch = saved.branch {
            if let own = bias { RowKernels.addBias(branch.product, bias: own) }
            branchNorm.forward(branch.product, parameters, saved: branch.norm, into: saved.sum)
            bias = nil
        }
        NormKernels.biasDropoutResidualNorm(
            norm.kind, branch: saved.sum, bias: bias, residual: residual, gamma: norm.gamma(parameters),
            beta: norm.beta(parameters), epsilon: norm.epsilon, dropout: mask(pass), sum: saved.sum,
            mean: saved.norm.mean, rstd: saved.norm.rstd, into: saved.outer?.sum ?? normed)
        guard let outerNorm, let outer = saved.outer else { return }
        NormKernels.biasDropoutResidualNorm(
            outerNorm.kind, branch: outer.sum, bias: nil, residual: residual, gamma: outerNorm.gamma(parameters),
            beta: outerNorm.beta(parameters), epsilon: outerNorm.epsilon, dropout: nil, sum: outer.sum,
            mean: outer.norm.mean, rstd: outer.norm.rstd, into: normed)
    }

    /// normed [T, D] of the last sum [T, D] again.
    func norm(_ sum: Matrix, _ parameters: ParameterStore, saved: Norm.Saved, into normed: Matrix) {
        (outerNorm ?? norm).forward(sum, parameters, saved: saved, into: normed)
    }

    /// dSum [T, D], the gradient of the residual, and dBranch [T, D], that of the branch's product with its bias, from dNormed
    /// [T, D], and from dCarried [T, D] if the sum is carried on. dSum may be either of them.
    func backward(
        dNormed: Matrix, dCarried: Matrix?, _ pass: PassContext, _ parameters: ParameterStore, saved: Saved,
        into dSum: Matrix, dBranch: Matrix, dBias: UnsafeMutablePointer<Float>?, scratch: UnsafeMutablePointer<Float>
    ) {
        if let outerNorm, let outer = saved.outer {
            precondition(
                dCarried == nil && dNormed.pointer == dSum.pointer, "Junction: an outer norm in a pre-LN model")
            outerNorm.backward(outer.sum, parameters, saved: outer.norm, inPlace: dSum, scratch: scratch)
            dBranch.copy(from: dSum)
            norm.backward(saved.sum, parameters, saved: saved.norm, inPlace: dBranch, scratch: scratch)
            dSum.add(dBranch)
            RowKernels.dropout(dBranch, mask(pass), into: dBranch)
            if let dBias { RowKernels.biasGradient(dBranch, into: dBias) }
            return
        }
        NormKernels.biasDropoutResidualNormBackward(
            norm.kind, dOutput: dNormed, dCarried: dCarried, sum: saved.sum, mean: saved.norm.mean,
            rstd: saved.norm.rstd, gamma: norm.gamma(parameters), dropout: mask(pass), dResidual: dSum,
            dBranch: dBranch, dGamma: norm.dGamma(parameters), dBeta: norm.dBeta(parameters),
            dBias: branchNorm == nil ? dBias : nil, scratch: scratch)
        guard let branchNorm, let branch = saved.branch else { return }
        branchNorm.backward(branch.product, parameters, saved: branch.norm, inPlace: dBranch, scratch: scratch)
        if let dBias { RowKernels.biasGradient(dBranch, into: dBias) }
    }

    private func mask(_ pass: PassContext) -> DropoutMask? { pass.mask(layer: layer, site, rate: rate) }
}
