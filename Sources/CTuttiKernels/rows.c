// Bias, column sums, softmax and F.normalize over rows.
#include "vectorise.h"
#include <math.h>

INLINE void add_bias(tutti_rows x, const float *bias, tutti_range rows, int64_t columns) {
    for (int64_t r = rows.begin; r < rows.end; r++) {
        float *row = x.at + r * x.stride;
        VECTOR_LOOP
        for (int64_t c = 0; c < columns; c++) row[c] += bias[c];
    }
}
TUTTI_KERNEL(tutti_add_bias, add_bias, (tutti_rows x, const float *bias, tutti_range rows, int64_t columns),
             (x, bias, rows, columns))

// Columns of a slab stay in registers or L1 while its rows are read; every 64 rows are added to the total, which keeps
// the rounding error of long columns near that of pairwise sums.
enum { slab = 512, block_rows = 64 };

INLINE void column_sums(tutti_rows x, int64_t rows, tutti_range columns, float *sums) {
    FAST_MATH
    float local[slab];
    int64_t stride = x.stride;
    for (int64_t c0 = columns.begin; c0 < columns.end; c0 += slab) {
        int64_t width = columns.end - c0 < slab ? columns.end - c0 : slab;
        for (int64_t r0 = 0; r0 < rows; r0 += block_rows) {
            int64_t r1 = r0 + block_rows < rows ? r0 + block_rows : rows, r = r0;
            memset(local, 0, (size_t)width * sizeof(float));
            for (; r + 4 <= r1; r += 4) {
                const float *a = x.at + r * stride + c0, *b = a + stride, *c = b + stride, *d = c + stride;
                VECTOR_LOOP
                for (int64_t i = 0; i < width; i++) local[i] += (a[i] + b[i]) + (c[i] + d[i]);
            }
            for (; r < r1; r++) {
                const float *a = x.at + r * stride + c0;
                VECTOR_LOOP
                for (int64_t i = 0; i < width; i++) local[i] += a[i];
            }
            VECTOR_LOOP
            for (int64_t i = 0; i < width; i++) sums[c0 + i] += local[i];
        }
    }
}
TUTTI_KERNEL(tutti_column_sums, column_sums, (tutti_rows x, int64_t rows, tutti_range columns, float *sums),
             (x, rows, columns, sums))

INLINE void softmax_rows(tutti_rows x, tutti_range rows, int64_t columns) {
    FAST_MATH
    for (int64_t r = rows.begin; r < rows.end; r++) {
        float *row = x.at + r * x.stride;
        float maximum = -INFINITY, sum = 0.0f;
        for (int64_t c = 0; c < columns; c++) maximum = row[c] > maximum ? row[c] : maximum;
        VECTOR_LOOP
        for (int64_t c = 0; c < columns; c++) {
            float e = fast_exp(row[c] - maximum);
            row[c] = e;
            sum += e;
        }
        float inverse = 1.0f / sum;
        VECTOR_LOOP
        for (int64_t c = 0; c < columns; c++) row[c] *= inverse;
    }
}
TUTTI_KERNEL(tutti_softmax_rows, softmax_rows, (tutti_rows x, tutti_range rows, int64_t columns), (x, rows, columns))

INLINE void normalize_forward(tutti_rows x, tutti_rows out, float *norms, float epsilon, tutti_range rows,
                              int64_t columns) {
    FAST_MATH
    for (int64_t r = rows.begin; r < rows.end; r++) {
        const float *row = x.at + r * x.stride;
        float *to = out.at + r * out.stride;
        double squares = 0.0;
        VECTOR_LOOP
        for (int64_t c = 0; c < columns; c++) squares += (double)row[c] * (double)row[c];
        float norm = (float)__builtin_elementwise_sqrt(squares);
        norms[r] = norm;
        float divisor = norm > epsilon ? norm : epsilon;
        VECTOR_LOOP
        for (int64_t c = 0; c < columns; c++) to[c] = row[c] / divisor;
    }
}
TUTTI_KERNEL(tutti_normalize_forward, normalize_forward,
             (tutti_rows x, tutti_rows out, float *norms, float epsilon, tutti_range rows, int64_t columns),
             (x, out, norms, epsilon, rows, columns))

INLINE void normalize_backward(tutti_rows y, const float *norms, tutti_rows dy, tutti_rows dx, float epsilon,
                               tutti_range rows, int64_t columns) {
    FAST_MATH
    for (int64_t r = rows.begin; r < rows.end; r++) {
        const float *unit = y.at + r * y.stride, *gradient = dy.at + r * dy.stride;
        float *to = dx.at + r * dx.stride;
        float along = 0.0f;
        VECTOR_LOOP
        for (int64_t c = 0; c < columns; c++) along += unit[c] * gradient[c];
        float inverse = 1.0f / (norms[r] > epsilon ? norms[r] : epsilon);
        if (!(norms[r] > epsilon)) along = 0.0f; // the clamped norm is a constant
        VECTOR_LOOP
        for (int64_t c = 0; c < columns; c++) to[c] = (gradient[c] - unit[c] * along) * inverse;
    }
}
TUTTI_KERNEL(tutti_normalize_backward, normalize_backward,
             (tutti_rows y, const float *norms, tutti_rows dy, tutti_rows dx, float epsilon, tutti_range rows,
              int64_t columns),
             (y, norms, dy, dx, epsilon, rows, columns))
