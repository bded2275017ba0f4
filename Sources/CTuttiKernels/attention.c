// Packed self-attention, forward and backward: code shared by all instruction levels, and the dispatch.
//
// Each (sequence, head) pair packs its own operands (adding the QKV bias, scaling q). Queries are processed in blocks of a few
// vectors against all keys, so only the scores of one block must fit in cache. Backward recomputes
// P = exp(score - lse):
//   Pd = P * mask;  dV = Pd^T dO;  dPd = dO V^T;  dS = P * (dPd * mask - delta), delta = the sum of Pd * dPd over keys;
//   dQ = scale dS K;  dK = dS^T (scale Q)
// The bias of keys is not added: it shifts all scores of a query equally, which changes neither P nor dS K.
#include "vectorise.h"
#include <stdbool.h>

enum {
    block = 48, // maximum queries per pass
    most_lanes = 16,
    most_rows = 8, // of a tile
    few_keys = 32, // exponentials summed one by one
};

typedef float v8 __attribute__((vector_size(32), aligned(4), may_alias));

/// c[rows, columns] (+)= op(a) b, row r times factors[r]; columns a multiple of 8. Operands are read up to whole tiles;
/// the excess is ignored.
typedef struct {
    const float *a;
    int64_t a_stride;
    const float *b;
    int64_t b_stride;
    float *c;
    int64_t c_stride, rows, columns, depth;
    const float *factors; // null = 1
    bool add;
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

/// What a pair prefetches for the next sequence: heads read slices of a row far apart, which the hardware does not
/// predict. Each pair prefetches its share in parts, since a burst would fill the miss buffers.
typedef struct {
    const float *from[2];         // rows of the next sequence
    int64_t count[2];             // their floats; 0 = nothing to prefetch
    int64_t part, last_part, parts; // this pair's next part, the next pair's first one, and those of all pairs
} ahead;

INLINE ahead ahead_of(const tutti_attention *a, int64_t sequence, int64_t head, int64_t end, const int64_t parts,
                      const tutti_rows *dctx) {
    ahead next = {{a->qkv.at, dctx ? dctx->at : NULL}, {0, 0}, head * parts, (head + 1) * parts, a->heads * parts};
    if ((sequence + 1) * a->heads >= end) return next;
    int64_t first = a->offsets[sequence + 1], rows = a->offsets[sequence + 2] - first;
    next.from[0] += first * a->qkv.stride;
    next.count[0] = rows * a->qkv.stride;
    if (dctx) {
        next.from[1] += first * dctx->stride;
        next.count[1] = rows * dctx->stride;
    }
    return next;
}

INLINE void prefetch_part(ahead *next) {
    if (next->part == next->last_part) return;
    for (int which = 0; which < 2; which++) {
        int64_t i = next->count[which] * next->part / next->parts;
        int64_t end = next->count[which] * (next->part + 1) / next->parts;
        for (; i < end; i += 16) __builtin_prefetch(next->from[which] + i, 0, 2);
    }
    next->part += 1;
}

#define EACH _Pragma("clang loop unroll(full)")

#if defined(__x86_64__) && defined(__linux__)
#define LEVEL(name) avx512_##name
#define LEVEL_TARGET LEVEL_4_TUNED
#define LANES 16
#define TILE_ROWS 8
#define TILE_VECTORS 3
#define PICK(a, b, c, d, e, f, g, h)                                                                                   \
    SECOND(a), SECOND(b), SECOND(c), SECOND(d), SECOND(e), SECOND(f), SECOND(g), SECOND(h), SECOND(a) + 8,             \
        SECOND(b) + 8, SECOND(c) + 8, SECOND(d) + 8, SECOND(e) + 8, SECOND(f) + 8, SECOND(g) + 8, SECOND(h) + 8
#define SECOND(i) ((i) < 8 ? (i) : (i) + 8) // lane i - 8 of the second operand
#include "attention_tile.h"
#include "attention_level.h"
#undef SECOND

#define LEVEL(name) avx2_##name
#define LEVEL_TARGET LEVEL_3_TUNED
#define LANES 8
#define TILE_ROWS 4
#define TILE_VECTORS 3
#define PICK(...) __VA_ARGS__
#include "attention_tile.h"
#include "attention_level.h"
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

int64_t tutti_attention_scratch(int64_t longest, int64_t width) {
    int64_t length = longest > 0 ? longest : 1, padded = (width + most_lanes - 1) / most_lanes * most_lanes;
    return 6 * (length + most_rows) * padded       // q, k, v, dO, dK, dV
        + 2 * width * block                        // q and dO of a block, transposed
        + 2 * (length + most_rows) * block         // scores, score gradients
        + (2 * length + most_lanes + 15) / 16 * 16; // relative-position biases
}

void tutti_attention_forward(const tutti_attention *a, tutti_rows ctx, float *lse, float *scratch, tutti_range pairs) {
    AT_LEVEL(avx512_forward, avx2_forward, portable_forward)(a, ctx, lse, scratch, pairs);
}

void tutti_attention_backward(const tutti_attention *a, const float *lse, tutti_rows dctx, tutti_rows dqkv,
                              float *dpositions, int64_t longest, float *scratch, tutti_range pairs) {
    AT_LEVEL(avx512_backward, avx2_backward, portable_backward)
    (a, lse, dctx, dqkv, dpositions, longest, scratch, pairs);
}
