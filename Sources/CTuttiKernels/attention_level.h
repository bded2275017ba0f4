// Attention of (sequence, key/value head) pairs, one by one, at one instruction level: operands, scores and masks.
// Included after attention_tile.h; attention_disentangled.h, attention_forward.h and attention_backward.h follow.
//
// Scores are stored transposed, [keys, queries of a block]: a lane is a query, so that maximum, sum and the row's
// factors are plain vector operations, and keys need no padding. Lanes beyond the last query are never read.

/// The operands of a pair in its thread's scratch.
typedef struct {
    int64_t length, width;             // L, E
    int64_t padded;                    // E rounded up to whole vectors: the stride of packed rows
    float *q, *k, *v, *g;              // packed rows: queries, keys, values, context gradients
    float *dq, *dk, *dv;               // sums over tiles of keys, and over blocks of queries
    float *across_q, *across_g;        // [E, queries of a block]: scaled queries, context gradients
    float *scores, *gradients;         // [keys of a tile, queries of a block]
    float *best, *sums;                // [L] of queries whose keys come in several tiles: maximum, sum of exponentials
    float *deltas;                     // [L] dO . O, in the memory of `best`
    float *distances;                  // relative-position biases of this head, by i - j + L - 1
    float *rest;                       // what is left
} LEVEL(places);

LEVEL_INLINE LEVEL(places) LEVEL(places_in)(float *scratch, int64_t length, int64_t width) {
    LEVEL(places) s;
    s.length = length;
    s.width = width;
    s.padded = whole_vectors(width);
    int64_t rows = (length + most_rows) * s.padded, tile = scores_of(length), across = s.padded * most_block;
    int64_t queries = whole_vectors(length) + most_lanes;
    s.q = scratch, s.k = s.q + rows, s.v = s.k + rows, s.g = s.v + rows;
    s.dq = s.g + rows, s.dk = s.dq + rows, s.dv = s.dk + rows;
    s.across_q = s.dv + rows, s.across_g = s.across_q + across;
    s.scores = s.across_g + across, s.gradients = s.scores + tile;
    s.best = s.deltas = s.gradients + tile, s.sums = s.best + queries;
    s.distances = s.sums + queries, s.rest = s.distances + whole_vectors(2 * length + most_lanes);
    return s;
}

/// Queries of the block that starts at i, at most `most`: whole vectors.
LEVEL_INLINE int64_t LEVEL(block_at)(int64_t i, int64_t length, int64_t most) {
    int64_t queries = (length - i + LANES - 1) / LANES * LANES;
    return queries < most ? queries : most;
}

/// Relative-position biases in the order in which lanes read them; zero if only lanes without a query do.
LEVEL_INLINE void LEVEL(turn_positions)(const tutti_attention *a, int64_t head, int64_t length, float *to) {
    const float *last = a->positions + head * (2 * a->maximum - 1) + a->maximum - 1 + length - 1;
    for (int64_t d = 0; d < 2 * length - 1; d++) to[d] = last[-d];
    for (int64_t d = 0; d < LANES; d++) to[2 * length - 1 + d] = 0.0f;
}

/// Where a query of the block at i0 does not see a key: a score whose exponential is zero.
LEVEL_INLINE void LEVEL(hide)(reach r, float *scores, int64_t i0, int64_t queries, tutti_range keys) {
    int64_t first = i0 + queries - 1 - r.before, last = i0 + r.after; // keys that all queries see
    if (keys.begin >= first && keys.end - 1 <= last) return;
    INTEGERS lanes;
    EACH for (int lane = 0; lane < LANES; lane++) lanes[lane] = lane;
    for (int64_t j = keys.begin; j < keys.end; j++) {
        if (j >= first && j <= last) continue;
        for (int64_t i = 0; i < queries; i += LANES) {
            VECTOR *at = (VECTOR *)(scores + (j - keys.begin) * queries + i);
            INTEGERS query = lanes + (int32_t)(i0 + i);
            WORDS hidden = (WORDS)((query < (int32_t)(j - r.after)) | (query > (int32_t)(j + r.before)));
            VECTOR low = (VECTOR){0} + unseen;
            *at = (VECTOR)(((WORDS)*at & ~hidden) | ((WORDS)low & hidden));
        }
    }
}

/// scores [keys, queries] of the block at i0: (scale Q) K^T transposed, with biases by distance.
LEVEL_INLINE void LEVEL(score)(const tutti_attention *a, const LEVEL(places) *s, int64_t i0, int64_t queries,
                               tutti_range keys) {
    int64_t count = keys.end - keys.begin;
    small_product p = {s->k + keys.begin * s->padded, s->padded, s->across_q, queries, s->scores, queries, count,
                       queries, s->width, NULL, false};
    LEVEL(product_of_rows)(&p);
    if (a->positions) {
        const float *distances = s->distances + i0 - keys.begin + s->length - 1;
        for (int64_t j = 0; j < count; j++) {
            for (int64_t i = 0; i < queries; i += LANES) {
                *(VECTOR *)(s->scores + j * queries + i) += *(const VECTOR *)(distances + i - j);
            }
        }
    }
}

/// Index of probability (i0 + lane, j0) plus the key's low half.
LEVEL_INLINE WORDS LEVEL(indices)(const mask *m, int64_t i0, int64_t j0, int64_t length) {
    WORDS first;
    EACH for (int lane = 0; lane < LANES; lane++) first[lane] = (uint32_t)lane;
    return (first + (uint32_t)i0) * (uint32_t)length + (m->base + m->low + (uint32_t)j0);
}

/// to = the rows of from, row r times factors[r]; `to` may be `from`.
LEVEL_INLINE void LEVEL(scale_rows)(const float *from, int64_t stride, const float *factors, float *to,
                                    int64_t to_stride, int64_t rows, int64_t width) {
    for (int64_t r = 0; r < rows; r++) {
        float factor = factors[r];
        if (factor == 1.0f && from == to) continue;
        for (int64_t e = 0; e < width; e++) to[r * to_stride + e] = factor * from[r * stride + e];
    }
}
