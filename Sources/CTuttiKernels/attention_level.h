// Attention of (sequence, head) pairs, one by one, at one instruction level; included after attention_tile.h.
//
// Scores are stored transposed, [keys, queries of a block]: a lane is a query, so that maximum, sum and the row's
// factors are plain vector operations, and keys need no padding. Lanes beyond the last query are never read.

/// The operands of a pair in its thread's scratch.
typedef struct {
    int64_t length, width;             // L, E
    int64_t padded;                    // E rounded up to whole vectors: the stride of packed rows
    float *q, *k, *v, *g;              // packed rows: queries, keys, values, context gradients
    float *dk, *dv;                    // sums over blocks of queries
    float *across_q, *across_g;        // [E, queries of a block]: scaled queries, context gradients
    float *scores, *gradients;         // [L, queries of a block]
    float *distances;                  // relative-position biases of this head, by i - j + L - 1
} LEVEL(places);

LEVEL_INLINE LEVEL(places) LEVEL(places_in)(float *scratch, int64_t length, int64_t width) {
    LEVEL(places) s;
    s.length = length;
    s.width = width;
    s.padded = (width + most_lanes - 1) / most_lanes * most_lanes;
    int64_t rows = (length + most_rows) * s.padded;
    s.q = scratch, s.k = s.q + rows, s.v = s.k + rows, s.g = s.v + rows, s.dk = s.g + rows, s.dv = s.dk + rows;
    s.across_q = s.dv + rows, s.across_g = s.across_q + width * block;
    s.scores = s.across_g + width * block, s.gradients = s.scores + (length + most_rows) * block;
    s.distances = s.gradients + (length + most_rows) * block;
    return s;
}

/// Queries of the block that starts at i: whole vectors, of even sizes.
LEVEL_INLINE int64_t LEVEL(block_at)(int64_t i, int64_t length) {
    int64_t vectors = (length - i + LANES - 1) / LANES;
    return LANES * (vectors <= TILE_VECTORS ? vectors : vectors == 4 && TILE_VECTORS == 3 ? 2 : TILE_VECTORS);
}

/// Relative-position biases in the order in which lanes read them; zero if only lanes without a query do.
LEVEL_INLINE void LEVEL(turn_positions)(const tutti_attention *a, int64_t head, int64_t length, float *to) {
    const float *last = a->positions + head * (2 * a->maximum - 1) + a->maximum - 1 + length - 1;
    for (int64_t d = 0; d < 2 * length - 1; d++) to[d] = last[-d];
    for (int64_t d = 0; d < LANES; d++) to[2 * length - 1 + d] = 0.0f;
}

/// scores [L, queries] of the block at i0: (scale Q) K^T transposed, with relative positions.
LEVEL_INLINE void LEVEL(score)(const tutti_attention *a, const LEVEL(places) *s, int64_t i0, int64_t queries) {
    small_product p = {s->k, s->padded, s->across_q, queries, s->scores, queries, s->length, queries, s->width, NULL,
                       false};
    LEVEL(product_of_rows)(&p);
    if (!a->positions) return;
    for (int64_t j = 0; j < s->length; j++) {
        for (int64_t i = 0; i < queries; i += LANES) {
            *(VECTOR *)(s->scores + j * queries + i) += *(const VECTOR *)(s->distances + i0 + i - j + s->length - 1);
        }
    }
}

/// Index of probability (i0 + lane, 0) plus the key's low half.
LEVEL_INLINE WORDS LEVEL(indices)(const mask *m, int64_t i0, int64_t length) {
    WORDS first;
    EACH for (int lane = 0; lane < LANES; lane++) first[lane] = (uint32_t)lane;
    return (first + (uint32_t)i0) * (uint32_t)length + (m->base + m->low);
}

/// One vector of queries: scores -> exponentials, zero if dropped; `factors` normalizes them, `log_sums` = lse.
LEVEL_INLINE void LEVEL(softmax)(const bool masked, float *scores, int64_t queries, int64_t length, const mask *m,
                                 int64_t i0, float *factors, float *log_sums) {
    VECTOR best = *(const VECTOR *)scores, other = best;
    int64_t j = 1;
    for (; j + 1 < length; j += 2) {
        best = __builtin_elementwise_max(best, *(const VECTOR *)(scores + j * queries));
        other = __builtin_elementwise_max(other, *(const VECTOR *)(scores + (j + 1) * queries));
    }
    if (j < length) best = __builtin_elementwise_max(best, *(const VECTOR *)(scores + j * queries));
    best = __builtin_elementwise_max(best, other);
    VECTOR sum = {0};
    WORDS index = masked ? LEVEL(indices)(m, i0, length) : (WORDS){0};
    for (int64_t j0 = 0; j0 < length; j0 += few_keys) { // sums of sums, for accuracy in long rows
        int64_t end = length - j0 < few_keys ? length : j0 + few_keys;
        VECTOR part = {0};
        for (j = j0; j < end; j++) {
            VECTOR *at = (VECTOR *)(scores + j * queries);
            VECTOR e = LEVEL(exponential)(*at - best);
            part += e;
            *at = masked ? (VECTOR)((WORDS)e & LEVEL(kept)(index, m)) : e;
            index += 1;
        }
        sum += part;
    }
    *(VECTOR *)factors = (masked ? m->scale : 1.0f) / sum;
    *(VECTOR *)log_sums = best + LEVEL(logarithm)(sum);
}

LEVEL_INLINE void LEVEL(forward_heads)(const int64_t width, const tutti_attention *a, tutti_rows ctx, float *lse,
                                       float *scratch, tutti_range pairs) {
    int64_t hidden = a->heads * width, qkv_stride = a->qkv.stride;
    for (int64_t pair = pairs.begin; pair < pairs.end; pair++) {
        int64_t sequence = pair / a->heads, head = pair % a->heads;
        int64_t first = a->offsets[sequence], length = a->offsets[sequence + 1] - first;
        if (length <= 0) continue;
        LEVEL(places) s = LEVEL(places_in)(scratch, length, width);
        mask m = mask_of(a, sequence, head, length);
        const float *from = a->qkv.at + first * qkv_stride + head * width;
        const float *bias = a->bias ? a->bias + head * width : NULL;
        ahead next = ahead_of(a, sequence, head, pairs.end, 5, NULL);
        LEVEL(pack)(from + hidden, qkv_stride, NULL, 1.0f, s.k, s.padded, length, width);
        LEVEL(pack)(from + 2 * hidden, qkv_stride, bias ? bias + 2 * hidden : NULL, 1.0f, s.v, s.padded, length,
                    width);
        if (a->positions) LEVEL(turn_positions)(a, head, length, s.distances);
        for (int64_t i0 = 0, queries; i0 < length; i0 += queries) {
            queries = LEVEL(block_at)(i0, length);
            int64_t rows = length - i0 < queries ? length - i0 : queries;
            prefetch_part(&next);
            for (int64_t i = 0; i < queries; i += LANES) {
                LEVEL(transpose)(from + (i0 + i) * qkv_stride, qkv_stride, bias, a->scale, s.across_q + i,
                                 queries, rows - i, width);
            }
            prefetch_part(&next);
            LEVEL(score)(a, &s, i0, queries);
            prefetch_part(&next);
            float factors[block], log_sums[block];
            for (int64_t i = 0; i < queries; i += LANES) {
                if (m.on) {
                    LEVEL(softmax)(true, s.scores + i, queries, length, &m, i0 + i, factors + i, log_sums + i);
                } else {
                    LEVEL(softmax)(false, s.scores + i, queries, length, &m, i0 + i, factors + i, log_sums + i);
                }
            }
            prefetch_part(&next);
            if (lse) memcpy(lse + first * a->heads + head * length + i0, log_sums, 4 * (size_t)rows);
            small_product p = {s.scores, queries, s.v, s.padded, ctx.at + (first + i0) * ctx.stride + head * width,
                               ctx.stride, rows, width, length, factors, false};
            LEVEL(product_of_columns)(&p);
            prefetch_part(&next);
        }
    }
}

LEVEL_TARGET
static void LEVEL(forward)(const tutti_attention *a, tutti_rows ctx, float *lse, float *scratch, tutti_range pairs) {
#define FORWARD(width) LEVEL(forward_heads)(width, a, ctx, lse, scratch, pairs)
    if (a->width == 32) FORWARD(32); else if (a->width == 64) FORWARD(64); else FORWARD(a->width);
#undef FORWARD
}

/// One vector of queries of backward: scores -> probabilities after dropout, dPd -> score gradients.
LEVEL_INLINE void LEVEL(softmax_gradient)(const bool masked, float *scores, float *gradients, int64_t queries,
                                          int64_t length, const mask *m, int64_t i0, VECTOR log_sums) {
    VECTOR delta = {0}; // the sum of Pd * dPd of a query
    float scale = masked ? m->scale : 1.0f;
    WORDS index = masked ? LEVEL(indices)(m, i0, length) : (WORDS){0};
    for (int64_t j = 0; j < length; j++) {
        VECTOR *at = (VECTOR *)(scores + j * queries), *gradient = (VECTOR *)(gradients + j * queries);
        VECTOR p = LEVEL(exponential)(*at - log_sums);
        if (masked) { // the sign marks what is dropped
            WORDS keep = LEVEL(kept)(index, m);
            *gradient = (VECTOR)((WORDS)(*gradient * scale) & keep);
            delta += p * *gradient;
            *at = (VECTOR)((WORDS)p | (~keep & 0x80000000U));
            index += 1;
        } else {
            delta += p * *gradient;
            *at = p;
        }
    }
    for (int64_t j = 0; j < length; j++) {
        VECTOR *at = (VECTOR *)(scores + j * queries), *gradient = (VECTOR *)(gradients + j * queries);
        VECTOR p = *at;
        if (masked) {
            *gradient = __builtin_elementwise_abs(p) * (*gradient - delta);
            *at = __builtin_elementwise_max(p, (VECTOR){0}) * scale;
        } else {
            *gradient = p * (*gradient - delta);
        }
    }
}

/// table[j - i] += score gradients of queries i0 ..< i0 + rows; a sliding window of sums moves with j.
LEVEL_INLINE void LEVEL(add_distances)(const float *gradients, int64_t queries, int64_t length, int64_t i0,
                                       int64_t rows, float *table) {
    for (int64_t j = 0; j < length; j++) {
        for (int64_t i = 0; i < rows; i++) table[j - i0 - i] += gradients[j * queries + i];
    }
}

LEVEL_INLINE void LEVEL(backward_heads)(const int64_t width, const tutti_attention *a, const float *lse,
                                        tutti_rows dctx, tutti_rows dqkv, float *dpositions, int64_t longest,
                                        float *scratch, tutti_range pairs) {
    int64_t hidden = a->heads * width, qkv_stride = a->qkv.stride;
    for (int64_t pair = pairs.begin; pair < pairs.end; pair++) {
        int64_t sequence = pair / a->heads, head = pair % a->heads;
        int64_t first = a->offsets[sequence], length = a->offsets[sequence + 1] - first;
        if (length <= 0) continue;
        LEVEL(places) s = LEVEL(places_in)(scratch, length, width);
        mask m = mask_of(a, sequence, head, length);
        const float *from = a->qkv.at + first * qkv_stride + head * width;
        const float *bias = a->bias ? a->bias + head * width : NULL;
        const float *dout = dctx.at + first * dctx.stride + head * width;
        float *to = dqkv.at + first * dqkv.stride + head * width;
        ahead next = ahead_of(a, sequence, head, pairs.end, 6, &dctx);
        LEVEL(pack)(from, qkv_stride, bias, a->scale, s.q, s.padded, length, width);
        LEVEL(pack)(from + hidden, qkv_stride, NULL, 1.0f, s.k, s.padded, length, width);
        LEVEL(pack)(from + 2 * hidden, qkv_stride, bias ? bias + 2 * hidden : NULL, 1.0f, s.v, s.padded, length,
                    width);
        bool direct = width % LANES == 0; // dO is read in place, if in whole vectors
        if (!direct) LEVEL(pack)(dout, dctx.stride, NULL, 1.0f, s.g, s.padded, length, width);
        const float *g = direct ? dout : s.g;
        int64_t g_stride = direct ? dctx.stride : s.padded;
        if (a->positions) LEVEL(turn_positions)(a, head, length, s.distances);
        bool whole = LEVEL(block_at)(0, length) >= length; // else keys' sums over blocks are kept packed
        float *dk = whole ? to + hidden : s.dk, *dv = whole ? to + 2 * hidden : s.dv;
        int64_t stride = whole ? dqkv.stride : s.padded;
        float factors[block];
        for (int i = 0; i < block; i++) factors[i] = a->scale;
        for (int64_t i0 = 0, queries; i0 < length; i0 += queries) {
            queries = LEVEL(block_at)(i0, length);
            int64_t rows = length - i0 < queries ? length - i0 : queries;
            prefetch_part(&next);
            for (int64_t i = 0; i < queries; i += LANES) {
                LEVEL(transpose)(s.q + (i0 + i) * s.padded, s.padded, NULL, 1.0f, s.across_q + i, queries, rows - i,
                                 width);
                LEVEL(transpose)(g + (i0 + i) * g_stride, g_stride, NULL, 1.0f, s.across_g + i, queries, rows - i,
                                 width);
            }
            prefetch_part(&next);
            LEVEL(score)(a, &s, i0, queries);
            prefetch_part(&next);
            small_product p = {s.v, s.padded, s.across_g, queries, s.gradients, queries, length, queries, width, NULL,
                               false};
            LEVEL(product_of_rows)(&p);
            prefetch_part(&next);
            float log_sums[block] = {0};
            memcpy(log_sums, lse + first * a->heads + head * length + i0, 4 * (size_t)rows);
            for (int64_t i = 0; i < queries; i += LANES) {
                VECTOR sums = *(const VECTOR *)(log_sums + i);
                float *scores = s.scores + i, *gradients = s.gradients + i;
                if (m.on) {
                    LEVEL(softmax_gradient)(true, scores, gradients, queries, length, &m, i0 + i, sums);
                } else {
                    LEVEL(softmax_gradient)(false, scores, gradients, queries, length, &m, i0 + i, sums);
                }
            }
            if (dpositions) {
                LEVEL(add_distances)(s.gradients, queries, length, i0, rows,
                                     dpositions + head * (2 * longest - 1) + longest - 1);
            }
            small_product dq = {s.gradients, queries, s.k, s.padded, to + i0 * dqkv.stride, dqkv.stride, rows, width,
                                length, factors, false};
            prefetch_part(&next);
            LEVEL(product_of_columns)(&dq);
            small_product keys = {s.gradients, queries, s.q + i0 * s.padded, s.padded, dk, stride, length, width, rows,
                                  NULL, i0 > 0};
            LEVEL(product_of_rows)(&keys);
            small_product values = {s.scores, queries, g + i0 * g_stride, g_stride, dv, stride, length, width, rows,
                                    NULL, i0 > 0};
            prefetch_part(&next);
            LEVEL(product_of_rows)(&values);
        }
        if (!whole) {
            LEVEL(pack)(dk, s.padded, NULL, 1.0f, to + hidden, dqkv.stride, length, width);
            LEVEL(pack)(dv, s.padded, NULL, 1.0f, to + 2 * hidden, dqkv.stride, length, width);
        }
    }
}

LEVEL_TARGET
static void LEVEL(backward)(const tutti_attention *a, const float *lse, tutti_rows dctx, tutti_rows dqkv,
                            float *dpositions, int64_t longest, float *scratch, tutti_range pairs) {
#define BACKWARD(width)                                                                                                \
    LEVEL(backward_heads)(width, a, lse, dctx, dqkv, dpositions, longest, scratch, pairs)
    if (a->width == 32) BACKWARD(32); else if (a->width == 64) BACKWARD(64); else BACKWARD(a->width);
#undef BACKWARD
}
#undef LEVEL
#undef LEVEL_TARGET
#undef LEVEL_INLINE
#undef LANES
#undef TILE_ROWS
#undef TILE_VECTORS
#undef PICK
#undef VECTOR
#undef WORDS
