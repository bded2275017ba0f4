// Where a branch joins the residual stream: sum = residual + dropout(branch + bias), normed = norm(sum).
//
// Post-LN (BERT) carries `normed` on and also feeds it to the next branch. Pre-LN carries `sum` on, and only the next
// branch reads `normed`: its norm is the one before that branch, or the final norm. So both are the same computation in
// the same kernel; they differ in what is carried, and in one more gradient in backward.
//
// Legend: T packed tokens, D hidden.

import TuttiKernels

/// The plan of a junction.
struct JunctionPlan: Sendable, Equatable {
    let norm: NormPlan
    /// Dropout of the branch, used only during training.
    let dropout: Float
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
    private let rate: Float
    private let layer: Int
    private let site: DropoutSite

    /// What backward needs.
    struct Saved {
        /// [T, D] the branch's product first, then the sum.
        let sum: Matrix
        let norm: Norm.Saved

        init(tokens: Int, width: Int, arena: inout Arena) {
            sum = arena.matrix(tokens, width)
            norm = Norm.Saved(rows: tokens, arena: &arena)
        }
    }

    /// A junction that draws the masks of `site` in `layer`.
    init(_ plan: JunctionPlan, layer: Int, site: DropoutSite, _ layout: ParameterLayout) {
        norm = Norm(plan.norm, layout)
        rate = plan.dropout
        self.layer = layer
        self.site = site
    }

    /// saved.sum [T, D] and normed [T, D] from the branch's product in saved.sum; `normed` may be `residual`.
    func forward(
        bias: UnsafePointer<Float>?, residual: Matrix, _ pass: PassContext, _ parameters: ParameterStore, saved: Saved,
        into normed: Matrix
    ) {
        LayerNormKernels.biasDropoutResidualLayerNorm(
            branch: saved.sum, bias: bias, residual: residual, gamma: norm.gamma(parameters),
            beta: norm.beta(parameters), epsilon: norm.epsilon, dropout: mask(pass), sum: saved.sum,
            mean: saved.norm.mean, rstd: saved.norm.rstd, into: normed)
    }

    /// dSum [T, D] and dBranch [T, D], dSum after dropout, from dNormed [T, D], and from dCarried [T, D] if the sum
    /// is carried on. dSum may be either of them.
    func backward(
        dNormed: Matrix, dCarried: Matrix?, _ pass: PassContext, _ parameters: ParameterStore, saved: Saved,
        into dSum: Matrix, dBranch: Matrix, dBias: UnsafeMutablePointer<Float>?, scratch: UnsafeMutablePointer<Float>
    ) {
        LayerNormKernels.biasDropoutResidualLayerNormBackward(
            dOutput: dNormed, dCarried: dCarried, sum: saved.sum, mean: saved.norm.mean, rstd: saved.norm.rstd,
            gamma: norm.gamma(parameters), dropout: mask(pass), dResidual: dSum, dBranch: dBranch,
            dGamma: norm.dGamma(parameters), dBeta: norm.dBeta(parameters), dBias: dBias, scratch: scratch)
    }

    private func mask(_ pass: PassContext) -> DropoutMask? { pass.mask(layer: layer, site, rate: rate) }
}
