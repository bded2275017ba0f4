// General matrix product, c = alpha op(a) op(b) + beta c.
//
// Register tiles of c (gemm_tile.h) are computed from panels of b, packed so that each step reads one row, and from
// rows of a: read in place if a is not transposed (a tile broadcasts its elements, so packing gains nothing), packed
// if it is. A block of c, `block_rows` x `block_columns`, stays in the L2 cache for all steps of the sum. Blocks are
// split over threads; the order of each sum depends only on the depth, so results do not depend on the number of
// threads.
//
// Reference: Goto & van de Geijn 2008, "Anatomy of high-performance matrix multiplication"; van Zee & van de Geijn
// 2015, "BLIS".
#include "panels.h"
#include "vectorise.h"

enum {
    most_depth = 1024,        // steps of a sum between two passes over a block of c, if a is read in place
    block_columns = 384,      // a multiple of every level's panel width
    block_rows = 192,
    most_packed_depth = 768,  // the same if a is packed, so that its panels stay in cache
    rows_ahead = 16,          // prefetch distance of packing: long rows defeat the hardware prefetcher
    most_tile = 16 * 64,      // floats of the largest tile
    most_tile_rows = 16,
};

typedef struct {
    void (*multiply)(int64_t depth, const float *a, int64_t a_row, int64_t a_step, const float *b, float *c,
                     int64_t c_stride, float alpha, float beta);
    void (*pack_rows)(const float *from, int64_t stride, int64_t depth, int64_t columns, int64_t width, float *to);
    void (*pack_columns)(const float *from, int64_t stride, int64_t depth, int64_t columns, int64_t width, float *to);
    int64_t rows, columns; // of a tile
} tile_level;

#define EACH _Pragma("clang loop unroll(full)")
// One step of the sum: a row of the panel of b times TILE_ROWS elements of a, element i given by `element`.
// `element - 0` is a plain broadcast; `element + 0` would be an addition, since it is not `element` for -0.
#define TILE_STEP(element)                                                                                             \
    TILE(vector) row[TILE_VECTORS];                                                                                    \
    EACH for (int j = 0; j < TILE_VECTORS; j++) row[j] = *(const TILE(vector) *)(b + j * TILE_FLOATS);                 \
    EACH for (int i = 0; i < TILE_ROWS; i++) {                                                                         \
        TILE(vector) factor = (element) - (TILE(vector)){0};                                                           \
        EACH for (int j = 0; j < TILE_VECTORS; j++) sums[i][j] = TILE_ADD(factor, row[j], sums[i][j]);                 \
    }                                                                                                                  \
    b += TILE_VECTORS * TILE_FLOATS;
#define FUSED(x, y, z) __builtin_elementwise_fma(x, y, z)

#if defined(__x86_64__) && defined(__linux__)
#define TILE(name) avx512_##name
#define TILE_TARGET LEVEL_4_TUNED
#define TILE_FLOATS 16
#define TILE_LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define TILE_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define TILE_ROWS 8
#define TILE_VECTORS 3
#define TILE_ADD FUSED
#include "gemm_tile.h"
#undef TILE_ADD

#define TILE(name) wide_##name
#define TILE_TARGET LEVEL_4_TUNED
#define TILE_FLOATS 16
#define TILE_LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define TILE_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define TILE_ROWS 6
#define TILE_VECTORS 4
#define TILE_ADD FUSED
#include "gemm_tile.h"
#undef TILE_ADD

#define TILE(name) avx2_##name
#define TILE_TARGET LEVEL_3_TUNED
#define TILE_FLOATS 8
#define TILE_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define TILE_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#define TILE_ROWS 6
#define TILE_VECTORS 2
#define TILE_ADD FUSED
#include "gemm_tile.h"
#undef TILE_ADD
#endif

#define TILE(name) portable_##name
#define TILE_TARGET
#define TILE_FLOATS 4
#define TILE_LOW 0, 4, 1, 5
#define TILE_HIGH 2, 6, 3, 7
#if defined(__aarch64__)
#define TILE_ROWS 8
#define TILE_VECTORS 3
#define TILE_ADD FUSED
#else
#define TILE_ROWS 4
#define TILE_VECTORS 2
#define TILE_ADD(x, y, z) ((x) * (y) + (z))
#endif
#include "gemm_tile.h"
#undef TILE_ADD

// One stretch of the sum, [first, first + depth), shared by the threads.
typedef struct {
    const tutti_product *product;
    const tile_level *level;
    float *b_panels, *a_panels;
    int64_t first, depth, rows_of_block, column_blocks;
} stretch;

static int64_t smaller(int64_t x, int64_t y) { return x < y ? x : y; }
static int64_t round_up(int64_t x, int64_t unit) { return (x + unit - 1) / unit * unit; }

/// Packs panels [begin, end) of b.
static void pack_b(void *context, int64_t begin, int64_t end, int64_t worker) {
    (void)worker;
    const stretch *s = context;
    const tutti_product *p = s->product;
    int64_t width = s->level->columns, left = begin * width;
    int64_t columns = smaller(end * width, p->n) - left;
    float *to = s->b_panels + left * s->depth;
    if (p->transpose_b) {
        s->level->pack_columns(p->b.at + left * p->b.stride + s->first, p->b.stride, s->depth, columns, width, to);
    } else {
        s->level->pack_rows(p->b.at + s->first * p->b.stride + left, p->b.stride, s->depth, columns, width, to);
    }
}

/// Packs panels [begin, end) of the transposed a.
static void pack_a(void *context, int64_t begin, int64_t end, int64_t worker) {
    (void)worker;
    const stretch *s = context;
    const tutti_product *p = s->product;
    int64_t width = s->level->rows, top = begin * width;
    int64_t rows = smaller(end * width, p->m) - top;
    s->level->pack_rows(p->a.at + s->first * p->a.stride + top, p->a.stride, s->depth, rows, width,
                        s->a_panels + top * s->depth);
    if (p->column_sums)
        tutti_column_sums((tutti_rows){p->a.at + s->first * p->a.stride, p->a.stride}, s->depth,
                          (tutti_range){top, top + rows}, p->column_sums);
}

/// Computes blocks [begin, end) of c, one stretch of their sums.
static void multiply_blocks(void *context, int64_t begin, int64_t end, int64_t worker) {
    _Pragma("clang fp contract(off)") // as in TILE(multiply)
    (void)worker;
    const stretch *s = context;
    const tutti_product *p = s->product;
    int64_t tile_rows = s->level->rows, tile_columns = s->level->columns;
    float beta = s->first == 0 ? p->beta : 1.0f;
    float tile[most_tile] __attribute__((aligned(64)));
    float edge[most_tile_rows * most_depth] __attribute__((aligned(64)));
    for (int64_t block = begin; block < end; block++) {
        int64_t top = block / s->column_blocks * s->rows_of_block, left = block % s->column_blocks * block_columns;
        int64_t rows = smaller(s->rows_of_block, p->m - top), columns = smaller(block_columns, p->n - left);
        int64_t whole = p->transpose_a ? round_up(rows, tile_rows) : rows / tile_rows * tile_rows;
        if (whole < rows) { // the last rows of a, as a separate panel
            int64_t last = rows - whole;
            for (int64_t i = 0; i < tile_rows; i++) {
                const float *from = p->a.at + (top + whole + i) * p->a.stride + s->first;
                if (i < last) memcpy(edge + i * s->depth, from, (size_t)s->depth * 4);
                else memset(edge + i * s->depth, 0, (size_t)s->depth * 4);
            }
        }
        for (int64_t j = 0; j < columns; j += tile_columns) {
            const float *b = s->b_panels + (left + j) * s->depth;
            for (int64_t i = 0; i < rows; i += tile_rows) {
                const float *a;
                int64_t a_row, a_step = 1;
                if (p->transpose_a) {
                    a = s->a_panels + (top + i) * s->depth;
                    a_row = 1;
                    a_step = tile_rows;
                } else if (i < whole) {
                    a = p->a.at + (top + i) * p->a.stride + s->first;
                    a_row = p->a.stride;
                } else {
                    a = edge;
                    a_row = s->depth;
                }
                float *c = p->c.at + (top + i) * p->c.stride + left + j;
                int64_t used_rows = smaller(tile_rows, rows - i), used_columns = smaller(tile_columns, columns - j);
                if (used_rows == tile_rows && used_columns == tile_columns) {
                    s->level->multiply(s->depth, a, a_row, a_step, b, c, p->c.stride, p->alpha, beta);
                    continue;
                }
                s->level->multiply(s->depth, a, a_row, a_step, b, tile, tile_columns, p->alpha, 0.0f);
                for (int64_t r = 0; r < used_rows; r++)
                    for (int64_t q = 0; q < used_columns; q++) {
                        float sum = tile[r * tile_columns + q], *to = c + r * p->c.stride + q;
                        *to = beta == 0.0f ? sum : sum + beta * *to;
                    }
            }
        }
    }
}

void tutti_multiply(const tutti_product *p) {
    // Tiles of 6 x 64 need fewer loads than 8 x 48; which is faster depends on the processor (PERFORMANCE.md).
    stretch s = {.product = p,
                 .level = AT_LEVEL(tutti_here->wide ? &wide_level : &avx512_level, &avx2_level, &portable_level)};
    int64_t most = p->transpose_a ? most_packed_depth : most_depth;
    int64_t stretches = (p->k + most - 1) / most;
    int64_t depth = smaller(p->k, round_up((p->k + stretches - 1) / stretches, 16));
    int64_t b_panels = (p->n + s.level->columns - 1) / s.level->columns;
    int64_t a_panels = p->transpose_a ? (p->m + s.level->rows - 1) / s.level->rows : 0;
    s.b_panels = tutti_panels((b_panels * s.level->columns + a_panels * s.level->rows) * depth * 4);
    s.a_panels = s.b_panels + b_panels * s.level->columns * depth;
    s.column_blocks = (p->n + block_columns - 1) / block_columns;
    s.rows_of_block = block_rows;
    int64_t threads = tutti_parallel_threads();
    if (threads > 1) { // smaller blocks if there would be too few to balance
        int64_t wanted = (8 * threads + s.column_blocks - 1) / s.column_blocks;
        int64_t rows = round_up((p->m + wanted - 1) / wanted, s.level->rows);
        if (rows < s.rows_of_block) s.rows_of_block = rows;
    }
    int64_t blocks = (p->m + s.rows_of_block - 1) / s.rows_of_block * s.column_blocks;
    for (s.first = 0; s.first < p->k; s.first += depth) {
        s.depth = smaller(depth, p->k - s.first);
        tutti_parallel_for(b_panels, 1, pack_b, &s);
        tutti_parallel_for(a_panels, 4, pack_a, &s);
        tutti_parallel_for(blocks, 1, multiply_blocks, &s);
    }
}
