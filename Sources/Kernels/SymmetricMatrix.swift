// Eigenvalues and eigenvectors of a symmetric matrix, in double precision: Householder's reduction to three diagonals, then
// QL with implicit shifts. The same bits on every machine that adds in the order written here.
//
// Reference: tred2 and tql2 of EISPACK (Smith et al. 1976), in the form of JAMA.

import Foundation

/// A symmetric matrix with its eigenvectors.
package struct SymmetricMatrix {
    /// n.
    package let size: Int
    /// [n] ascending.
    package private(set) var values: [Double]
    /// [n, n] row by row: column j belongs to eigenvalue j, and has length 1.
    package private(set) var vectors: [Double]

    /// Solves the matrix [n, n], row by row, of which the lower half counts.
    package init(_ matrix: [Double], size: Int) {
        precondition(size > 0 && matrix.count == size * size, "SymmetricMatrix: \(matrix.count) numbers of \(size)")
        self.size = size
        var vectors = matrix
        var values = [Double](repeating: 0, count: size)
        var off = [Double](repeating: 0, count: size)
        vectors.withUnsafeMutableBufferPointer { v in
            values.withUnsafeMutableBufferPointer { d in
                off.withUnsafeMutableBufferPointer { e in
                    SymmetricMatrix.reduce(v, d, e, size)
                    SymmetricMatrix.iterate(v, d, e, size)
                }
            }
        }
        (self.vectors, self.values) = (vectors, values)
    }

    private typealias Numbers = UnsafeMutableBufferPointer<Double>

    /// Reduces v to a matrix of three diagonals: d the middle one, e the one below; v becomes the transformation.
    private static func reduce(_ v: Numbers, _ d: Numbers, _ e: Numbers, _ n: Int) {
        for j in 0..<n { d[j] = v[(n - 1) * n + j] }
        for i in stride(from: n - 1, to: 0, by: -1) {
            var (scale, h) = (0.0, 0.0)
            for k in 0..<i { scale += abs(d[k]) }
            if scale == 0 {
                e[i] = d[i - 1]
                for j in 0..<i {
                    d[j] = v[(i - 1) * n + j]
                    v[i * n + j] = 0
                    v[j * n + i] = 0
                }
            } else {
                for k in 0..<i {
                    d[k] /= scale
                    h += d[k] * d[k]
                }
                var f = d[i - 1]
                var g = f > 0 ? -h.squareRoot() : h.squareRoot()
                e[i] = scale * g
                h -= f * g
                d[i - 1] = f - g
                for j in 0..<i { e[j] = 0 }
                for j in 0..<i {
                    f = d[j]
                    v[j * n + i] = f
                    g = e[j] + v[j * n + j] * f
                    for k in j + 1..<max(i, j + 1) {
                        g += v[k * n + j] * d[k]
                        e[k] += v[k * n + j] * f
                    }
                    e[j] = g
                }
                f = 0
                for j in 0..<i {
                    e[j] /= h
                    f += e[j] * d[j]
                }
                let hh = f / (h + h)
                for j in 0..<i { e[j] -= hh * d[j] }
                for j in 0..<i {
                    (f, g) = (d[j], e[j])
                    for k in j..<i { v[k * n + j] -= f * e[k] + g * d[k] }
                    d[j] = v[(i - 1) * n + j]
                    v[i * n + j] = 0
                }
            }
            d[i] = h
        }
        for i in 0..<n - 1 {
            v[(n - 1) * n + i] = v[i * n + i]
            v[i * n + i] = 1
            let h = d[i + 1]
            if h != 0 {
                for k in 0...i { d[k] = v[k * n + i + 1] / h }
                for j in 0...i {
                    var g = 0.0
                    for k in 0...i { g += v[k * n + i + 1] * v[k * n + j] }
                    for k in 0...i { v[k * n + j] -= g * d[k] }
                }
            }
            for k in 0...i { v[k * n + i + 1] = 0 }
        }
        for j in 0..<n {
            d[j] = v[(n - 1) * n + j]
            v[(n - 1) * n + j] = 0
        }
        v[n * n - 1] = 1
        e[0] = 0
    }

    /// Rotates the three diagonals to one, and v with them; sorts the values.
    private static func iterate(_ v: Numbers, _ d: Numbers, _ e: Numbers, _ n: Int) {
        for i in 1..<max(n, 1) { e[i - 1] = e[i] }
        e[n - 1] = 0
        var (f, largest) = (0.0, 0.0)
        for l in 0..<n {
            largest = max(largest, abs(d[l]) + abs(e[l]))
            var m = l
            while m < n - 1, abs(e[m]) > 0x1p-52 * largest { m += 1 }
            if m > l {
                repeat {
                    var g = d[l]
                    var p = (d[l + 1] - g) / (2 * e[l])
                    var r = hypot(p, 1)
                    if p < 0 { r = -r }
                    d[l] = e[l] / (p + r)
                    d[l + 1] = e[l] * (p + r)
                    let (dl1, el1) = (d[l + 1], e[l + 1])
                    let h = g - d[l]
                    for i in l + 2..<max(n, l + 2) { d[i] -= h }
                    f += h
                    p = d[m]
                    var (c, c2, c3, s, s2) = (1.0, 1.0, 1.0, 0.0, 0.0)
                    for i in stride(from: m - 1, through: l, by: -1) {
                        (c3, c2, s2) = (c2, c, s)
                        g = c * e[i]
                        let h = c * p
                        r = hypot(p, e[i])
                        e[i + 1] = s * r
                        (s, c) = (e[i] / r, p / r)
                        p = c * d[i] - s * g
                        d[i + 1] = h + s * (c * g + s * d[i])
                        for k in 0..<n {
                            let h = v[k * n + i + 1]
                            v[k * n + i + 1] = s * v[k * n + i] + c * h
                            v[k * n + i] = c * v[k * n + i] - s * h
                        }
                    }
                    p = -s * s2 * c3 * el1 * e[l] / dl1
                    e[l] = s * p
                    d[l] = c * p
                } while abs(e[l]) > 0x1p-52 * largest
            }
            d[l] += f
            e[l] = 0
        }
        for i in 0..<n - 1 {
            var k = i
            for j in i + 1..<n where d[j] < d[k] { k = j }
            if k == i { continue }
            d.swapAt(i, k)
            for j in 0..<n { v.swapAt(j * n + i, j * n + k) }
        }
    }
}
