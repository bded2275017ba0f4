// Matrix product of 8-bit operands, c = a b^T + beta c, for fp32 matrices whose rows are rounded to 127ths of their largest
// number while they are packed.
//
// Both operands are packed into tiles of 16 x 64 numbers, 1 KiB. A tile of a holds 16 rows of 64 terms of the sum; a tile of
// b holds 16 groups of four terms, each for 16 columns. Sums of integers are exact, so that AMX and AVX512-VNNI give the same
// bits. VNNI multiplies unsigned numbers by signed ones: a is stored 128 higher there, and 128 times the sum of b's column is
// taken off. Order of work as in half_gemm.c.
//
// Reference: Intel 64 and IA-32 Architectures Software Developer's Manual, TDPBSSD, VPDPBUSD.
#define _GNU_SOURCE 1
#include "dot_tiles.h"

#if defined(__x86_64__) && defined(__linux__)
enum {
    step = 64,             // terms of the sum in a tile
    most_rows = 128,       // rows of a that are packed at a time
    panel_bytes = 512 << 10 // of b that are multiplied by these rows before the next
};

#define BYTES __attribute__((target(TILE_FEATURES ",avx512vnni"), min_vector_width(512)))
#define TILES __attribute__((target("amx-tile,amx-int8")))

// ------------------------------------------------------------------------------------------------------------ packing

/// The largest absolute value of `count` numbers.
BYTES static float largest(const float *x, int64_t count) {
    __m512 most = _mm512_setzero_ps();
    for (int64_t k = 0; k < count; k += 16)
        most = _mm512_max_ps(most, _mm512_abs_ps(_mm512_maskz_loadu_ps(first(count - k), x + k)));
    return _mm512_reduce_max_ps(most);
}

/// The tiles of one panel, `side` lines by `depth` contiguous terms, and the scale of every line; lines beyond `lines` are
/// zero. `groups`: as tiles of b, with the sums of their numbers.
BYTES static void pack_panel(const float *from, int64_t stride, int groups, int64_t lines, int64_t depth, int8_t *to,
                             float *scales, int32_t *sums) {
    float factors[side];
    for (int64_t line = 0; line < side; line++) {
        float most = line < lines ? largest(from + line * stride, depth) : 0;
        scales[line] = most / 127.0f;
        factors[line] = most > 0 ? 127.0f / most : 0;
        if (groups) sums[line] = 0;
    }
    for (int64_t k = 0; k < depth; k += step)
        for (int64_t line = 0; line < side; line += 16, to += tile_bytes) {
            dwords square[16];
            for (int r = 0; r < 16; r++) {
                int8_t bytes[step] __attribute__((aligned(64))) = {0};
                if (line + r < lines) {
                    const float *row = from + (line + r) * stride + k;
                    __m512 factor = _mm512_set1_ps(factors[line + r]);
                    EACH for (int part = 0; part < 4; part++) {
                        __m512 x = _mm512_maskz_loadu_ps(first(depth - k - 16 * part), row + 16 * part);
                        __m512i rounded = _mm512_cvtps_epi32(_mm512_mul_ps(x, factor));
                        _mm_store_si128((__m128i *)(bytes + 16 * part), _mm512_cvtsepi32_epi8(rounded));
                    }
                }
                square[r] = *(const dwords *)bytes;
                if (groups)
                    sums[line + r] += _mm512_reduce_add_epi32(
                        _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(1), (__m512i)square[r]));
            }
            if (groups) transpose(square);
            EACH for (int r = 0; r < 16; r++) *(dwords *)(to + r * step) = square[r];
        }
}

/// Makes signed numbers unsigned: 128 more.
BYTES static void raise(int8_t *bytes, int64_t count) {
    for (int64_t i = 0; i < count; i += 64) {
        __m512i *at = (__m512i *)(bytes + i);
        *at = _mm512_xor_si512(*at, _mm512_set1_epi8((char)0x80));
    }
}

// --------------------------------------------------------------------------------------------------------- multiplying

/// sums [32, 32] = the product of a panel of a and one of b.
typedef void (*block_function)(int64_t steps, const int8_t *a, const int8_t *b, int32_t *sums);

BYTES static void block_of_vectors(int64_t steps, const int8_t *a, const int8_t *b, int32_t *sums) {
    for (int top = 0; top < side; top += 8) {
        const int32_t *rows = (const int32_t *)(a + top / 16 * tile_bytes) + top % 16 * (step / 4);
        __m512i own[8][2];
        EACH for (int r = 0; r < 8; r++)
            EACH for (int q = 0; q < 2; q++) own[r][q] = _mm512_setzero_si512();
        for (int64_t s = 0; s < steps; s++)
            for (int p = 0; p < step / 4; p++) {
                const int8_t *group = b + s * 2 * tile_bytes + p * 64;
                __m512i left = _mm512_loadu_si512(group), right = _mm512_loadu_si512(group + tile_bytes);
                EACH for (int r = 0; r < 8; r++) {
                    __m512i factor = _mm512_set1_epi32(rows[s * 2 * (tile_bytes / 4) + r * (step / 4) + p]);
                    own[r][0] = _mm512_dpbusd_epi32(own[r][0], factor, left);
                    own[r][1] = _mm512_dpbusd_epi32(own[r][1], factor, right);
                }
            }
        EACH for (int r = 0; r < 8; r++)
            EACH for (int q = 0; q < 2; q++) _mm512_storeu_si512(sums + (top + r) * side + 16 * q, own[r][q]);
    }
}

TILES static void block_of_tiles(int64_t steps, const int8_t *a, const int8_t *b, int32_t *sums) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t s = 0; s < steps; s++, a += 2 * tile_bytes, b += 2 * tile_bytes) {
        _tile_loadd(4, a, 64);
        _tile_loadd(6, b, 64);
        _tile_dpbssd(0, 4, 6);
        _tile_loadd(7, b + tile_bytes, 64);
        _tile_dpbssd(1, 4, 7);
        _tile_loadd(5, a + tile_bytes, 64);
        _tile_dpbssd(2, 5, 6);
        _tile_dpbssd(3, 5, 7);
    }
    enum { row_bytes = side * 4 };
    _tile_stored(0, sums, row_bytes);
    _tile_stored(1, sums + 16, row_bytes);
    _tile_stored(2, sums + 16 * side, row_bytes);
    _tile_stored(3, sums + 16 * side + 16, row_bytes);
}

/// A product, shared by the threads.
typedef struct {
    const tutti_product *product;
    block_function block;
    int tiles;
    int8_t *b_panels, *a_panels; // all of b; of a, `a_size` numbers a thread
    float *b_scales, *a_scales;  // [n]; [rows_of_task] a thread
    int32_t *b_sums;             // [n]
    int64_t a_size, steps, rows_of_task, columns_of_pass;
} product_plan;

/// Packs panels [begin, end) of b.
static void pack_b(void *context, int64_t begin, int64_t end, int64_t worker) {
    (void)worker;
    const product_plan *s = context;
    const tutti_product *p = s->product;
    for (int64_t panel = begin; panel < end; panel++) {
        int64_t left = panel * side;
        pack_panel(p->b.at + left * p->b.stride, p->b.stride, 1, smaller(side, p->n - left), p->k,
                   s->b_panels + left * s->steps * step, s->b_scales + left, s->b_sums + left);
    }
}

/// Writes the sums of a block as numbers of c.
BYTES static void scale_block(const product_plan *s, const int32_t *sums, const float *scales, int64_t top, int64_t left) {
    const tutti_product *p = s->product;
    int64_t rows = smaller(side, p->m - top), columns = smaller(side, p->n - left);
    for (int64_t r = 0; r < rows; r++) {
        float *c = p->c.at + (top + r) * p->c.stride + left;
        __m512 scale = _mm512_set1_ps(scales[r]);
        for (int64_t q = 0; q < columns; q += 16) {
            __mmask16 used = first(columns - q);
            __m512i sum = _mm512_loadu_si512(sums + r * side + q);
            if (!s->tiles) sum = _mm512_sub_epi32(sum, _mm512_slli_epi32(_mm512_loadu_si512(s->b_sums + left + q), 7));
            __m512 value = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(scale, _mm512_loadu_ps(s->b_scales + left + q)));
            if (p->beta != 0.0f) value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(used, c + q));
            _mm512_mask_storeu_ps(c + q, used, value);
        }
    }
}

/// Computes tasks [begin, end) of c, each `rows_of_task` rows.
static void multiply_rows(void *context, int64_t begin, int64_t end, int64_t worker) {
    const product_plan *s = context;
    const tutti_product *p = s->product;
    int8_t *a = s->a_panels + worker * s->a_size;
    float *scales = s->a_scales + worker * s->rows_of_task;
    int64_t panel = s->steps * step * side; // numbers of a panel
    int32_t sums[side * side] __attribute__((aligned(64)));
    if (s->tiles) configure_tiles();
    for (int64_t task = begin; task < end; task++) {
        int64_t top = task * s->rows_of_task, rows = smaller(s->rows_of_task, p->m - top);
        for (int64_t i = 0; i < rows; i += side) {
            int8_t *to = a + i / side * panel;
            pack_panel(p->a.at + (top + i) * p->a.stride, p->a.stride, 0, smaller(side, rows - i), p->k, to, scales + i, NULL);
            if (!s->tiles) raise(to, panel);
        }
        for (int64_t pass = 0; pass < p->n; pass += s->columns_of_pass)
            for (int64_t i = 0; i < rows; i += side)
                for (int64_t left = pass; left < smaller(pass + s->columns_of_pass, p->n); left += side) {
                    s->block(s->steps, a + i / side * panel, s->b_panels + left / side * panel, sums);
                    scale_block(s, sums, scales + i, top + i, left);
                }
    }
    if (s->tiles) release_tiles();
}

void tutti_multiply_int8(const tutti_product *p, int how) {
    int64_t threads = tutti_parallel_threads(), depth = round_up(p->k, step), columns = round_up(p->n, side);
    product_plan s = {.product = p, .tiles = how == tutti_int8_tiles, .steps = depth / step};
    s.block = s.tiles ? block_of_tiles : block_of_vectors;
    int64_t wanted = round_up((p->m + 4 * threads - 1) / (4 * threads), side);
    s.rows_of_task = threads > 1 ? smaller(most_rows, wanted) : most_rows;
    s.a_size = s.rows_of_task * depth;
    int64_t b_size = columns * depth;
    s.b_panels = tutti_panels(b_size + threads * s.a_size + 4 * (2 * columns + threads * s.rows_of_task));
    s.a_panels = s.b_panels + b_size;
    s.b_scales = (float *)(s.a_panels + threads * s.a_size);
    s.b_sums = (int32_t *)(s.b_scales + columns);
    s.a_scales = (float *)(s.b_sums + columns);
    int64_t pass = panel_bytes / depth / side * side;
    s.columns_of_pass = pass < side ? side : pass;
    tutti_parallel_for(columns / side, 1, pack_b, &s);
    tutti_parallel_for((p->m + s.rows_of_task - 1) / s.rows_of_task, 1, multiply_rows, &s);
}

static pthread_once_t look_once = PTHREAD_ONCE_INIT;
static int found = tutti_int8_none;

static void look(void) {
    if (tutti_machine_level() < 4 || !has_feature(2, 11)) return;
    found = has_feature(3, 25) && may_use_tiles() ? tutti_int8_tiles : tutti_int8_vectors;
}

int tutti_int8_best(void) {
    pthread_once(&look_once, look);
    return tutti_here->level >= 4 ? found : tutti_int8_none;
}
#else
int tutti_int8_best(void) { return tutti_int8_none; }
void tutti_multiply_int8(const tutti_product *product, int how) {
    (void)product, (void)how;
    __builtin_trap(); // the caller asked for what no processor has
}
#endif
