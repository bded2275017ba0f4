// Matrix products, over CBLAS. The provider is known to this file alone.

import COpenBLAS

/// General matrix multiplication of row-major fp32 matrices.
public enum Gemm {
    /// The library behind `multiply`, as checkpoints state it.
    public static let provider = "openblas"

    /// c = alpha * op(a) * op(b) + beta * c, where op transposes on request; with `beta` 0, `c` is assigned.
    /// Shapes: op(a) [m, k], op(b) [k, n], c [m, n]; `c` must not overlap `a` or `b`.
    public static func multiply(
        _ a: Matrix, transposeA: Bool = false, _ b: Matrix, transposeB: Bool = false, into c: Matrix,
        alpha: Float = 1, beta: Float = 0
    ) {
        let m = transposeA ? a.columns : a.rows
        let k = transposeA ? a.rows : a.columns
        let n = transposeB ? b.rows : b.columns
        let innerB = transposeB ? b.columns : b.rows
        precondition(
            k == innerB && c.rows == m && c.columns == n,
            "Gemm: [\(m), \(k)] x [\(innerB), \(n)] into [\(c.rows), \(c.columns)]")
        guard m > 0, n > 0 else { return }
        guard k > 0 else {
            scaleOnly(c, by: beta)
            return
        }
        cblas_sgemm(
            CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans,
            blasint(m), blasint(n), blasint(k), alpha, a.pointer, blasint(max(a.stride, 1)), b.pointer,
            blasint(max(b.stride, 1)), beta, c.pointer, blasint(max(c.stride, 1)))
    }

    /// Threads inside BLAS; keep it 1 where `Parallel` splits the rows itself.
    public static var threads: Int {
        get { Int(openblas_get_num_threads()) }
        set {
            precondition(newValue >= 1, "Gemm.threads must be at least 1, not \(newValue)")
            openblas_set_num_threads(Int32(newValue))
        }
    }

    /// The processor family whose kernels BLAS chose, such as "SkylakeX" or "Zen".
    public static var coreType: String { openblas_get_corename().map { String(cString: $0) } ?? "unknown" }

    private static func scaleOnly(_ c: Matrix, by beta: Float) {
        for r in 0..<c.rows {
            for j in 0..<c.columns { c[r, j] = beta == 0 ? 0 : beta * c[r, j] }
        }
    }
}
