// LayerNorm and RMSNorm rows: passes over a row that stays in L1 (sum, squares, output), like torch's two-pass variance.
//
// An RMSNorm is a LayerNorm that neither centres nor shifts: its mean is the constant zero, and so is what centring adds to
// its gradient. The shifted form (Gemma) scales by 1 + gamma. Dropout masks are recomputed in backward from (site key,
// element index). `centred`, `shifted`, `masked` are constants after these bodies are inlined, so the loops without dropout
// contain no hash, and those of an RMSNorm no mean.
#include "vectorise.h"
#include <math.h>
#include <stdbool.h>

static const row_key no_key = {0, 0, 0};

/// Calls a body with the constants `centred` and `shifted` of a kind of norm.
#define EACH_NORM(kind, call)                                                                                          \
    switch (kind) {                                                                                                    \
    case TUTTI_RMSNORM: call(false, false); break;                                                                     \
    case TUTTI_RMSNORM_SHIFTED: call(false, true); break;                                                              \
    default: call(true, false); break;                                                                                 \
    }

/// The dropout factor of element d: 0 or 1 / (1 - p).
INLINE float kept(const bool masked, row_key key, const tutti_dropout *dropout, int64_t d) {
    if (!masked) return 1.0f;
    return element_hash(key.low, key.high, key.base + (uint32_t)d) >= dropout->threshold ? dropout->scale : 0.0f;
}

/// The scale of one column.
INLINE float scale_of(const bool shifted, float gamma) { return shifted ? 1.0f + gamma : gamma; }

/// mean and 1 / sqrt(variance + epsilon) of a row whose sum is known; without centring, the root mean square.
INLINE void statistics(const bool centred, const float *row, float sum, int64_t columns, float epsilon, float *mean,
                       float *rstd) {
    FAST_MATH
    float m = centred ? sum / (float)columns : 0.0f, squares = 0.0f;
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

INLINE void output_row(const bool shifted, const bool masked, const float *row, float m, float s, const float *gamma,
                       const float *beta, row_key key, const tutti_dropout *dropout, float *out, int64_t columns) {
    FAST_MATH
    if (beta) {
        VECTOR_LOOP
        for (int64_t d = 0; d < columns; d++) {
            out[d] = ((row[d] - m) * s * scale_of(shifted, gamma[d]) + beta[d]) * kept(masked, key, dropout, d);
        }
    } else {
        VECTOR_LOOP
        for (int64_t d = 0; d < columns; d++) {
            out[d] = (row[d] - m) * s * scale_of(shifted, gamma[d]) * kept(masked, key, dropout, d);
        }
    }
}

INLINE void residual_rows(const bool centred, const bool shifted, const tutti_norm *norm, tutti_rows branch,
                          const float *bias, tutti_rows residual, tutti_rows z, tutti_rows out, tutti_range rows,
                          int64_t columns) {
    FAST_MATH
    if (rows.begin >= rows.end) return;
    const float *gamma = norm->gamma, *beta = centred ? norm->beta : NULL;
    tutti_dropout dropout = norm->dropout;
    int64_t sequence = dropout.keys ? sequence_of(dropout.offsets, dropout.sequences, rows.begin) : 0;
    for (int64_t t = rows.begin; t < rows.end; t++) {
        const float *b = branch.at + t * branch.stride, *r = residual.at + t * residual.stride;
        float *row = z.at + t * z.stride, *to = out.at + t * out.stride;
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
        statistics(centred, row, sum, columns, norm->epsilon, &m, &s);
        norm->mean[t] = m;
        norm->rstd[t] = s;
        output_row(shifted, false, row, m, s, gamma, beta, no_key, &dropout, to, columns);
    }
}

INLINE void residual_forward(const tutti_norm *norm, tutti_rows branch, const float *bias, tutti_rows residual,
                             tutti_rows z, tutti_rows out, tutti_range rows, int64_t columns) {
#define RESIDUAL(centred, shifted) residual_rows(centred, shifted, norm, branch, bias, residual, z, out, rows, columns)
    EACH_NORM(norm->kind, RESIDUAL)
}
TUTTI_KERNEL(tutti_residual_norm_forward, residual_forward,
             (const tutti_norm *norm, tutti_rows branch, const float *bias, tutti_rows residual, tutti_rows z,
              tutti_rows out, tutti_range rows, int64_t columns),
             (norm, branch, bias, residual, z, out, rows, columns))

INLINE void forward_rows(const bool centred, const bool shifted, const tutti_norm *norm, tutti_rows x, tutti_rows out,
                         tutti_range rows, int64_t columns) {
    FAST_MATH
    if (rows.begin >= rows.end) return;
    const float *gamma = norm->gamma, *beta = centred ? norm->beta : NULL;
    tutti_dropout dropout = norm->dropout;
    int64_t sequence = dropout.keys ? sequence_of(dropout.offsets, dropout.sequences, rows.begin) : 0;
    for (int64_t t = rows.begin; t < rows.end; t++) {
        const float *row = x.at + t * x.stride;
        float *to = out.at + t * out.stride;
        float sum = 0.0f, m, s;
        VECTOR_LOOP
        for (int64_t d = 0; d < columns; d++) sum += row[d];
        statistics(centred, row, sum, columns, norm->epsilon, &m, &s);
        norm->mean[t] = m;
        norm->rstd[t] = s;
        if (dropout.keys) {
            row_key key = key_of_row(&dropout, &sequence, t, columns);
            output_row(shifted, true, row, m, s, gamma, beta, key, &dropout, to, columns);
        } else {
            output_row(shifted, false, row, m, s, gamma, beta, no_key, &dropout, to, columns);
        }
    }
}

INLINE void forward(const tutti_norm *norm, tutti_rows x, tutti_rows out, tutti_range rows, int64_t columns) {
#define FORWARD(centred, shifted) forward_rows(centred, shifted, norm, x, out, rows, columns)
    EACH_NORM(norm->kind, FORWARD)
}
TUTTI_KERNEL(tutti_norm_forward, forward,
             (const tutti_norm *norm, tutti_rows x, tutti_rows out, tutti_range rows, int64_t columns),
             (norm, x, out, rows, columns))

/// One row of backward. Dropout is after the norm (its mask is on dout) or, if `fused`, before it, on the branch: dz goes
/// to `dx`, the masked dz to `dbranch`, which is summed into dbias. `carried` is added to dz if
/// `carries`.
INLINE void backward_row(const bool centred, const bool shifted, const bool fused, const bool masked,
                         const bool carries, const float *dout, const float *carried, const float *x, float m, float s,
                         const float *gamma, row_key key, const tutti_dropout *dropout, float *dx, float *dbranch,
                         float *sums, int64_t columns) {
    FAST_MATH
    float *dgamma = sums, *dbeta = sums + columns, *dbias = fused ? sums + 2 * columns : NULL;
    float direct = 0.0f, along = 0.0f;
    VECTOR_LOOP
    for (int64_t d = 0; d < columns; d++) {
        float g = dout[d] * kept(masked && !fused, key, dropout, d) * scale_of(shifted, gamma[d]);
        direct += g;
        along += g * (x[d] - m);
    }
    direct = centred ? direct / (float)columns : 0.0f;
    along *= s / (float)columns;
    VECTOR_LOOP
    for (int64_t d = 0; d < columns; d++) {
        float normal = (x[d] - m) * s, gradient = dout[d] * kept(masked && !fused, key, dropout, d);
        float dz = s * (gradient * scale_of(shifted, gamma[d]) - direct - normal * along);
        if (carries) dz += carried[d];
        dgamma[d] += gradient * normal;
        if (centred) dbeta[d] += gradient;
        if (fused) {
            float branch = dz * kept(masked, key, dropout, d);
            dbias[d] += branch;
            dx[d] = dz;
            dbranch[d] = branch;
        } else {
            dx[d] = dz;
        }
    }
}

/// Rows of backward; `dbranch` and `carried` are used only if `fused`.
INLINE void backward_rows(const bool centred, const bool shifted, const bool fused, const tutti_norm *norm,
                          tutti_rows dout, tutti_rows x, tutti_rows dx, tutti_rows dbranch, float *sums,
                          tutti_range rows, int64_t columns) {
    if (rows.begin >= rows.end) return;
    const float *gamma = norm->gamma;
    tutti_dropout dropout = norm->dropout;
    int64_t sequence = dropout.keys ? sequence_of(dropout.offsets, dropout.sequences, rows.begin) : 0;
    for (int64_t t = rows.begin; t < rows.end; t++) {
        const float *g = dout.at + t * dout.stride, *row = x.at + t * x.stride;
        const float *carried = fused && norm->carried ? norm->carried + t * norm->carried_stride : NULL;
        float *to = dx.at + t * dx.stride, *branch = fused ? dbranch.at + t * dbranch.stride : NULL;
        float m = centred ? norm->mean[t] : 0.0f, s = norm->rstd[t];
        row_key key = dropout.keys ? key_of_row(&dropout, &sequence, t, columns) : no_key;
#define ROW(masked, carries)                                                                                           \
    backward_row(centred, shifted, fused, masked, carries, g, carried, row, m, s, gamma, key, &dropout, to, branch,    \
                 sums, columns)
        if (dropout.keys) {
            if (carried) ROW(true, true); else ROW(true, false);
        } else {
            if (carried) ROW(false, true); else ROW(false, false);
        }
#undef ROW
    }
}

INLINE void residual_backward(const tutti_norm *norm, tutti_rows dout, tutti_rows z, tutti_rows dresidual,
                              tutti_rows dbranch, float *sums, tutti_range rows, int64_t columns) {
#define RESIDUAL_BACKWARD(centred, shifted)                                                                            \
    backward_rows(centred, shifted, true, norm, dout, z, dresidual, dbranch, sums, rows, columns)
    EACH_NORM(norm->kind, RESIDUAL_BACKWARD)
}
TUTTI_KERNEL(tutti_residual_norm_backward, residual_backward,
             (const tutti_norm *norm, tutti_rows dout, tutti_rows z, tutti_rows dresidual, tutti_rows dbranch,
              float *sums, tutti_range rows, int64_t columns),
             (norm, dout, z, dresidual, dbranch, sums, rows, columns))

INLINE void backward(const tutti_norm *norm, tutti_rows dout, tutti_rows x, tutti_rows dx, float *sums,
                     tutti_range rows, int64_t columns) {
#define BACKWARD(centred, shifted) backward_rows(centred, shifted, false, norm, dout, x, dx, dx, sums, rows, columns)
    EACH_NORM(norm->kind, BACKWARD)
}
TUTTI_KERNEL(tutti_norm_backward, backward,
             (const tutti_norm *norm, tutti_rows dout, tutti_rows x, tutti_rows dx, float *sums, tutti_range rows,
              int64_t columns),
             (norm, dout, x, dx, sums, rows, columns))
