// The backward of attention at one instruction level; included after attention_forward.h.
//
// Probabilities are recomputed from the log-sum-exp. A block of queries that meets all its keys at once sums delta itself;
// where they come in tiles, delta is dO . O, before the first.

/// One vector of queries: scores -> probabilities after dropout, dPd -> score gradients. `index` is that of the first
/// key's probability; `known` = delta is given.
LEVEL_INLINE void LEVEL(softmax_gradient)(const bool masked, const bool known, float *scores, float *gradients,
                                          int64_t queries, int64_t keys, const mask *m, WORDS index, VECTOR log_sums,
                                          VECTOR delta) {
    float scale = masked ? m->scale : 1.0f;
    for (int64_t j = 0; j < keys; j++) {
        VECTOR *at = (VECTOR *)(scores + j * queries), *gradient = (VECTOR *)(gradients + j * queries);
        VECTOR p = LEVEL(exponential)(*at - log_sums);
        if (masked) { // the sign marks what is dropped
            WORDS keep = LEVEL(kept)(index, m);
            VECTOR dp = (VECTOR)((WORDS)(*gradient * scale) & keep);
            index += 1;
            if (known) {
                *gradient = p * (dp - delta);
                *at = (VECTOR)((WORDS)p & keep) * scale;
            } else {
                *gradient = dp;
                delta += p * dp;
                *at = (VECTOR)((WORDS)p | (~keep & 0x80000000U));
            }
        } else if (known) {
            *gradient = p * (*gradient - delta);
            *at = p;
        } else {
            delta += p * *gradient;
            *at = p;
        }
    }
    if (known) return;
    for (int64_t j = 0; j < keys; j++) {
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

/// table[j - i] += score gradients of queries i0 ..< i0 + rows.
LEVEL_INLINE void LEVEL(add_distances)(const float *gradients, int64_t queries, tutti_range keys, int64_t i0,
                                       int64_t rows, float *table) {
    for (int64_t j = keys.begin; j < keys.end; j++) {
        const float *row = gradients + (j - keys.begin) * queries;
        for (int64_t i = 0; i < rows; i++) table[j - i0 - i] += row[i];
    }
}

/// deltas[i] = dO . O of every query of a head.
LEVEL_INLINE void LEVEL(delta)(const float *o, int64_t o_stride, const float *g, int64_t g_stride, float *deltas,
                               int64_t length, int64_t width) {
    for (int64_t i = 0; i < length; i++) {
        v8 sum = {0};
        float rest = 0.0f;
        int64_t e = 0;
        for (; e + 8 <= width; e += 8) sum += *(const v8 *)(o + i * o_stride + e) * *(const v8 *)(g + i * g_stride + e);
        for (; e < width; e++) rest += o[i * o_stride + e] * g[i * g_stride + e];
        for (int k = 0; k < 8; k++) rest += sum[k];
        deltas[i] = rest;
    }
}

/// One head: dQ assigned; dK and dV (rows `stride` apart) accumulate, or are assigned if they are those of one block.
LEVEL_INLINE void LEVEL(backward_head)(const int64_t width, const tutti_attention *a, const LEVEL(places) *s,
                                       int64_t first, int64_t head, mask m, tutti_rows ctx, const float *lse,
                                       tutti_rows dctx, tutti_rows dq, float *dk, float *dv, int64_t stride, bool adds,
                                       float *table, ahead *next) {
    int64_t length = s->length;
    reach r = reach_of(a, length);
    const float *dout = dctx.at + first * dctx.stride + head * width;
    float *to = dq.at + first * dq.stride + head * a->step;
    LEVEL(pack)(a->q.at + first * a->q.stride + head * a->step, a->q.stride,
                a->query_bias ? a->query_bias + head * width : NULL, a->scale, s->q, s->padded, length, width);
    // dO of one block is read in place, if in whole vectors; a block's rows far apart would meet in the same cache sets.
    bool direct = width % LANES == 0 && length <= small_block;
    bool several = r.tile < length; // tiles: dQ is summed in packed rows
    float *sum = several ? s->dq : to;
    int64_t sum_stride = several ? s->padded : dq.stride;
    if (!direct) LEVEL(pack)(dout, dctx.stride, NULL, 1.0f, s->g, s->padded, length, width);
    const float *g = direct ? dout : s->g;
    int64_t g_stride = direct ? dctx.stride : s->padded;
    if (a->positions) LEVEL(turn_positions)(a, head, length, s->distances);
    LEVEL(relatives) relatives;
    if (a->relative) {
        relatives = LEVEL(relatives_of)(a, s->rest, length, head, width);
        memset(relatives.dkeys, 0, 4 * (size_t)(relatives.count * s->padded));
        memset(relatives.dqueries, 0, 4 * (size_t)(relatives.count * s->padded));
    }
    look_ahead(next, a, first, length, head, several ? &ctx : NULL, &dctx);
    if (several) {
        LEVEL(delta)(ctx.at + first * ctx.stride + head * width, ctx.stride, dout, dctx.stride, s->deltas, length,
                     width);
    }
    float factors[most_block];
    for (int i = 0; i < most_block; i++) factors[i] = a->scale;
    for (int64_t j0 = 0; j0 < length; j0 += r.tile) {
        int64_t tile = length - j0 < r.tile ? length - j0 : r.tile;
        if (a->relative) LEVEL(meet)(a, s, &relatives, j0, tile, true);
        for (int64_t i0 = 0, queries; i0 < length; i0 += queries) {
            queries = LEVEL(block_at)(i0, length, r.block);
            int64_t rows = length - i0 < queries ? length - i0 : queries;
            tutti_range seen = seen_by(r, i0, rows, length), keys = in_tile(seen, j0, r.tile);
            if (keys.begin >= keys.end) continue;
            bool starts = keys.begin == seen.begin, alone = starts && keys.end == seen.end;
            int64_t count = keys.end - keys.begin, from = keys.begin * s->padded, into = keys.begin * stride;
            prefetch_part(next);
            for (int64_t i = 0; i < queries; i += LANES) {
                LEVEL(transpose)(s->q + (i0 + i) * s->padded, s->padded, NULL, 1.0f, s->across_q + i, queries,
                                 rows - i, width);
                LEVEL(transpose)(g + (i0 + i) * g_stride, g_stride, NULL, 1.0f, s->across_g + i, queries, rows - i,
                                 width);
            }
            prefetch_part(next);
            LEVEL(score)(a, s, i0, queries, keys);
            if (a->relative) LEVEL(add_relatives)(a, s, &relatives, i0, queries, rows, j0, keys);
            LEVEL(hide)(r, s->scores, i0, queries, keys);
            prefetch_part(next);
            small_product p = {s->v + from, s->padded, s->across_g, queries, s->gradients, queries, count, queries,
                               width, NULL, false};
            LEVEL(product_of_rows)(&p);
            prefetch_part(next);
            float log_sums[most_block] = {0};
            memcpy(log_sums, lse + first * a->heads + head * length + i0, 4 * (size_t)rows);
            for (int64_t i = 0; i < queries; i += LANES) {
                VECTOR sums = *(const VECTOR *)(log_sums + i);
                VECTOR delta = alone ? (VECTOR){0} : *(const VECTOR *)(s->deltas + i0 + i);
                float *scores = s->scores + i, *gradients = s->gradients + i;
                WORDS index = m.on ? LEVEL(indices)(&m, i0 + i, keys.begin, length) : (WORDS){0};
#define GRADIENT(masked, known)                                                                                        \
    LEVEL(softmax_gradient)(masked, known, scores, gradients, queries, count, &m, index, sums, delta)
                if (m.on) {
                    if (alone) GRADIENT(true, false); else GRADIENT(true, true);
                } else {
                    if (alone) GRADIENT(false, false); else GRADIENT(false, true);
                }
#undef GRADIENT
            }
            prefetch_part(next);
            if (table) LEVEL(add_distances)(s->gradients, queries, keys, i0, rows, table);
            small_product queried = {s->gradients, queries, s->k + from, s->padded, sum + i0 * sum_stride,
                                     sum_stride, rows, width, count, several ? NULL : factors, !starts,
                                     band_of_keys(r, i0, keys, length)};
            prefetch_part(next);
            LEVEL(product_of_columns)(&queried);
            if (a->relative) {
                LEVEL(relatives_backward)(a, s, &relatives, i0, queries, rows, j0, keys, several ? NULL : factors,
                                          sum + i0 * sum_stride, sum_stride);
            }
            tutti_range seeing = band_of_queries(r, i0, keys, length);
            small_product key = {s->gradients, queries, s->q + i0 * s->padded, s->padded, dk + into, stride, count,
                                 width, rows, NULL, adds, seeing};
            LEVEL(product_of_rows)(&key);
            small_product value = {s->scores, queries, g + i0 * g_stride, g_stride, dv + into, stride, count, width,
                                   rows, NULL, adds, seeing};
            prefetch_part(next);
            LEVEL(product_of_rows)(&value);
        }
        if (a->relative) LEVEL(meet_backward)(a, s, &relatives, j0, tile, dk + j0 * stride, stride);
    }
    if (several) LEVEL(pack)(s->dq, s->padded, NULL, a->scale, to, dq.stride, length, width);
    if (a->relative) LEVEL(add_relative_gradients)(a, &relatives, s->padded, head, width);
}

LEVEL_INLINE void LEVEL(backward_pairs)(const int64_t width, const tutti_attention *a, tutti_rows ctx,
                                        const float *lse, tutti_rows dctx, tutti_attention_gradient d,
                                        float *dpositions, int64_t longest, float *scratch, tutti_range pairs) {
    int64_t group = a->heads / a->key_heads;
    for (int64_t pair = pairs.begin; pair < pairs.end; pair++) {
        int64_t sequence = pair / a->key_heads, own = pair % a->key_heads;
        int64_t first = a->offsets[sequence], length = a->offsets[sequence + 1] - first;
        if (length <= 0) continue;
        LEVEL(places) s = LEVEL(places_in)(scratch, length, width);
        ahead next = ahead_of(a, sequence, own, pairs.end, 6, &dctx);
        LEVEL(pack)(a->k.at + first * a->k.stride + own * a->step, a->k.stride,
                    a->key_bias ? a->key_bias + own * width : NULL, 1.0f, s.k, s.padded, length, width);
        LEVEL(pack)(a->v.at + first * a->v.stride + own * a->step, a->v.stride,
                    a->value_bias ? a->value_bias + own * width : NULL, 1.0f, s.v, s.padded, length, width);
        float *to_k = d.k.at + first * d.k.stride + own * a->step, *to_v = d.v.at + first * d.v.stride + own * a->step;
        // One block of one head writes the gradients of keys itself; sums over several are kept packed.
        bool whole = group == 1 && d.k.stride == d.v.stride && length <= reach_of(a, length).block;
        float *dk = whole ? to_k : s.dk, *dv = whole ? to_v : s.dv;
        if (!whole) {
            memset(s.dk, 0, 4 * (size_t)(length * s.padded));
            memset(s.dv, 0, 4 * (size_t)(length * s.padded));
        }
        for (int64_t head = own * group; head < (own + 1) * group; head++) {
            float *table = dpositions ? dpositions + head * (2 * longest - 1) + longest - 1 : NULL;
            LEVEL(backward_head)(width, a, &s, first, head, mask_of(a, sequence, head, length), ctx, lse, dctx, d.q,
                                 dk, dv, whole ? d.k.stride : s.padded, !whole, table, &next);
        }
        if (!whole) {
            LEVEL(pack)(s.dk, s.padded, NULL, 1.0f, to_k, d.k.stride, length, width);
            LEVEL(pack)(s.dv, s.padded, NULL, 1.0f, to_v, d.v.stride, length, width);
        }
    }
}

LEVEL_TARGET
static void LEVEL(backward)(const tutti_attention *a, tutti_rows ctx, const float *lse, tutti_rows dctx,
                            tutti_attention_gradient d, float *dpositions, int64_t longest, float *scratch,
                            tutti_range pairs) {
#define BACKWARD(width)                                                                                                \
    LEVEL(backward_pairs)(width, a, ctx, lse, dctx, d, dpositions, longest, scratch, pairs)
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
#undef INTEGERS
