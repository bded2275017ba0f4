// The forward of attention at one instruction level; included after attention_level.h.
//
// A block of queries usually meets all the keys it sees at once. In long sequences it meets them tile by tile: maximum
// and sum of a query are carried on, and its context so far is scaled where the maximum grows.

LEVEL_INLINE VECTOR LEVEL(larger)(VECTOR x, VECTOR y) { // one instruction; NaN goes on through the exponentials
    WORDS over = (WORDS)(x > y);
    return (VECTOR)(((WORDS)x & over) | ((WORDS)y & ~over));
}

LEVEL_INLINE VECTOR LEVEL(maximum)(const float *scores, int64_t queries, int64_t keys) {
    VECTOR best = *(const VECTOR *)scores, other = best;
    int64_t j = 1;
    for (; j + 1 < keys; j += 2) {
        best = LEVEL(larger)(*(const VECTOR *)(scores + j * queries), best);
        other = LEVEL(larger)(*(const VECTOR *)(scores + (j + 1) * queries), other);
    }
    if (j < keys) best = LEVEL(larger)(*(const VECTOR *)(scores + j * queries), best);
    return LEVEL(larger)(best, other);
}

/// One vector of queries: scores -> exponentials, zero if dropped; returns the sum of all. `index` is that of the first
/// key's probability.
LEVEL_INLINE VECTOR LEVEL(exponentials)(const bool masked, float *scores, int64_t queries, int64_t keys, const mask *m,
                                        WORDS index, VECTOR best) {
    VECTOR sum = {0};
    for (int64_t j0 = 0; j0 < keys; j0 += few_keys) { // sums of sums, for accuracy in long rows
        int64_t end = keys - j0 < few_keys ? keys : j0 + few_keys;
        VECTOR part = {0};
        for (int64_t j = j0; j < end; j++) {
            VECTOR *at = (VECTOR *)(scores + j * queries);
            VECTOR e = LEVEL(exponential)(*at - best);
            part += e;
            *at = masked ? (VECTOR)((WORDS)e & LEVEL(kept)(index, m)) : e;
            index += 1;
        }
        sum += part;
    }
    return sum;
}

/// The softmax of the block's queries over a tile of keys. If it is the first, (best, sums) start with it, else they are
/// carried on, and `kept` is what the context so far is multiplied by.
LEVEL_INLINE void LEVEL(softmax)(const bool masked, const LEVEL(places) *s, int64_t i0, int64_t queries,
                                 tutti_range keys, const mask *m, bool first, float *best, float *sums, float *kept) {
    for (int64_t i = 0; i < queries; i += LANES) {
        float *scores = s->scores + i;
        int64_t count = keys.end - keys.begin;
        VECTOR top = LEVEL(maximum)(scores, queries, count), *old = (VECTOR *)(best + i), *sum = (VECTOR *)(sums + i);
        WORDS index = masked ? LEVEL(indices)(m, i0 + i, keys.begin, s->length) : (WORDS){0};
        if (!first) top = LEVEL(larger)(top, *old);
        VECTOR own = LEVEL(exponentials)(masked, scores, queries, count, m, index, top);
        if (first) {
            *sum = own;
        } else {
            VECTOR factor = LEVEL(exponential)(*old - top);
            *(VECTOR *)(kept + i) = factor;
            *sum = *sum * factor + own;
        }
        *old = top;
    }
}

/// The block of queries at i0 meets the tile of keys at j0; contexts of several tiles are summed in s->g, from row i0 -
/// begin.
LEVEL_INLINE void LEVEL(forward_block)(const int64_t width, const tutti_attention *a, const LEVEL(places) *s, reach r,
                                       const LEVEL(relatives) *relatives, int64_t first, int64_t head, int64_t begin,
                                       int64_t i0, int64_t j0, const mask *m, tutti_rows ctx, float *lse,
                                       ahead *next) {
    int64_t length = s->length, queries = LEVEL(block_at)(i0, length, r.block);
    int64_t rows = length - i0 < queries ? length - i0 : queries;
    tutti_range seen = seen_by(r, i0, rows, length), keys = in_tile(seen, j0, r.tile);
    if (keys.begin >= keys.end) return;
    bool starts = keys.begin == seen.begin, ends = keys.end == seen.end, alone = starts && ends;
    prefetch_part(next);
    if (starts || a->relative) {
        const float *from = a->q.at + (first + i0) * a->q.stride + head * a->step;
        const float *bias = a->query_bias ? a->query_bias + head * width : NULL;
        for (int64_t i = 0; i < queries; i += LANES) {
            LEVEL(transpose)(from + i * a->q.stride, a->q.stride, bias, a->scale, s->across_q + i, queries, rows - i,
                             width);
        }
    }
    prefetch_part(next);
    LEVEL(score)(a, s, i0, queries, keys);
    if (a->relative) LEVEL(add_relatives)(a, s, relatives, i0, queries, rows, j0, keys);
    LEVEL(hide)(r, s->scores, i0, queries, keys);
    prefetch_part(next);
    float own_best[most_block], own_sums[most_block], factors[most_block];
    float *best = alone ? own_best : s->best + i0, *sums = alone ? own_sums : s->sums + i0;
    if (m->on) {
        LEVEL(softmax)(true, s, i0, queries, keys, m, starts, best, sums, factors);
    } else {
        LEVEL(softmax)(false, s, i0, queries, keys, m, starts, best, sums, factors);
    }
    prefetch_part(next);
    float *to = ctx.at + (first + i0) * ctx.stride + head * width, *sum = to;
    int64_t stride = ctx.stride;
    if (!alone) sum = s->g + (i0 - begin) * s->padded, stride = s->padded;
    if (!starts) LEVEL(scale_rows)(sum, stride, factors, sum, stride, rows, width);
    if (ends) {
        float log_sums[most_block];
        for (int64_t i = 0; i < queries; i += LANES) {
            VECTOR sum = *(const VECTOR *)(sums + i);
            *(VECTOR *)(factors + i) = (m->on ? m->scale : 1.0f) / sum;
            *(VECTOR *)(log_sums + i) = *(const VECTOR *)(best + i) + LEVEL(logarithm)(sum);
        }
        if (lse) memcpy(lse + first * a->heads + head * length + i0, log_sums, 4 * (size_t)rows);
    }
    small_product p = {s->scores, queries, s->v + keys.begin * s->padded, s->padded, sum, stride, rows, width,
                       keys.end - keys.begin, alone ? factors : NULL, !starts,
                       band_of_keys(r, i0, keys, length)};
    LEVEL(product_of_columns)(&p);
    if (ends && !alone) LEVEL(scale_rows)(sum, stride, factors, to, ctx.stride, rows, width);
    prefetch_part(next);
}

/// One head: its queries against the packed keys and values. A block of queries meets tile after tile before the next
/// block begins; with disentangled positions every block meets a tile before the next tile.
LEVEL_INLINE void LEVEL(forward_head)(const int64_t width, const tutti_attention *a, const LEVEL(places) *s,
                                      int64_t first, int64_t head, mask m, tutti_rows ctx, float *lse, ahead *next) {
    int64_t length = s->length;
    reach r = reach_of(a, length);
    LEVEL(relatives) relatives;
    if (a->positions) LEVEL(turn_positions)(a, head, length, s->distances);
    if (a->relative) {
        relatives = LEVEL(relatives_of)(a, s->rest, length, head, width);
        LEVEL(pack)(a->q.at + first * a->q.stride + head * a->step, a->q.stride,
                    a->query_bias ? a->query_bias + head * width : NULL, a->scale, s->q, s->padded, length, width);
    }
    look_ahead(next, a, first, length, head, NULL, NULL);
    int64_t turn = a->relative ? length : r.block; // queries that meet one tile before the next
    for (int64_t begin = 0; begin < length; begin += turn) {
        int64_t end = length - begin < turn ? length : begin + turn;
        for (int64_t j0 = 0; j0 < length; j0 += r.tile) {
            int64_t tile = length - j0 < r.tile ? length - j0 : r.tile;
            if (a->relative) LEVEL(meet)(a, s, &relatives, j0, tile, false);
            for (int64_t i0 = begin; i0 < end; i0 += r.block) {
                LEVEL(forward_block)(width, a, s, r, &relatives, first, head, begin, i0, j0, &m, ctx, lse, next);
            }
        }
    }
}

LEVEL_INLINE void LEVEL(forward_pairs)(const int64_t width, const tutti_attention *a, tutti_rows ctx, float *lse,
                                       float *scratch, tutti_range pairs) {
    int64_t group = a->heads / a->key_heads;
    for (int64_t pair = pairs.begin; pair < pairs.end; pair++) {
        int64_t sequence = pair / a->key_heads, own = pair % a->key_heads;
        int64_t first = a->offsets[sequence], length = a->offsets[sequence + 1] - first;
        if (length <= 0) continue;
        LEVEL(places) s = LEVEL(places_in)(scratch, length, width);
        ahead next = ahead_of(a, sequence, own, pairs.end, 5, NULL);
        LEVEL(pack)(a->k.at + first * a->k.stride + own * a->step, a->k.stride,
                    a->key_bias ? a->key_bias + own * width : NULL, 1.0f, s.k, s.padded, length, width);
        LEVEL(pack)(a->v.at + first * a->v.stride + own * a->step, a->v.stride,
                    a->value_bias ? a->value_bias + own * width : NULL, 1.0f, s.v, s.padded, length, width);
        for (int64_t head = own * group; head < (own + 1) * group; head++) {
            LEVEL(forward_head)(width, a, &s, first, head, mask_of(a, sequence, head, length), ctx, lse, &next);
        }
    }
}

LEVEL_TARGET
static void LEVEL(forward)(const tutti_attention *a, tutti_rows ctx, float *lse, float *scratch, tutti_range pairs) {
#define FORWARD(width) LEVEL(forward_pairs)(width, a, ctx, lse, scratch, pairs)
    if (a->width == 32) FORWARD(32); else if (a->width == 64) FORWARD(64); else FORWARD(a->width);
#undef FORWARD
}
