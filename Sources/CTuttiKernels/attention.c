// Packed self-attention, forward and backward: code shared by all instruction levels, and the dispatch.
//
// Each pair of a sequence and a key/value head packs its own operands (adding biases, scaling q); the query heads that share
// the keys follow one another. Queries are processed in blocks of a few vectors, against all keys that one of the block sees
// or, in long sequences, against one tile of keys after another, so that keys, values and scores stay in cache and memory
// grows with the length alone. Keys that no query of a block sees (causal masks, windows) are not computed. Backward
// recomputes P = exp(score - lse):
//   Pd = P * mask;  dV = Pd^T dO;  dPd = dO V^T;  dS = P * (dPd * mask - delta), delta = the sum of Pd * dPd over keys;
//   dQ = scale dS K;  dK = dS^T (scale Q)
// The bias of keys is not added here: it shifts all scores of a query equally, which changes neither P nor dS K. (Where
// positions are rotated it counts, and is added before the rotation.)
#include "vectorise.h"
#include <stdbool.h>

enum {
    most_block = 96,  // queries per pass
    small_block = 48, // the same where not every query sees every key: a larger block meets more that no query sees
    most_lanes = 16,
    most_rows = 8,    // of a tile of registers
    few_rows = 4,     // of the last one, if enough
    most_vectors = 4, // of a tile of registers
    few_keys = 32,    // exponentials summed one by one
    most_keys = 512,  // of a tile
    least_keys = 64,
};

/// A score that no softmax sees; finite, so that differences of two are.
#define unseen (-1e30f)

typedef float v8 __attribute__((vector_size(32), aligned(4), may_alias));

/// c[rows, columns] (+)= op(a) b, row r times factors[r]. Operands are read up to whole tiles; the excess is ignored.
typedef struct {
    const float *a;
    int64_t a_stride;
    const float *b;
    int64_t b_stride;
    float *c;
    int64_t c_stride, rows, columns, depth;
    const float *factors; // null = 1
    bool add;
    tutti_range band; // row r sums steps r + begin ..< r + end, the others being zero; {0, 0} = all steps
} small_product;

/// Dropout of the probabilities of one head: the first element index, and the halves of the key.
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

INLINE int64_t whole_vectors(int64_t floats) { return (floats + most_lanes - 1) / most_lanes * most_lanes; }

/// The most keys that a block of queries meets at once: keys, values, their gradients, scores and score gradients take half
/// of the second cache.
INLINE int64_t keys_of_tile(int64_t width) {
    int64_t floats = 4 * whole_vectors(width) + 2 * most_block, keys = tutti_here->cache / 8 / floats / 8 * 8;
    return keys < least_keys ? least_keys : keys > most_keys ? most_keys : keys;
}

/// Floats of the scores of a block and a tile, whatever the cache.
INLINE int64_t scores_of(int64_t length) {
    return ((length < most_keys ? length : most_keys) + most_rows) * most_block;
}

/// What queries of a sequence see, the queries of a block, and the keys of a tile.
typedef struct {
    int64_t before, after, block, tile;
} reach;

INLINE reach reach_of(const tutti_attention *a, int64_t length) {
    reach r = {a->before < length ? a->before : length, a->after < length ? a->after : length, most_block, length};
    if (r.before < length - 1 || r.after < length - 1) r.block = small_block;
    int64_t most = keys_of_tile(a->width), seen = r.block + r.before + r.after; // by a block
    if (length > most && seen > most) {
        int64_t tiles = (length + most - 1) / most;
        r.tile = ((length + tiles - 1) / tiles + 7) / 8 * 8;
    }
    return r;
}

/// Keys that one of the queries i0 ..< i0 + rows sees.
INLINE tutti_range seen_by(reach r, int64_t i0, int64_t rows, int64_t length) {
    tutti_range keys = {i0 - r.before, i0 + rows + r.after};
    if (keys.begin < 0) keys.begin = 0;
    if (keys.end > length) keys.end = length;
    return keys;
}

INLINE tutti_range in_tile(tutti_range keys, int64_t j0, int64_t tile) {
    if (keys.begin < j0) keys.begin = j0;
    if (keys.end > j0 + tile) keys.end = j0 + tile;
    return keys;
}

/// The keys of a range that the query at i0 + row sees, as steps of a sum over the range; {0, 0} = all queries see all.
INLINE tutti_range band_of_keys(reach r, int64_t i0, tutti_range keys, int64_t length) {
    if (r.before >= length - 1 && r.after >= length - 1) return (tutti_range){0, 0};
    return (tutti_range){i0 - r.before - keys.begin, i0 + r.after + 1 - keys.begin};
}

/// The queries of a block that see the key at keys.begin + row, as steps of a sum over the block.
INLINE tutti_range band_of_queries(reach r, int64_t i0, tutti_range keys, int64_t length) {
    if (r.before >= length - 1 && r.after >= length - 1) return (tutti_range){0, 0};
    return (tutti_range){keys.begin - r.after - i0, keys.begin + r.before + 1 - i0};
}

/// Rows that are prefetched: a slice of each, some at a time.
typedef struct {
    const float *from;      // the slice of row 0
    int64_t stride, floats; // from one slice to the next; of one
    int64_t row, end, step; // the next row, the end, and rows at a time
} slice;

/// What is prefetched while a head is computed: slices of rows lie far apart, which the hardware does not predict. In
/// short sequences that is a pair's share of all rows of the next sequence; in long ones, which the second cache does not
/// hold whole, the slices of the next head. In parts, since a burst would fill the miss buffers.
typedef struct {
    slice of[5];
    int64_t slices;
} ahead;

INLINE void prefetch_part(ahead *next) {
    for (int64_t i = 0; i < next->slices; i++) {
        slice *s = &next->of[i];
        int64_t end = s->row + s->step < s->end ? s->row + s->step : s->end;
        for (; s->row < end; s->row++) {
            const float *from = s->from + s->row * s->stride;
            for (int64_t e = 0; e < s->floats; e += 16) __builtin_prefetch(from + e, 0, 2);
        }
    }
}

/// A pair's share of `rows` whole rows, line by line, in `parts`.
INLINE slice share_of(const float *from, int64_t stride, int64_t rows, int64_t own, int64_t pairs, int64_t parts) {
    int64_t lines = rows * stride / 16, row = lines * own / pairs, end = lines * (own + 1) / pairs;
    return (slice){from, 16, 16, row, end, (end - row + parts - 1) / parts};
}

INLINE bool is_long(const tutti_attention *a, int64_t length) {
    return 4 * length * a->q.stride > tutti_here->cache / 4;
}

/// While a pair is computed in `parts` parts: what prefetches short sequences.
INLINE ahead ahead_of(const tutti_attention *a, int64_t sequence, int64_t own, int64_t end, const int64_t parts,
                      const tutti_rows *dctx) {
    ahead next = {.slices = 0};
    if ((sequence + 1) * a->key_heads >= end) return next;
    int64_t first = a->offsets[sequence + 1], rows = a->offsets[sequence + 2] - first;
    if (is_long(a, rows)) return next;
    next.of[next.slices++] = share_of(a->q.at + first * a->q.stride, a->q.stride, rows, own, a->key_heads, parts);
    if (!dctx) return next;
    next.of[next.slices++] = share_of(dctx->at + first * dctx->stride, dctx->stride, rows, own, a->key_heads, parts);
    return next;
}

/// While a head of a long sequence is computed: the slices of the next head.
INLINE void look_ahead(ahead *next, const tutti_attention *a, int64_t first, int64_t length, int64_t head,
                       const tutti_rows *ctx, const tutti_rows *dctx) {
    if (!is_long(a, length) || head + 1 == a->heads) return;
    int64_t group = a->heads / a->key_heads, own = (head + 1) / group, rows = most_block / 4;
    next->slices = 0;
#define NEXT(m, offset) \
    next->of[next->slices++] = (slice){(m).at + first * (m).stride + (offset), (m).stride, a->width, 0, length, rows}
    NEXT(a->q, (head + 1) * a->step);
    if ((head + 1) % group == 0) {
        NEXT(a->k, own * a->step);
        NEXT(a->v, own * a->step);
    }
    if (ctx) NEXT(*ctx, (head + 1) * a->width);
    if (dctx) NEXT(*dctx, (head + 1) * a->width);
#undef NEXT
}

#define EACH _Pragma("clang loop unroll(full)")

#if defined(__x86_64__) && defined(__linux__)
#define LEVEL(name) avx512_##name
#define LEVEL_TARGET LEVEL_4_TUNED
#define LANES 16
#define TILE_ROWS 8
#define WIDE_ROWS 6
#define TILE_VECTORS 4
#define PICK(a, b, c, d, e, f, g, h)                                                                                   \
    SECOND(a), SECOND(b), SECOND(c), SECOND(d), SECOND(e), SECOND(f), SECOND(g), SECOND(h), SECOND(a) + 8,             \
        SECOND(b) + 8, SECOND(c) + 8, SECOND(d) + 8, SECOND(e) + 8, SECOND(f) + 8, SECOND(g) + 8, SECOND(h) + 8
#define SECOND(i) ((i) < 8 ? (i) : (i) + 8) // lane i - 8 of the second operand
#include "attention_tile.h"
#include "attention_level.h"
#include "attention_disentangled.h"
#include "attention_forward.h"
#include "attention_backward.h"
#undef SECOND

#define LEVEL(name) avx2_##name
#define LEVEL_TARGET LEVEL_3_TUNED
#define LANES 8
#define TILE_ROWS 4
#define TILE_VECTORS 3
#define PICK(...) __VA_ARGS__
#include "attention_tile.h"
#include "attention_level.h"
#include "attention_disentangled.h"
#include "attention_forward.h"
#include "attention_backward.h"
#endif

#pragma clang diagnostic ignored "-Wpsabi" // vectors pass between functions that are always inlined
#define LEVEL(name) portable_##name
#define LEVEL_TARGET
#define LANES 8 // the compiler splits such vectors if registers are shorter
#define TILE_ROWS 4
#define TILE_VECTORS 1
#define PICK(...) __VA_ARGS__
#include "attention_tile.h"
#include "attention_level.h"
#include "attention_disentangled.h"
#include "attention_forward.h"
#include "attention_backward.h"

int64_t tutti_attention_scratch(int64_t longest, int64_t width, int64_t rows) {
    int64_t length = longest > 0 ? longest : 1, padded = whole_vectors(width), queries = whole_vectors(length);
    int64_t relative = 0, stride = whole_vectors(rows), tile = length < most_keys ? length : most_keys;
    if (rows > 0) {
        relative = whole_vectors(2 * length + most_lanes) // rows of distances
            + 4 * (rows + most_rows) * padded             // keys and queries of positions, and their gradients
            + 2 * padded * stride                         // the same, transposed
            + 2 * (most_block + tile + 2 * most_rows) * stride; // products with them, and gradients
    }
    return relative + 7 * (length + most_rows) * padded // q, k, v, dO, dQ, dK, dV
        + 2 * padded * most_block            // q and dO of a block, transposed
        + 2 * scores_of(length)       // scores, score gradients
        + 2 * (queries + most_lanes)         // maxima and sums, or deltas
        + whole_vectors(2 * length + most_lanes); // relative-position biases
}

void tutti_attention_forward(const tutti_attention *a, tutti_rows ctx, float *lse, float *scratch, tutti_range pairs) {
    AT_LEVEL(avx512_forward, avx2_forward, portable_forward)(a, ctx, lse, scratch, pairs);
}

void tutti_attention_backward(const tutti_attention *a, tutti_rows ctx, const float *lse, tutti_rows dctx,
                              tutti_attention_gradient d, float *dpositions, int64_t longest, float *scratch,
                              tutti_range pairs) {
    AT_LEVEL(avx512_backward, avx2_backward, portable_backward)
    (a, ctx, lse, dctx, d, dpositions, longest, scratch, pairs);
}
