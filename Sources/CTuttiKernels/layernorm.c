// LayerNorm rows: three passes over a row that stays in L1 (sum, centred squares, output), as torch's two-pass variance.
//
// Dropout masks are hashed again in backward from (site key, element index). `masked` is a constant where these bodies
// are inlined, so the loops without dropout carry no hash.
#include "vectorise.h"
#include <math.h>
#include <stdbool.h>

static const row_key no_key = {0, 0, 0};

/// The factor that dropout puts on element d: 0 or 1 / (1 - p).
INLINE float kept(const bool masked, row_key key, const tutti_dropout *dropout, int64_t d) {
    if (!masked) return 1.0f;
    return element_hash(key.low, key.high, key.base + (uint32_t)d) >= dropout->threshold ? dropout->scale : 0.0f;
}

/// mean and 1 / sqrt(variance + epsilon) of a row whose sum is known.
INLINE void statistics(const float *row, float sum, int64_t columns, float epsilon, float *mean, float *rstd) {
    FAST_MATH
    float m = sum / (float)columns, squares = 0.0f;
    VECTOR_LOOP
    for (int64_t d = 0; d < columns; d++) squares += (row[d] - m) * (row[d] - m);
    *mean = m;
    *rstd = 1.0f / __builtin_elementwise_sqrt(squares / (float)columns + epsilon);
}

INLINE float sum_branch(const bool masked, const bool biased, const float *branch, const float *bias,
                        const float *residual, float *z, row_key key, const tutti_dropout *dropout, int64_t columns) {
    FAST_MATH
    float sum = 0.0f;
    VECTOR_LOOP
    for (int64_t d = 0; d < columns; d++) {
        float x = biased ? branch[d] + bias[d] : branch[d];
        x = residual[d] + x * kept(masked, key, dropout, d);
        z[d] = x;
        sum += x;
    }
    return sum;
}

TUTTI_CLONES
void tutti_residual_layernorm_forward(const float *branch, int64_t branch_stride, const float *bias,
                                      const float *residual, int64_t residual_stride, float *z, int64_t z_stride,
                                      const float *gamma, const float *beta, float epsilon, tutti_dropout dropout,
                                      float *mean, float *rstd, float *out, int64_t out_stride, int64_t begin,
                                      int64_t end, int64_t columns) {
    FAST_MATH
    if (begin >= end) return;
    int64_t sequence = dropout.keys ? sequence_of(dropout.offsets, dropout.sequences, begin) : 0;
    for (int64_t t = begin; t < end; t++) {
        const float *b = branch + t * branch_stride, *r = residual + t * residual_stride;
        float *row = z + t * z_stride, *to = out + t * out_stride;
        float sum;
        if (dropout.keys) {
            row_key key = key_of_row(&dropout, &sequence, t, columns);
            sum = bias ? sum_branch(true, true, b, bias, r, row, key, &dropout, columns)
                       : sum_branch(true, false, b, NULL, r, row, key, &dropout, columns);
        } else {
            sum = bias ? sum_branch(false, true, b, bias, r, row, no_key, &dropout, columns)
                       : sum_branch(false, false, b, NULL, r, row, no_key, &dropout, columns);
        }
        float m, s;
        statistics(row, sum, columns, epsilon, &m, &s);
        mean[t] = m;
        rstd[t] = s;
        VECTOR_LOOP
        for (int64_t d = 0; d < columns; d++) to[d] = (row[d] - m) * s * gamma[d] + beta[d];
    }
}

/// One row of the fused backward: dz to `dresidual`, dropped-out dz to `dbranch`, sums dgamma, dbeta, dbias. `carried` is
/// added to dz where `carries`: the gradient of a sum that is also carried on as it is.
INLINE void residual_backward_row(const bool masked, const bool carries, const float *carried, const float *dout, const float *z, float m, float s,
                                  const float *gamma, row_key key, const tutti_dropout *dropout, float *dresidual,
                                  float *dbranch, float *dgamma, float *dbeta, float *dbias, int64_t columns) {
    FAST_MATH
    float direct = 0.0f, along = 0.0f;
    VECTOR_LOOP
    for (int64_t d = 0; d < columns; d++) {
        float g = dout[d] * gamma[d];
        direct += g;
        along += g * (z[d] - m);
    }
    direct /= (float)columns;
    along *= s / (float)columns;
    VECTOR_LOOP
    for (int64_t d = 0; d < columns; d++) {
        float normal = (z[d] - m) * s, gradient = dout[d];
        float dz = s * (gradient * gamma[d] - direct - normal * along);
        if (carries) dz += carried[d];
        float branch = dz * kept(masked, key, dropout, d);
        dgamma[d] += gradient * normal;
        dbeta[d] += gradient;
        dbias[d] += branch;
        dresidual[d] = dz;
        dbranch[d] = branch;
    }
}

TUTTI_CLONES
void tutti_residual_layernorm_backward(const float *dout, int64_t dout_stride, const float *carried,
                                       int64_t carried_stride, const float *z, int64_t z_stride,
                                       const float *mean, const float *rstd, const float *gamma, tutti_dropout dropout,
                                       float *dresidual, int64_t dresidual_stride, float *dbranch,
                                       int64_t dbranch_stride, float *sums, int64_t begin, int64_t end,
                                       int64_t columns) {
    if (begin >= end) return;
    float *dgamma = sums, *dbeta = sums + columns, *dbias = sums + 2 * columns;
    int64_t sequence = dropout.keys ? sequence_of(dropout.offsets, dropout.sequences, begin) : 0;
    for (int64_t t = begin; t < end; t++) {
        const float *g = dout + t * dout_stride, *row = z + t * z_stride;
        float *residual = dresidual + t * dresidual_stride, *branch = dbranch + t * dbranch_stride;
        if (dropout.keys) {
            row_key key = key_of_row(&dropout, &sequence, t, columns);
            if (carried) {
                residual_backward_row(true, true, carried + t * carried_stride, g, row, mean[t], rstd[t], gamma, key,
                                      &dropout, residual, branch, dgamma, dbeta, dbias, columns);
            } else {
                residual_backward_row(true, false, NULL, g, row, mean[t], rstd[t], gamma, key, &dropout, residual,
                                      branch, dgamma, dbeta, dbias, columns);
            }
        } else if (carried) {
            residual_backward_row(false, true, carried + t * carried_stride, g, row, mean[t], rstd[t], gamma, no_key,
                                  &dropout, residual, branch, dgamma, dbeta, dbias, columns);
        } else {
            residual_backward_row(false, false, NULL, g, row, mean[t], rstd[t], gamma, no_key, &dropout, residual,
                                  branch, dgamma, dbeta, dbias, columns);
        }
    }
}

INLINE void output_row(const bool masked, const float *row, float m, float s, const float *gamma, const float *beta,
                       row_key key, const tutti_dropout *dropout, float *out, int64_t columns) {
    FAST_MATH
    VECTOR_LOOP
    for (int64_t d = 0; d < columns; d++) {
        out[d] = ((row[d] - m) * s * gamma[d] + beta[d]) * kept(masked, key, dropout, d);
    }
}

TUTTI_CLONES
void tutti_layernorm_forward(const float *x, int64_t x_stride, const float *gamma, const float *beta, float epsilon,
                             tutti_dropout dropout, float *mean, float *rstd, float *out, int64_t out_stride,
                             int64_t begin, int64_t end, int64_t columns) {
    FAST_MATH
    if (begin >= end) return;
    int64_t sequence = dropout.keys ? sequence_of(dropout.offsets, dropout.sequences, begin) : 0;
    for (int64_t t = begin; t < end; t++) {
        const float *row = x + t * x_stride;
        float *to = out + t * out_stride;
        float sum = 0.0f, m, s;
        VECTOR_LOOP
        for (int64_t d = 0; d < columns; d++) sum += row[d];
        statistics(row, sum, columns, epsilon, &m, &s);
        mean[t] = m;
        rstd[t] = s;
        if (dropout.keys) {
            row_key key = key_of_row(&dropout, &sequence, t, columns);
            output_row(true, row, m, s, gamma, beta, key, &dropout, to, columns);
        } else {
            output_row(false, row, m, s, gamma, beta, no_key, &dropout, to, columns);
        }
    }
}

INLINE void backward_row(const bool masked, const float *dout, const float *x, float m, float s, const float *gamma,
                         row_key key, const tutti_dropout *dropout, float *dx, float *dgamma, float *dbeta,
                         int64_t columns) {
    FAST_MATH
    float direct = 0.0f, along = 0.0f;
    VECTOR_LOOP
    for (int64_t d = 0; d < columns; d++) {
        float g = dout[d] * kept(masked, key, dropout, d) * gamma[d];
        direct += g;
        along += g * (x[d] - m);
    }
    direct /= (float)columns;
    along *= s / (float)columns;
    VECTOR_LOOP
    for (int64_t d = 0; d < columns; d++) {
        float normal = (x[d] - m) * s, gradient = dout[d] * kept(masked, key, dropout, d);
        dgamma[d] += gradient * normal;
        dbeta[d] += gradient;
        dx[d] = s * (gradient * gamma[d] - direct - normal * along);
    }
}

TUTTI_CLONES
void tutti_layernorm_backward(const float *dout, int64_t dout_stride, const float *x, int64_t x_stride,
                              const float *mean, const float *rstd, const float *gamma, tutti_dropout dropout,
                              float *dx, int64_t dx_stride, float *sums, int64_t begin, int64_t end, int64_t columns) {
    if (begin >= end) return;
    int64_t sequence = dropout.keys ? sequence_of(dropout.offsets, dropout.sequences, begin) : 0;
    for (int64_t t = begin; t < end; t++) {
        const float *g = dout + t * dout_stride, *row = x + t * x_stride;
        float *to = dx + t * dx_stride;
        if (dropout.keys) {
            row_key key = key_of_row(&dropout, &sequence, t, columns);
            backward_row(true, g, row, mean[t], rstd[t], gamma, key, &dropout, to, sums, sums + columns, columns);
        } else {
            backward_row(false, g, row, mean[t], rstd[t], gamma, no_key, &dropout, to, sums, sums + columns, columns);
        }
    }
}
