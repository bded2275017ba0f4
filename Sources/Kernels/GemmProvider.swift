// GEMM providers: the libraries and Tutti's kernel, and which of them computes which kind of product.

import CTuttiKernels

/// An implementation of matrix products.
package enum GemmProvider: String, Sendable, CaseIterable {
    /// OpenBLAS through CBLAS: available unless the address space is limited.
    case openblas
    /// oneDNN, loaded at run time if libdnnl is installed.
    case onednn
    /// The kernel of CTuttiKernels: uses the processor's full vector width, even if a library does not know it.
    case tutti

    /// Whether it is available on this machine.
    package var isAvailable: Bool {
        switch self {
        case .openblas: !AddressSpace.isLimited
        case .onednn: tutti_onednn_available() != 0
        case .tutti: true
        }
    }

    /// The one that is used where none was chosen.
    static var usual: GemmProvider { AddressSpace.isLimited ? .tutti : .openblas }

    /// Its number in `tutti_compute`; zero there is OpenBLAS.
    var number: Int32 {
        switch self {
        case .openblas: 0
        case .onednn: 1
        case .tutti: 2
        }
    }

    init(number: Int32) { self = number == 2 ? .tutti : number == 1 ? .onednn : .openblas }
}

/// The three products of a linear layer, by the memory layout of their operands.
package enum GemmLayout: String, Sendable, CaseIterable {
    /// y [T, out] = x [T, in] W^T: the second operand is transposed.
    case forward
    /// dX [T, in] = dY [T, out] W: neither operand is transposed.
    case inputGradient = "input_gradient"
    /// dW [out, in] = dY^T x: the first operand is transposed.
    case weightGradient = "weight_gradient"

    init(transposeA: Bool, transposeB: Bool) {
        self = transposeA ? .weightGradient : transposeB ? .forward : .inputGradient
    }
}

/// The provider of each kind of product. Its text form, one name or `layout=name` pairs, is stored in checkpoints.
public struct GemmChoice: Sendable, Equatable, CustomStringConvertible {
    private var forward: GemmProvider
    private var inputGradient: GemmProvider
    private var weightGradient: GemmProvider

    /// One provider for every product.
    package init(_ provider: GemmProvider) {
        (forward, inputGradient, weightGradient) = (provider, provider, provider)
    }

    init(of compute: tutti_compute) {
        forward = GemmProvider(number: compute.forward)
        inputGradient = GemmProvider(number: compute.input_gradient)
        weightGradient = GemmProvider(number: compute.weight_gradient)
    }

    /// Parses the text form; nil if invalid.
    package init?(text: String) {
        if let provider = GemmProvider(rawValue: text) {
            self.init(provider)
            return
        }
        self.init(.openblas)
        var seen: Set<GemmLayout> = []
        for part in text.split(separator: ",") {
            let sides = part.split(separator: "=")
            guard sides.count == 2, let layout = GemmLayout(rawValue: String(sides[0])),
                let provider = GemmProvider(rawValue: String(sides[1]))
            else { return nil }
            self[layout] = provider
            seen.insert(layout)
        }
        guard seen.count == GemmLayout.allCases.count else { return nil }
    }

    /// The provider of one kind of product.
    package subscript(layout: GemmLayout) -> GemmProvider {
        get {
            switch layout {
            case .forward: forward
            case .inputGradient: inputGradient
            case .weightGradient: weightGradient
            }
        }
        set {
            switch layout {
            case .forward: forward = newValue
            case .inputGradient: inputGradient = newValue
            case .weightGradient: weightGradient = newValue
            }
        }
    }

    /// Whether all its providers are available on this machine.
    package var isAvailable: Bool { GemmLayout.allCases.allSatisfy { self[$0].isAvailable } }

    /// The text form.
    public var description: String {
        if self == GemmChoice(forward) { return forward.rawValue }
        return GemmLayout.allCases.map { "\($0.rawValue)=\(self[$0].rawValue)" }.joined(separator: ",")
    }
}
