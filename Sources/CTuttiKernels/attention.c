// Packed self-attention of one (sequence, head) pair after the other, forward and backward.
//
// Each pair packs its own operands (adding the QKV bias, scaling q, transposing k and, in backward, v); the products are
// those of attention_tiles.h. Query rows go in blocks of 48 against all keys, so scores of one block are what must fit in
// cache. Scores are padded to whole vectors; padded columns get probability zero. Backward recomputes
// P = exp(score - lse):
//   Pd = P * mask;  dV = Pd^T dO;  dPd = dO V^T;  dS = P * (dPd * mask - dO . O);  dQ = scale dS K;  dK = dS^T (scale Q)
#include "attention_tiles.h"
#include <math.h>

int64_t tutti_attention_scratch(int64_t longest, int64_t width) {
    shape s = shape_of(longest > 0 ? longest : 1, width);
    return 2 * s.padded_width * s.score_stride      // k and v transposed
        + 6 * s.length * s.padded_width             // q, k, v, dO, dK, dV
        + 2 * (int64_t)block * s.score_stride       // scores, score gradients
        + (int64_t)block * s.padded_width;          // context or dQ of a block
}

/// What dropout does to the probabilities of one head: the first element index, and the key's halves.
typedef struct {
    bool on;
    uint32_t base, low, high, threshold;
    float scale;
} mask;

INLINE mask mask_of(const tutti_attention *a, int64_t sequence, int64_t head, int64_t length) {
    mask m = {a->dropout.keys != NULL, (uint32_t)(head * length * length), 0, 0, a->dropout.threshold,
              a->dropout.scale};
    if (m.on) {
        m.low = (uint32_t)a->dropout.keys[sequence];
        m.high = (uint32_t)(a->dropout.keys[sequence] >> 32);
    }
    return m;
}

/// Adds the relative-position biases of query i to its scores.
INLINE void add_positions(const tutti_attention *a, int64_t head, int64_t i, float *row, int64_t length) {
    if (!a->positions) return;
    const float *table = a->positions + head * (2 * a->maximum - 1) + (a->maximum - 1 - i);
    VECTOR_LOOP
    for (int64_t j = 0; j < length; j++) row[j] += table[j];
}

/// scores -> probabilities (dropped out and scaled where a mask is on); returns the row's log-sum-exp.
INLINE float softmax_row(float *row, const shape *s, const mask *m, int64_t i) {
    FAST_MATH
    for (int64_t j = s->length; j < s->padded_length; j++) row[j] = -FLT_MAX;
    v16 best = *(const v16 *)row;
    for (int64_t j = 16; j < s->padded_length; j += 16) best = __builtin_elementwise_max(best, *(const v16 *)(row + j));
    float maximum = best[0];
    for (int k = 1; k < 16; k++) maximum = best[k] > maximum ? best[k] : maximum;
    float sum = 0.0f;
    VECTOR_LOOP
    for (int64_t j = 0; j < s->padded_length; j++) {
        float e = row[j] - maximum < -87.0f ? 0.0f : fast_exp(row[j] - maximum);
        row[j] = e;
        sum += e;
    }
    float inverse = 1.0f / sum;
    if (m->on) {
        uint32_t base = m->base + (uint32_t)(i * s->length), low = m->low, high = m->high, threshold = m->threshold;
        float factor = inverse * m->scale;
        VECTOR_LOOP
        for (int64_t j = 0; j < s->padded_length; j++) {
            row[j] = element_hash(low, high, base + (uint32_t)j) >= threshold ? row[j] * factor : 0.0f;
        }
    } else {
        VECTOR_LOOP
        for (int64_t j = 0; j < s->padded_length; j++) row[j] *= inverse;
    }
    return maximum + logf(sum);
}

TUTTI_CLONES
void tutti_attention_forward(const tutti_attention *a, float *ctx, int64_t ctx_stride, float *lse, float *scratch,
                             int64_t begin, int64_t end) {
    int64_t hidden = a->heads * a->width;
    for (int64_t pair = begin; pair < end; pair++) {
        int64_t sequence = pair / a->heads, head = pair % a->heads;
        int64_t first = a->offsets[sequence], length = a->offsets[sequence + 1] - first;
        if (length <= 0) continue;
        shape s = shape_of(length, a->width);
        mask m = mask_of(a, sequence, head, length);
        const float *from = a->qkv + first * a->qkv_stride + head * a->width;
        const float *bias = a->bias ? a->bias + head * a->width : NULL;
        if ((sequence + 1) * a->heads < end) {
            prefetch_next(a->offsets, sequence, a->qkv, a->qkv_stride, head, a->heads);
        }
        float *q = scratch, *v = q + length * s.padded_width, *k = v + length * s.padded_width;
        float *kt = k + length * s.padded_width, *scores = kt + s.padded_width * s.score_stride;
        float *out = scores + block * s.score_stride;
        pack(from, a->qkv_stride, bias, a->scale, q, length, s.width, s.padded_width);
        pack(from + hidden, a->qkv_stride, bias ? bias + hidden : NULL, 1.0f, k, length, s.width, s.padded_width);
        pack(from + 2 * hidden, a->qkv_stride, bias ? bias + 2 * hidden : NULL, 1.0f, v, length, s.width,
             s.padded_width);
        transpose(k, s.padded_width, kt, s.score_stride, length, s.width, s.padded_length);
        for (int64_t i0 = 0; i0 < length; i0 += block) {
            int64_t rows = length - i0 < block ? length - i0 : block;
            product(false, q + i0 * s.padded_width, s.padded_width, 1, kt, s.score_stride, scores, s.score_stride, rows,
                    s.padded_length, s.width);
            for (int64_t r = 0; r < rows; r++) {
                float *row = scores + r * s.score_stride;
                add_positions(a, head, i0 + r, row, length);
                float log_sum = softmax_row(row, &s, &m, i0 + r);
                if (lse) lse[(first + i0 + r) * a->heads + head] = log_sum;
            }
            product(false, scores, s.score_stride, 1, v, s.padded_width, out, s.padded_width, rows, s.padded_width,
                    length);
            float *to = ctx + (first + i0) * ctx_stride + head * a->width;
            for (int64_t r = 0; r < rows; r++) {
                for (int64_t e = 0; e < s.width; e += 8) {
                    *(v8 *)(to + r * ctx_stride + e) = *(const v8 *)(out + r * s.padded_width + e);
                }
            }
        }
    }
}

/// One row of backward: scores -> dropped-out probabilities, dPd -> score gradients.
INLINE void gradient_row(const shape *s, const mask *m, int64_t i, float lse, float delta, float *row,
                         float *gradient) {
    FAST_MATH
    if (m->on) {
        uint32_t base = m->base + (uint32_t)(i * s->length), low = m->low, high = m->high, threshold = m->threshold;
        float factor = m->scale;
        VECTOR_LOOP
        for (int64_t j = 0; j < s->padded_length; j++) {
            float kept = element_hash(low, high, base + (uint32_t)j) >= threshold ? factor : 0.0f;
            float p = row[j] - lse < -87.0f ? 0.0f : fast_exp(row[j] - lse);
            row[j] = p * kept;
            gradient[j] = p * (gradient[j] * kept - delta);
        }
    } else {
        VECTOR_LOOP
        for (int64_t j = 0; j < s->padded_length; j++) {
            float p = row[j] - lse < -87.0f ? 0.0f : fast_exp(row[j] - lse);
            row[j] = p;
            gradient[j] = p * (gradient[j] - delta);
        }
    }
}

/// dO . O of one row.
INLINE float inner(const float *x, const float *y, int64_t width) {
    FAST_MATH
    v8 sums = {0};
    for (int64_t e = 0; e < width; e += 8) sums += *(const v8 *)(x + e) * *(const v8 *)(y + e);
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

TUTTI_CLONES
void tutti_attention_backward(const tutti_attention *a, const float *ctx, int64_t ctx_stride, const float *lse,
                              const float *dctx, int64_t dctx_stride, float *dqkv, int64_t dqkv_stride,
                              float *dpositions, int64_t longest, float *scratch, int64_t begin, int64_t end) {
    int64_t hidden = a->heads * a->width;
    for (int64_t pair = begin; pair < end; pair++) {
        int64_t sequence = pair / a->heads, head = pair % a->heads;
        int64_t first = a->offsets[sequence], length = a->offsets[sequence + 1] - first;
        if (length <= 0) continue;
        shape s = shape_of(length, a->width);
        mask m = mask_of(a, sequence, head, length);
        int64_t packed = length * s.padded_width;
        const float *from = a->qkv + first * a->qkv_stride + head * a->width;
        const float *bias = a->bias ? a->bias + head * a->width : NULL;
        const float *out = ctx + first * ctx_stride + head * a->width;
        const float *dout = dctx + first * dctx_stride + head * a->width;
        float *to = dqkv + first * dqkv_stride + head * a->width;
        if ((sequence + 1) * a->heads < end) {
            prefetch_next(a->offsets, sequence, a->qkv, a->qkv_stride, head, a->heads);
            prefetch_next(a->offsets, sequence, ctx, ctx_stride, head, a->heads);
            prefetch_next(a->offsets, sequence, dctx, dctx_stride, head, a->heads);
        }
        float *q = scratch, *k = q + packed, *g = k + packed, *dk = g + packed, *dv = dk + packed;
        float *kt = dv + packed, *vt = kt + s.padded_width * s.score_stride;
        float *scores = vt + s.padded_width * s.score_stride, *gradients = scores + block * s.score_stride;
        float *dq = gradients + block * s.score_stride;
        pack(from, a->qkv_stride, bias, a->scale, q, length, s.width, s.padded_width);
        pack(from + hidden, a->qkv_stride, bias ? bias + hidden : NULL, 1.0f, k, length, s.width, s.padded_width);
        transpose(k, s.padded_width, kt, s.score_stride, length, s.width, s.padded_length);
        pack(from + 2 * hidden, a->qkv_stride, bias ? bias + 2 * hidden : NULL, 1.0f, g, length, s.width,
             s.padded_width); // v needs no packed form of its own: its place is dO's afterwards
        transpose(g, s.padded_width, vt, s.score_stride, length, s.width, s.padded_length);
        pack(dout, dctx_stride, NULL, 1.0f, g, length, s.width, s.padded_width);
        for (int64_t i0 = 0; i0 < length; i0 += block) {
            int64_t rows = length - i0 < block ? length - i0 : block;
            const float *query = q + i0 * s.padded_width, *gradient = g + i0 * s.padded_width;
            product(false, query, s.padded_width, 1, kt, s.score_stride, scores, s.score_stride, rows, s.padded_length,
                    s.width);
            product(false, gradient, s.padded_width, 1, vt, s.score_stride, gradients, s.score_stride, rows,
                    s.padded_length, s.width);
            for (int64_t r = 0; r < rows; r++) {
                int64_t i = i0 + r;
                float *row = scores + r * s.score_stride, *drow = gradients + r * s.score_stride;
                add_positions(a, head, i, row, length);
                for (int64_t j = length; j < s.padded_length; j++) row[j] = -FLT_MAX;
                gradient_row(&s, &m, i, lse[(first + i) * a->heads + head],
                             inner(out + i * ctx_stride, dout + i * dctx_stride, s.width), row, drow);
                if (dpositions) {
                    float *table = dpositions + head * (2 * longest - 1) + (longest - 1 - i);
                    VECTOR_LOOP
                    for (int64_t j = 0; j < length; j++) table[j] += drow[j];
                }
            }
            product(false, gradients, s.score_stride, 1, k, s.padded_width, dq, s.padded_width, rows, s.padded_width,
                    length);
            unpack(dq, s.padded_width, a->scale, to + i0 * dqkv_stride, dqkv_stride, rows, s.width);
            if (i0 == 0) {
                product(false, scores, 1, s.score_stride, gradient, s.padded_width, dv, s.padded_width, length,
                        s.padded_width, rows);
                product(false, gradients, 1, s.score_stride, query, s.padded_width, dk, s.padded_width, length,
                        s.padded_width, rows);
            } else {
                product(true, scores, 1, s.score_stride, gradient, s.padded_width, dv, s.padded_width, length,
                        s.padded_width, rows);
                product(true, gradients, 1, s.score_stride, query, s.padded_width, dk, s.padded_width, length,
                        s.padded_width, rows);
            }
        }
        unpack(dk, s.padded_width, 1.0f, to + hidden, dqkv_stride, length, s.width);
        unpack(dv, s.padded_width, 1.0f, to + 2 * hidden, dqkv_stride, length, s.width);
    }
}
