// Matrix products of row-major fp32 matrices. Only this file knows which library computes them.

import COpenBLAS
import CTuttiKernels

/// General matrix multiplication.
package enum Gemm {
    /// The provider of each kind of product on this thread; setting it sets that of `Compute.process`.
    package static var choice: GemmChoice {
        get { GemmChoice(of: tutti_compute_here().pointee) }
        set { Compute.process.products = newValue }
    }

    /// c = alpha * op(a) * op(b) + beta * c, where op transposes on request; with `beta` 0, `c` is assigned.
    /// Shapes: op(a) [m, k], op(b) [k, n], c [m, n]; `c` must not overlap `a` or `b`.
    ///
    /// `provider` overrides the chosen one, and so do `products` that round operands (`alpha` 1, `beta` 0 or 1; `.int8` with
    /// `b` transposed alone). With `.tutti` or such products and `beta` 0 an element of c depends only on its row of op(a)
    /// and its column of op(b), to the last bit: not on m, n, the threads, or its position in the matrices.
    package static func multiply(
        _ a: Matrix, transposeA: Bool = false, _ b: Matrix, transposeB: Bool = false, into c: Matrix,
        alpha: Float = 1, beta: Float = 0, by provider: GemmProvider? = nil,
        products: DenseProducts = .fp32
    ) {
        guard var product = product(a, transposeA, b, transposeB, into: c, alpha, beta) else { return }
        if products != .fp32, product.k > 0 { return run(&product, products) }
        run(&product, on: provider ?? choice[GemmLayout(transposeA: transposeA, transposeB: transposeB)])
    }

    /// dWeight [out, in] += dY^T [out, T] x [T, in]; dBias [out] += column sums of dY.
    package static func accumulateWeightGradient(
        _ dY: Matrix, _ x: Matrix, into dWeight: Matrix, bias dBias: UnsafeMutablePointer<Float>,
        products: DenseProducts = .fp32
    ) {
        guard dY.rows > 0, var product = product(dY, true, x, false, into: dWeight, 1, 1) else { return }
        if products != .fp32 {
            run(&product, products)
            return RowKernels.biasGradient(dY, into: dBias)
        }
        let provider = choice[.weightGradient]
        if provider == .tutti {
            product.column_sums = dBias
            tutti_multiply(&product)
        } else {
            run(&product, on: provider)
            RowKernels.biasGradient(dY, into: dBias)
        }
    }

    /// The processor family whose kernels OpenBLAS chose, such as "SkylakeX" or "Zen".
    package static var coreType: String { openblas_get_corename().map { String(cString: $0) } ?? "unknown" }

    /// The libraries' versions and builds in one line, which measurements depend on.
    package static var libraries: String {
        let openblas = openblas_get_config().map { String(cString: $0) } ?? "OpenBLAS"
        var (major, minor, patch): (Int32, Int32, Int32) = (0, 0, 0)
        guard tutti_onednn_version(&major, &minor, &patch) == 0 else { return openblas }
        return "\(openblas); oneDNN \(major).\(minor).\(patch)"
    }

    /// The product in C form; nil if there is nothing to multiply.
    private static func product(
        _ a: Matrix, _ transposeA: Bool, _ b: Matrix, _ transposeB: Bool, into c: Matrix, _ alpha: Float, _ beta: Float
    ) -> tutti_product? {
        let m = transposeA ? a.columns : a.rows
        let k = transposeA ? a.rows : a.columns
        let n = transposeB ? b.rows : b.columns
        let innerB = transposeB ? b.columns : b.rows
        precondition(
            k == innerB && c.rows == m && c.columns == n,
            "Gemm: [\(m), \(k)] x [\(innerB), \(n)] into [\(c.rows), \(c.columns)]")
        guard m > 0, n > 0 else { return nil }
        return tutti_product(
            transpose_a: transposeA ? 1 : 0, transpose_b: transposeB ? 1 : 0, m: Int64(m), n: Int64(n), k: Int64(k),
            alpha: alpha, beta: beta, a: operand(a), b: operand(b), c: operand(c), column_sums: nil)
    }

    /// The libraries refuse a stride of zero, which a matrix without columns has.
    private static func operand(_ x: Matrix) -> tutti_rows {
        tutti_rows(at: x.pointer, stride: Int64(max(x.stride, 1)))
    }

    /// The product of rounded operands.
    private static func run(_ product: inout tutti_product, _ products: DenseProducts) {
        precondition(
            product.alpha == 1 && (product.beta == 0 || product.beta == 1),
            "Gemm: \(products) with alpha \(product.alpha), beta \(product.beta)")
        switch products {
        case .fp32: preconditionFailure("Gemm: fp32 rounds nothing")
        case .bf16(let products): tutti_multiply_half(&product, products.number)
        case .int8(let products):
            precondition(product.transpose_a == 0 && product.transpose_b != 0, "Gemm: int8 products are forward only")
            tutti_multiply_int8(&product, products.number)
        }
    }

    /// The product alone.
    private static func run(_ product: inout tutti_product, on provider: GemmProvider) {
        guard product.k > 0 else { return scale(product) }
        switch provider {
        case .openblas where AddressSpace.isLimited:
            tutti_multiply(&product)
        case .openblas:
            cblas_sgemm(
                CblasRowMajor, product.transpose_a != 0 ? CblasTrans : CblasNoTrans,
                product.transpose_b != 0 ? CblasTrans : CblasNoTrans, blasint(product.m), blasint(product.n),
                blasint(product.k), product.alpha, product.a.at, blasint(product.a.stride), product.b.at,
                blasint(product.b.stride), product.beta, product.c.at, blasint(product.c.stride))
        case .onednn:
            let status = tutti_onednn_multiply(&product)
            precondition(status == 0, "Gemm: oneDNN refused a product with status \(status)")
        case .tutti:
            tutti_multiply(&product)
        }
    }

    /// c = beta * c: a sum of no terms.
    private static func scale(_ product: tutti_product) {
        let c = Matrix(product.c.at, Int(product.m), Int(product.n), stride: Int(product.c.stride))
        for r in 0..<c.rows {
            for j in 0..<c.columns { c[r, j] = product.beta == 0 ? 0 : product.beta * c[r, j] }
        }
    }
}
