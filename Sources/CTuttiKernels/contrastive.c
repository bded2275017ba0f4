// The scalar half of the tiled contrastive softmax: folding score tiles into row losses, and scores into gradients.
//
// The loss of a row is log1p(sum_{j != pos} exp(s_j - s_pos)): exact if the positive wins by far, where
// logsumexp - s_pos would cancel. With m and Z of the negatives it is softplus(m - s_pos + log Z), in fp64.
#include "vectorise.h"
#include <math.h>

INLINE float largest(const float *x, int64_t begin, int64_t end, float maximum) {
    FAST_MATH
    float lanes[16];
    for (int k = 0; k < 16; k++) lanes[k] = maximum;
    int64_t j = begin;
    for (; j + 16 <= end; j += 16) {
        _Pragma("clang loop vectorize(enable)") for (int k = 0; k < 16; k++) {
            lanes[k] = x[j + k] > lanes[k] ? x[j + k] : lanes[k];
        }
    }
    for (int k = 0; k < 16; k++) maximum = lanes[k] > maximum ? lanes[k] : maximum;
    for (; j < end; j++) maximum = x[j] > maximum ? x[j] : maximum;
    return maximum;
}

INLINE float exponentials(const float *x, int64_t begin, int64_t end, float maximum) {
    FAST_MATH
    float sum = 0.0f;
    VECTOR_LOOP
    for (int64_t j = begin; j < end; j++) sum += x[j] - maximum < -87.0f ? 0.0f : fast_exp(x[j] - maximum);
    return sum;
}

INLINE void fold(tutti_rows scores, tutti_range rows, int64_t columns, int64_t first, const int32_t *positives,
                 const tutti_row_losses *state) {
    float *maximum = state->maximum, *positive_score = state->positive_score;
    double *sum = state->sum;
    for (int64_t r = rows.begin; r < rows.end; r++) {
        const float *row = scores.at + r * scores.stride;
        int64_t positive = positives[r] - first;
        int inside = positive >= 0 && positive < columns;
        if (inside) positive_score[r] = row[positive];
        int64_t split = inside ? positive : columns, rest = inside ? positive + 1 : columns;
        float before = maximum[r];
        float now = largest(row, rest, columns, largest(row, 0, split, before));
        if (now == -INFINITY) continue; // no negatives so far
        double tile = (double)exponentials(row, 0, split, now) + (double)exponentials(row, rest, columns, now);
        sum[r] = sum[r] * exp((double)before - (double)now) + tile;
        maximum[r] = now;
    }
}
TUTTI_KERNEL(tutti_contrastive_fold, fold,
             (tutti_rows scores, tutti_range rows, int64_t columns, int64_t first, const int32_t *positives,
              const tutti_row_losses *state),
             (scores, rows, columns, first, positives, state))

double tutti_contrastive_losses(int64_t rows, const tutti_row_losses *state) {
    const float *maximum = state->maximum, *positive_score = state->positive_score;
    const double *sum = state->sum;
    double *losses = state->losses, total = 0.0;
    for (int64_t r = 0; r < rows; r++) {
        double loss = 0.0;
        if (sum[r] != 0.0) {
            double x = ((double)maximum[r] - (double)positive_score[r]) + log(sum[r]);
            loss = x > 0.0 ? x + log1p(exp(-x)) : log1p(exp(x));
        }
        losses[r] = loss;
        total += loss;
    }
    return total;
}

INLINE void gradient(tutti_rows scores, tutti_range rows, int64_t columns, int64_t first, const int32_t *positives,
                     const tutti_row_losses *state, float factor) {
    FAST_MATH
    const float *positive_score = state->positive_score;
    const double *losses = state->losses;
    for (int64_t r = rows.begin; r < rows.end; r++) {
        float *row = scores.at + r * scores.stride;
        // log of the full denominator = s_pos + loss, taken in two steps so that a large s_pos costs no accuracy.
        float positive_value = positive_score[r], loss = (float)losses[r];
        VECTOR_LOOP
        for (int64_t j = 0; j < columns; j++) {
            float x = (row[j] - positive_value) - loss;
            row[j] = x < -87.0f ? 0.0f : factor * fast_exp(x);
        }
        int64_t positive = positives[r] - first;
        if (positive >= 0 && positive < columns) row[positive] = (float)((double)factor * expm1(-losses[r]));
    }
}
TUTTI_KERNEL(tutti_contrastive_gradient, gradient,
             (tutti_rows scores, tutti_range rows, int64_t columns, int64_t first, const int32_t *positives,
              const tutti_row_losses *state, float factor),
             (scores, rows, columns, first, positives, state, factor))
