// Bias, column sums, softmax and F.normalize over rows.
#include "vectorise.h"
#include <math.h>

TUTTI_CLONES
void tutti_add_bias(float *x, int64_t stride, const float *bias, int64_t begin, int64_t end, int64_t columns) {
    for (int64_t r = begin; r < end; r++) {
        float *row = x + r * stride;
        VECTOR_LOOP
        for (int64_t c = 0; c < columns; c++) row[c] += bias[c];
    }
}

// Columns of a slab stay in registers or L1 while its rows pass by; every 64 rows go to the total, which keeps the
// rounding error of long columns near that of pairwise sums.
enum { slab = 512, block_rows = 64 };

TUTTI_CLONES
void tutti_column_sums(const float *x, int64_t stride, int64_t rows, int64_t begin, int64_t end, float *sums) {
    FAST_MATH
    float local[slab];
    for (int64_t c0 = begin; c0 < end; c0 += slab) {
        int64_t width = end - c0 < slab ? end - c0 : slab;
        for (int64_t r0 = 0; r0 < rows; r0 += block_rows) {
            int64_t r1 = r0 + block_rows < rows ? r0 + block_rows : rows, r = r0;
            memset(local, 0, (size_t)width * sizeof(float));
            for (; r + 4 <= r1; r += 4) {
                const float *a = x + r * stride + c0, *b = a + stride, *c = b + stride, *d = c + stride;
                VECTOR_LOOP
                for (int64_t i = 0; i < width; i++) local[i] += (a[i] + b[i]) + (c[i] + d[i]);
            }
            for (; r < r1; r++) {
                const float *a = x + r * stride + c0;
                VECTOR_LOOP
                for (int64_t i = 0; i < width; i++) local[i] += a[i];
            }
            VECTOR_LOOP
            for (int64_t i = 0; i < width; i++) sums[c0 + i] += local[i];
        }
    }
}

TUTTI_CLONES
void tutti_softmax_rows(float *x, int64_t stride, int64_t begin, int64_t end, int64_t columns) {
    FAST_MATH
    for (int64_t r = begin; r < end; r++) {
        float *row = x + r * stride;
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

TUTTI_CLONES
void tutti_normalize_forward(const float *x, int64_t x_stride, float *out, int64_t out_stride, float *norms,
                             float epsilon, int64_t begin, int64_t end, int64_t columns) {
    FAST_MATH
    for (int64_t r = begin; r < end; r++) {
        const float *row = x + r * x_stride;
        float *to = out + r * out_stride;
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

TUTTI_CLONES
void tutti_normalize_backward(const float *y, int64_t y_stride, const float *norms, const float *dy, int64_t dy_stride,
                              float *dx, int64_t dx_stride, float epsilon, int64_t begin, int64_t end,
                              int64_t columns) {
    FAST_MATH
    for (int64_t r = begin; r < end; r++) {
        const float *unit = y + r * y_stride, *gradient = dy + r * dy_stride;
        float *to = dx + r * dx_stride;
        float along = 0.0f;
        VECTOR_LOOP
        for (int64_t c = 0; c < columns; c++) along += unit[c] * gradient[c];
        float inverse = 1.0f / (norms[r] > epsilon ? norms[r] : epsilon);
        if (!(norms[r] > epsilon)) along = 0.0f; // the clamped norm is a constant
        VECTOR_LOOP
        for (int64_t c = 0; c < columns; c++) to[c] = (gradient[c] - unit[c] * along) * inverse;
    }
}
