// Matrix product of bf16 operands with fp32 sums: c = op(a) op(b) + beta c for fp32 matrices that are rounded while they
// are packed.
//
// Both operands are packed into tiles of 16 x 32 numbers, 1 KiB, as the instructions read them. A tile of a holds 16 rows
// of 32 terms of the sum. A tile of b holds 16 pairs of terms, each for 16 columns. A block of c, 32 x 32, takes two tiles
// of either at a time: with AMX in tile registers, else in vectors (AVX512-BF16). All of b is packed first; rows of a are
// packed a block at a time, so that they are still in the L2 cache when they are multiplied. The terms of a sum are added
// in one order, whatever the sizes and the number of threads.
//
// Legend: depth = terms of the sum, step = 32 of them. Reference: Intel 64 and IA-32 Architectures Software Developer's
// Manual, TDPBF16PS, VDPBF16PS; Goto & van de Geijn 2008.
#define _GNU_SOURCE 1
#include "dot_tiles.h"

#if defined(__x86_64__) && defined(__linux__)
enum {
    step = 32,             // terms of the sum in a tile
    tile = tile_bytes / 2, // numbers of a tile
    most_depth = 2048,     // terms between two passes over c
    most_rows = 128,       // rows of a that are packed at a time
    panel_bytes = 512 << 10 // of b that are multiplied by these rows before the next
};

typedef uint16_t half;

#define HALVES __attribute__((target(TILE_FEATURES ",avx512bf16"), min_vector_width(512)))
#define TILES __attribute__((target("amx-tile,amx-bf16")))

// ------------------------------------------------------------------------------------------------------------ packing

/// Vector r = 16 pairs of neighbours of row r: the rows of a tile whose terms are contiguous in memory.
HALVES static inline void read_rows(const float *from, int64_t stride, int64_t rows, int64_t terms, dwords *to) {
    EACH for (int r = 0; r < 16; r++) {
        const float *row = from + r * stride;
        __m512 low = _mm512_setzero_ps(), high = low;
        if (r < rows) {
            low = _mm512_maskz_loadu_ps(first(terms), row);
            high = _mm512_maskz_loadu_ps(first(terms - 16), row + 16);
        }
        to[r] = (dwords)_mm512_cvtne2ps_pbh(high, low);
    }
}

/// Vector p = rows 2p and 2p + 1 side by side, in 16 columns: a tile whose terms are rows in memory.
HALVES static inline void read_pairs(const float *from, int64_t stride, int64_t terms, int64_t columns, dwords *to) {
    __mmask16 used = first(columns);
    EACH for (int p = 0; p < 16; p++) {
        const float *row = from + 2 * p * stride;
        __m512 even = _mm512_setzero_ps(), odd = even;
        if (2 * p < terms) even = _mm512_maskz_loadu_ps(used, row);
        if (2 * p + 1 < terms) odd = _mm512_maskz_loadu_ps(used, row + stride);
        __m512i pairs = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(even));
        __m512i upper = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(odd));
        to[p] = (dwords)_mm512_or_si512(pairs, _mm512_slli_epi32(upper, 16));
    }
}

/// The tiles of one panel, `side` lines (rows of a or columns of b) by `depth` terms; those beyond `lines` are zero.
/// `isContiguous`: a line's terms are neighbours in memory, else they are `stride` apart. `pairs`: as tiles of b.
HALVES static void pack_panel(const float *from, int64_t stride, int isContiguous, int pairs, int64_t lines, int64_t depth,
                              half *to) {
    for (int64_t k = 0; k < depth; k += step)
        for (int64_t line = 0; line < side; line += 16, to += tile) {
            dwords square[16];
            if (isContiguous) read_rows(from + line * stride + k, stride, lines - line, depth - k, square);
            else read_pairs(from + k * stride + line, stride, depth - k, lines - line, square);
            if (isContiguous == pairs) transpose(square);
            EACH for (int r = 0; r < 16; r++) *(dwords *)(to + r * step) = square[r];
        }
}

// --------------------------------------------------------------------------------------------------------- multiplying

/// A block of c [32, 32] = or += the product of a panel of a and one of b.
typedef void (*block_function)(int64_t steps, const half *a, const half *b, float *c, int64_t stride, int adds);

HALVES static void block_of_vectors(int64_t steps, const half *a, const half *b, float *c, int64_t stride, int adds) {
    for (int top = 0; top < side; top += 8) {
        const int32_t *rows = (const int32_t *)(a + top / 16 * tile) + top % 16 * (step / 2);
        __m512 sums[8][2];
        EACH for (int r = 0; r < 8; r++)
            EACH for (int q = 0; q < 2; q++)
                sums[r][q] = adds ? _mm512_loadu_ps(c + (top + r) * stride + 16 * q) : _mm512_setzero_ps();
        for (int64_t s = 0; s < steps; s++)
            for (int p = 0; p < step / 2; p++) {
                const half *pair = b + s * 2 * tile + p * 32;
                __m512bh left = (__m512bh)_mm512_loadu_si512(pair), right = (__m512bh)_mm512_loadu_si512(pair + tile);
                EACH for (int r = 0; r < 8; r++) {
                    __m512bh factor = (__m512bh)_mm512_set1_epi32(rows[s * tile + r * (step / 2) + p]);
                    sums[r][0] = _mm512_dpbf16_ps(sums[r][0], factor, left);
                    sums[r][1] = _mm512_dpbf16_ps(sums[r][1], factor, right);
                }
            }
        EACH for (int r = 0; r < 8; r++)
            EACH for (int q = 0; q < 2; q++) _mm512_storeu_ps(c + (top + r) * stride + 16 * q, sums[r][q]);
    }
}

TILES static void block_of_tiles(int64_t steps, const half *a, const half *b, float *c, int64_t stride, int adds) {
    int64_t bytes = stride * 4;
    float *below = c + 16 * stride;
    if (adds) {
        _tile_loadd(0, c, bytes);
        _tile_loadd(1, c + 16, bytes);
        _tile_loadd(2, below, bytes);
        _tile_loadd(3, below + 16, bytes);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (int64_t s = 0; s < steps; s++, a += 2 * tile, b += 2 * tile) {
        _tile_loadd(4, a, 64);
        _tile_loadd(6, b, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, b + tile, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, a + tile, 64);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, c, bytes);
    _tile_stored(1, c + 16, bytes);
    _tile_stored(2, below, bytes);
    _tile_stored(3, below + 16, bytes);
}

// One stretch of the sum, [first, first + depth), shared by the threads.
typedef struct {
    const tutti_product *product;
    block_function block;
    int tiles;
    half *b_panels, *a_panels;           // all of b; of a, `a_size` numbers a thread
    int64_t a_size, first, depth, steps; // steps of 32 terms
    int64_t rows_of_task, columns_of_pass;
} stretch;

/// Packs panels [begin, end) of b.
static void pack_b(void *context, int64_t begin, int64_t end, int64_t worker) {
    (void)worker;
    const stretch *s = context;
    const tutti_product *p = s->product;
    for (int64_t panel = begin; panel < end; panel++) {
        int64_t left = panel * side;
        const float *from = p->transpose_b ? p->b.at + left * p->b.stride + s->first : p->b.at + s->first * p->b.stride + left;
        pack_panel(from, p->b.stride, p->transpose_b, 1, smaller(side, p->n - left), s->depth,
                   s->b_panels + left * s->steps * step);
    }
}

/// The product of one panel of a and one of b, whose block of c may reach over the edge.
static void multiply_block(const stretch *s, const half *a, const half *b, int64_t top, int64_t left, int adds) {
    const tutti_product *p = s->product;
    float *c = p->c.at + top * p->c.stride + left;
    int64_t rows = smaller(side, p->m - top), columns = smaller(side, p->n - left);
    if (rows == side && columns == side) return s->block(s->steps, a, b, c, p->c.stride, adds);
    float whole[side * side] __attribute__((aligned(64)));
    if (adds) {
        memset(whole, 0, sizeof whole);
        for (int64_t r = 0; r < rows; r++) memcpy(whole + r * side, c + r * p->c.stride, (size_t)columns * 4);
    }
    s->block(s->steps, a, b, whole, side, adds);
    for (int64_t r = 0; r < rows; r++) memcpy(c + r * p->c.stride, whole + r * side, (size_t)columns * 4);
}

/// Computes tasks [begin, end) of c, each `rows_of_task` rows, one stretch of their sums.
static void multiply_rows(void *context, int64_t begin, int64_t end, int64_t worker) {
    const stretch *s = context;
    const tutti_product *p = s->product;
    half *a = s->a_panels + worker * s->a_size;
    int64_t panel = s->steps * step * side; // numbers of a panel
    int adds = s->first > 0 || p->beta != 0.0f;
    if (s->tiles) configure_tiles();
    for (int64_t task = begin; task < end; task++) {
        int64_t top = task * s->rows_of_task, rows = smaller(s->rows_of_task, p->m - top);
        for (int64_t i = 0; i < rows; i += side) {
            int64_t row = top + i;
            const float *from = p->transpose_a ? p->a.at + s->first * p->a.stride + row : p->a.at + row * p->a.stride + s->first;
            pack_panel(from, p->a.stride, !p->transpose_a, 0, smaller(side, rows - i), s->depth, a + i / side * panel);
        }
        for (int64_t pass = 0; pass < p->n; pass += s->columns_of_pass)
            for (int64_t i = 0; i < rows; i += side)
                for (int64_t left = pass; left < smaller(pass + s->columns_of_pass, p->n); left += side)
                    multiply_block(s, a + i / side * panel, s->b_panels + left / side * panel, top + i, left, adds);
    }
    if (s->tiles) release_tiles();
}

void tutti_multiply_half(const tutti_product *p, int how) {
    int64_t threads = tutti_parallel_threads();
    stretch s = {.product = p, .tiles = how == tutti_half_tiles};
    s.block = s.tiles ? block_of_tiles : block_of_vectors;
    int64_t stretches = (p->k + most_depth - 1) / most_depth;
    int64_t depth = smaller(round_up(p->k, step), round_up((p->k + stretches - 1) / stretches, step));
    int64_t wanted = round_up((p->m + 4 * threads - 1) / (4 * threads), side);
    s.rows_of_task = threads > 1 ? smaller(most_rows, wanted) : most_rows;
    s.a_size = s.rows_of_task * depth;
    int64_t b_size = round_up(p->n, side) * depth;
    s.b_panels = tutti_panels((b_size + threads * s.a_size) * 2);
    s.a_panels = s.b_panels + b_size;
    int64_t columns = panel_bytes / (depth * 2) / side * side;
    s.columns_of_pass = columns < side ? side : columns;
    for (s.first = 0; s.first < p->k; s.first += depth) {
        s.depth = smaller(depth, p->k - s.first);
        s.steps = (s.depth + step - 1) / step;
        tutti_parallel_for((p->n + side - 1) / side, 1, pack_b, &s);
        tutti_parallel_for((p->m + s.rows_of_task - 1) / s.rows_of_task, 1, multiply_rows, &s);
    }
}

static pthread_once_t look_once = PTHREAD_ONCE_INIT;
static int found = tutti_half_none;

static void look(void) {
    if (tutti_machine_level() < 4 || !has_feature(0, 5)) return;
    found = has_feature(3, 22) && may_use_tiles() ? tutti_half_tiles : tutti_half_vectors;
}

int tutti_half_best(void) {
    pthread_once(&look_once, look);
    return tutti_here->level >= 4 ? found : tutti_half_none;
}
#else
int tutti_half_best(void) { return tutti_half_none; }
void tutti_multiply_half(const tutti_product *product, int how) {
    (void)product, (void)how;
    __builtin_trap(); // the caller asked for what no processor has
}
#endif
