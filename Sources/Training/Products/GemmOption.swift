// Who computes the matrix products: what the user asks for, and what the ranks agree on.
//
// The command and the library both call `GemmOption.choose`: it measures (or takes the measurement that this machine
// keeps), sets the choice on every rank, and says what the user should know of it.

import TuttiEnsemble
import TuttiGround
import TuttiKernels
import TuttiModels

/// The values of `--gemm`.
public enum GemmOption: String, Sendable, CaseIterable {
    /// The fastest for each kind of product, as measured on this machine.
    case auto
    case openblas, onednn, tutti

    /// Sets the provider of `model`'s matrix products: the one asked for, or the fastest that every rank has, as rank zero measures
    /// it on layers of its widths. Set the threads before. `notice` gets, on rank zero, lines about a provider that
    /// is slow on this machine. Collective.
    ///
    /// - Throws: a usage error where a rank lacks the library that was asked for.
    @discardableResult
    package func choose(
        for model: SentenceEncoder, ensemble: any Ensemble, notice: (String) -> Void
    ) throws -> GemmChoice {
        let providers = try Self.providersOfAllRanks(ensemble)
        let (hidden, inner) = Self.widths(of: model)
        let text = try ensemble.onRoot {
            guard let wanted = GemmProvider(rawValue: rawValue) else {
                return Self.measure(hidden: hidden, inner: inner, providers: providers).choice.description
            }
            guard providers.contains(wanted) else {
                throw TuttiError(
                    .usage, "choose the provider of matrix products", "--gemm \(wanted.rawValue)",
                    wanted == .openblas
                        ? "a rank's address space is limited, where OpenBLAS may wait for addresses forever"
                        : "the library is not installed on every rank",
                    hint: wanted == .openblas
                        ? "Lift the limit (ulimit -v unlimited), or use --gemm auto."
                        : "Install libdnnl (package libdnnl-dev), or use --gemm auto.")
            }
            return GemmChoice(wanted).description
        }
        guard let choice = GemmChoice(text: text) else { preconditionFailure("rank zero sent no GemmChoice: \(text)") }
        model.encoder.compute.products = choice
        if ensemble.isRoot { Self.remarks(on: choice, measured: nil, core: .current).forEach(notice) }
        return choice
    }

    /// What the user should know of a choice: OpenBLAS with kernels below what the processor can do, and a provider that
    /// takes three times as long as another.
    package static func remarks(on choice: GemmChoice, measured: GemmSelection?, core: CoreType) -> [String] {
        var remarks: [String] = []
        if GemmLayout.allCases.contains(where: { choice[$0] == .openblas }), let warning = core.warning() {
            remarks.append(warning)
        }
        if let loss = measured?.slowest(in: choice), loss.factor >= 3 {
            let factor = (loss.factor * 10).rounded() / 10
            remarks.append(
                "Matrix products (\(loss.layout.rawValue)) by \(choice[loss.layout].rawValue) take \(factor) times as long"
                    + " here as by \(loss.fastest.rawValue).")
        }
        return remarks
    }

    /// The remarks on a choice that an earlier start made, compared with what this machine has measured, if it has.
    static func remarks(onKept choice: GemmChoice, for model: SentenceEncoder) -> [String] {
        let (hidden, inner) = widths(of: model)
        let cache = GemmCache(
            hidden: hidden, inner: inner, providers: GemmProvider.allCases.filter(\.isAvailable))
        return remarks(on: choice, measured: cache.read(), core: .current)
    }

    /// The widths of the layers that are measured: the residual stream's, and the feed-forward branch's, whose products
    /// come last.
    private static func widths(of model: SentenceEncoder) -> (hidden: Int, inner: Int) {
        let plan = model.encoder.plan
        return (plan.hiddenSize, plan.productsOfLayer.last?.linear.inputs ?? plan.hiddenSize)
    }

    /// The measurement for layers of these widths: the one that this machine keeps, or a new one.
    static func measure(hidden: Int, inner: Int, providers: [GemmProvider]) -> GemmSelection {
        let cache = GemmCache(hidden: hidden, inner: inner, providers: providers)
        if let kept = cache.read() { return kept }
        let measured = GemmSelection(hidden: hidden, inner: inner, providers: providers)
        cache.write(measured)
        return measured
    }

    /// The providers that every rank can use. Collective.
    private static func providersOfAllRanks(_ ensemble: any Ensemble) throws -> [GemmProvider] {
        var missing = GemmProvider.allCases.map { $0.isAvailable ? 0.0 : 1.0 }
        try missing.withUnsafeMutableBufferPointer { try ensemble.allReduceMax($0) }
        return zip(GemmProvider.allCases, missing).filter { $0.1 == 0 }.map(\.0)
    }
}
