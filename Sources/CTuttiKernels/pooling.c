// Sentence vectors from token vectors: sequences are independent, rows of a sequence are added in order.
//
// All modes but max are weighted sums of rows; only weight() differs. Maxima are recomputed in backward (the first of
// equal values gets the gradient, as torch.max on the CPU).
#include "vectorise.h"
#include <math.h>

/// The rows [first, end) that a mode reads, of one sequence.
typedef struct {
    int64_t start, first, end;
} span;

INLINE span span_of(int mode, const int32_t *offsets, const int32_t *skip, int64_t s) {
    span rows = {offsets[s], offsets[s] + (skip ? skip[s] : 0), offsets[s + 1]};
    if (rows.first >= rows.end) rows.first = mode == TUTTI_POOL_CLS ? rows.start : rows.end;
    if (mode == TUTTI_POOL_CLS && rows.end > rows.first) rows.end = rows.first + 1;
    if (mode == TUTTI_POOL_LAST && rows.end > rows.first) rows.first = rows.end - 1;
    return rows;
}

/// The weight of row t; the weighted mean counts positions from the start of the sequence, including the prompt.
INLINE float weight(int mode, span rows, int64_t t) {
    double count = (double)(rows.end - rows.first);
    double before = (double)(rows.first - rows.start), all = (double)(rows.end - rows.start);
    switch (mode) {
    case TUTTI_POOL_MEAN: return (float)(1.0 / count);
    case TUTTI_POOL_MEAN_SQRT: return (float)(1.0 / sqrt(count));
    case TUTTI_POOL_WEIGHTED_MEAN:
        return (float)((double)(t - rows.start + 1) / (0.5 * (all * (all + 1) - before * (before + 1))));
    default: return 1.0f;
    }
}

INLINE void add_weighted(float *to, const float *from, float factor, int64_t columns) {
    FAST_MATH
    VECTOR_LOOP
    for (int64_t d = 0; d < columns; d++) to[d] += factor * from[d];
}

INLINE void pool_forward(int mode, tutti_rows x, const int32_t *offsets, const int32_t *skip, tutti_rows out,
                         tutti_range sequences, int64_t columns) {
    for (int64_t s = sequences.begin; s < sequences.end; s++) {
        span rows = span_of(mode, offsets, skip, s);
        float *to = out.at + s * out.stride;
        if (mode == TUTTI_POOL_MAX) {
            for (int64_t d = 0; d < columns; d++) to[d] = -INFINITY;
            for (int64_t t = rows.first; t < rows.end; t++) {
                const float *from = x.at + t * x.stride;
                VECTOR_LOOP
                for (int64_t d = 0; d < columns; d++) to[d] = from[d] > to[d] || from[d] != from[d] ? from[d] : to[d];
            }
        } else {
            memset(to, 0, (size_t)columns * sizeof(float));
            for (int64_t t = rows.first; t < rows.end; t++) {
                add_weighted(to, x.at + t * x.stride, weight(mode, rows, t), columns);
            }
        }
    }
}

TUTTI_KERNEL(tutti_pool_forward, pool_forward,
             (int mode, tutti_rows x, const int32_t *offsets, const int32_t *skip, tutti_rows out,
              tutti_range sequences, int64_t columns),
             (mode, x, offsets, skip, out, sequences, columns))

INLINE void pool_backward(int mode, tutti_rows x, const int32_t *offsets, const int32_t *skip, tutti_rows dout,
                          tutti_rows dx, tutti_range sequences, int64_t columns) {
    for (int64_t s = sequences.begin; s < sequences.end; s++) {
        span rows = span_of(mode, offsets, skip, s);
        const float *from = dout.at + s * dout.stride;
        if (mode == TUTTI_POOL_MAX) {
            for (int64_t d = 0; d < columns && rows.first < rows.end; d++) {
                int64_t best = rows.first;
                for (int64_t t = rows.first + 1; t < rows.end; t++) {
                    if (x.at[t * x.stride + d] > x.at[best * x.stride + d]) best = t;
                }
                dx.at[best * dx.stride + d] += from[d];
            }
        } else {
            for (int64_t t = rows.first; t < rows.end; t++) {
                add_weighted(dx.at + t * dx.stride, from, weight(mode, rows, t), columns);
            }
        }
    }
}
TUTTI_KERNEL(tutti_pool_backward, pool_backward,
             (int mode, tutti_rows x, const int32_t *offsets, const int32_t *skip, tutti_rows dout, tutti_rows dx,
              tutti_range sequences, int64_t columns),
             (mode, x, offsets, skip, dout, dx, sequences, columns))
