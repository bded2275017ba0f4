// Packed self-attention of one (sequence, head) pair after the other, forward and backward.
//
// Each pair packs its own operands (adding the QKV bias, scaling q, transposing k and, in backward, v), then every product
// is one micro-kernel: up to six rows times sixteen columns held in registers, a row element broadcast against a row of
// the right operand. Query rows go in blocks of 48 against all keys, so scores of one block are what must fit in cache.
// Scores are padded to whole vectors; padded columns get probability zero. Backward recomputes P = exp(score - lse):
//   Pd = P * mask;  dV = Pd^T dO;  dPd = dO V^T;  dS = P * (dPd * mask - dO . O);  dQ = scale dS K;  dK = dS^T (scale Q)
#include "vectorise.h"
#include <math.h>
#include <stdbool.h>

typedef float v8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef float v16 __attribute__((vector_size(64), aligned(4), may_alias));

enum { block = 48, most_rows = 6 };

/// c[rows, 16] (+)= a[rows, depth] b[depth, 16]; a is read at r * row_step + k * depth_step.
INLINE void tile(const int rows, const bool accumulate, const float *a, int64_t row_step, int64_t depth_step,
                 const float *b, int64_t b_stride, float *c, int64_t c_stride, int64_t depth) {
    FAST_MATH
    v16 sums[most_rows];
    const float *left[most_rows]; // one pointer a row: a shared one would chain six additions a step
    _Pragma("clang loop unroll(full)") for (int r = 0; r < rows; r++) {
        left[r] = a + r * row_step;
        if (accumulate) sums[r] = *(const v16 *)(c + r * c_stride); else sums[r] = (v16){0};
    }
    for (int64_t k = 0; k < depth; k++) {
        v16 right = *(const v16 *)(b + k * b_stride);
        _Pragma("clang loop unroll(full)") for (int r = 0; r < rows; r++) sums[r] += left[r][k * depth_step] * right;
    }
    _Pragma("clang loop unroll(full)") for (int r = 0; r < rows; r++) *(v16 *)(c + r * c_stride) = sums[r];
}

/// c[rows, columns] (+)= a[rows, depth] b[depth, columns]; columns a multiple of 16.
INLINE void product(const bool accumulate, const float *a, int64_t row_step, int64_t depth_step, const float *b,
                    int64_t b_stride, float *c, int64_t c_stride, int64_t rows, int64_t columns, int64_t depth) {
    for (int64_t n = 0; n < columns; n += 16) {
        int64_t r = 0;
        for (; r + most_rows <= rows; r += most_rows) {
            tile(most_rows, accumulate, a + r * row_step, row_step, depth_step, b + n, b_stride, c + r * c_stride + n,
                 c_stride, depth);
        }
        const float *rest = a + r * row_step;
        float *to = c + r * c_stride + n;
        switch (rows - r) {
        case 5: tile(5, accumulate, rest, row_step, depth_step, b + n, b_stride, to, c_stride, depth); break;
        case 4: tile(4, accumulate, rest, row_step, depth_step, b + n, b_stride, to, c_stride, depth); break;
        case 3: tile(3, accumulate, rest, row_step, depth_step, b + n, b_stride, to, c_stride, depth); break;
        case 2: tile(2, accumulate, rest, row_step, depth_step, b + n, b_stride, to, c_stride, depth); break;
        case 1: tile(1, accumulate, rest, row_step, depth_step, b + n, b_stride, to, c_stride, depth); break;
        default: break;
        }
    }
}

/// to[rows, padded] = (from + bias) * factor, zero beyond `width` columns.
INLINE void pack(const float *from, int64_t stride, const float *bias, float factor, float *to, int64_t rows,
                 int64_t width, int64_t padded) {
    FAST_MATH
    for (int64_t r = 0; r < rows; r++) {
        const float *row = from + r * stride;
        float *out = to + r * padded;
        if (bias) {
            for (int64_t e = 0; e < width; e += 8) {
                *(v8 *)(out + e) = (*(const v8 *)(row + e) + *(const v8 *)(bias + e)) * factor;
            }
        } else {
            for (int64_t e = 0; e < width; e += 8) *(v8 *)(out + e) = *(const v8 *)(row + e) * factor;
        }
        if (padded > width) *(v8 *)(out + width) = (v8){0};
    }
}

#define INTERLEAVE_LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define INTERLEAVE_HIGH(a, b) __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define PAIRS_LOW(a, b) __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define PAIRS_HIGH(a, b) __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#define HALVES_LOW(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11)
#define HALVES_HIGH(a, b) __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15)

/// to[width, to_stride] = from[rows, padded] transposed in 8 x 8 blocks; columns up to `padded_rows` are zeroed.
INLINE void transpose(const float *from, int64_t padded, float *to, int64_t to_stride, int64_t rows, int64_t width,
                      int64_t padded_rows) {
    for (int64_t j = 0; j < padded_rows; j += 8) {
        for (int64_t e = 0; e < width; e += 8) {
            v8 x[8];
            _Pragma("clang loop unroll(full)") for (int r = 0; r < 8; r++) {
                if (j + r < rows) x[r] = *(const v8 *)(from + (j + r) * padded + e); else x[r] = (v8){0};
            }
            v8 a0 = INTERLEAVE_LOW(x[0], x[1]), a1 = INTERLEAVE_HIGH(x[0], x[1]);
            v8 a2 = INTERLEAVE_LOW(x[2], x[3]), a3 = INTERLEAVE_HIGH(x[2], x[3]);
            v8 a4 = INTERLEAVE_LOW(x[4], x[5]), a5 = INTERLEAVE_HIGH(x[4], x[5]);
            v8 a6 = INTERLEAVE_LOW(x[6], x[7]), a7 = INTERLEAVE_HIGH(x[6], x[7]);
            v8 b0 = PAIRS_LOW(a0, a2), b1 = PAIRS_HIGH(a0, a2), b2 = PAIRS_LOW(a1, a3), b3 = PAIRS_HIGH(a1, a3);
            v8 b4 = PAIRS_LOW(a4, a6), b5 = PAIRS_HIGH(a4, a6), b6 = PAIRS_LOW(a5, a7), b7 = PAIRS_HIGH(a5, a7);
            float *out = to + e * to_stride + j;
            *(v8 *)(out + 0 * to_stride) = HALVES_LOW(b0, b4);
            *(v8 *)(out + 1 * to_stride) = HALVES_LOW(b1, b5);
            *(v8 *)(out + 2 * to_stride) = HALVES_LOW(b2, b6);
            *(v8 *)(out + 3 * to_stride) = HALVES_LOW(b3, b7);
            *(v8 *)(out + 4 * to_stride) = HALVES_HIGH(b0, b4);
            *(v8 *)(out + 5 * to_stride) = HALVES_HIGH(b1, b5);
            *(v8 *)(out + 6 * to_stride) = HALVES_HIGH(b2, b6);
            *(v8 *)(out + 7 * to_stride) = HALVES_HIGH(b3, b7);
        }
    }
}

/// Asks for head `head`'s share of the next sequence's rows: heads read slices of a row far apart, which the hardware
/// does not foresee.
INLINE void prefetch_next(const int32_t *offsets, int64_t sequence, const float *rows, int64_t stride, int64_t head,
                          int64_t heads) {
    int64_t count = (offsets[sequence + 2] - offsets[sequence + 1]) * stride;
    const float *from = rows + offsets[sequence + 1] * stride;
    for (int64_t i = count * head / heads; i < count * (head + 1) / heads; i += 16) __builtin_prefetch(from + i, 0, 2);
}

/// Sizes of one pair's packed operands.
typedef struct {
    int64_t length, padded_length; // L, and L rounded up to whole vectors
    int64_t score_stride;          // kept off multiples of 512 bytes, which would fall into few cache sets
    int64_t width, padded_width;
} shape;

INLINE shape shape_of(int64_t length, int64_t width) {
    shape s;
    s.length = length;
    s.padded_length = (length + 15) / 16 * 16;
    s.score_stride = s.padded_length % 128 == 0 ? s.padded_length + 16 : s.padded_length;
    s.width = width;
    s.padded_width = (width + 15) / 16 * 16;
    return s;
}

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
INLINE void gradient_row(const shape *s, const mask *m, int64_t i, float lse, float delta, float *row, float *gradient) {
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

/// to[rows, width] (strided) = from[rows, padded] * factor.
INLINE void unpack(const float *from, int64_t padded, float factor, float *to, int64_t stride, int64_t rows,
                   int64_t width) {
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t e = 0; e < width; e += 8) *(v8 *)(to + r * stride + e) = *(const v8 *)(from + r * padded + e) * factor;
    }
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
