// Small matrix products, transposition and functions of one vector width. Included by attention.c once for each level:
//
//   LEVEL(name)     the names of this level's types and functions
//   LEVEL_TARGET    function attributes
//   LANES           floats of a vector: 8 or 16
//   TILE_VECTORS    maximum vectors side by side in a register tile: 1, 3 or 4
//   TILE_ROWS       rows of c in a tile of up to three vectors
//   WIDE_ROWS       rows of c in a tile of four
//   PICK(...)       eight indices into two groups of eight lanes, for all groups of a vector

typedef float LEVEL(vector) __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint32_t LEVEL(words) __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t LEVEL(integers) __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
#define VECTOR LEVEL(vector)
#define WORDS LEVEL(words)
#define INTEGERS LEVEL(integers)
#define LEVEL_INLINE LEVEL_TARGET static inline __attribute__((always_inline))

/// The sums of a tile -> c, where it has factors or fewer rows or columns.
LEVEL_INLINE void LEVEL(store_part)(const int height, const int vectors, VECTOR (*sums)[most_vectors],
                                    const small_product p, int64_t r, int64_t n) {
    EACH for (int i = 0; i < height; i++) {
        if (r + i >= p.rows) break;
        float *c = p.c + (r + i) * p.c_stride + n;
        EACH for (int v = 0; v < vectors; v++) {
            VECTOR x = p.factors ? sums[i][v] * p.factors[r + i] : sums[i][v];
            if (n + (v + 1) * LANES <= p.columns) {
                VECTOR *to = (VECTOR *)(c + v * LANES);
                *to = p.add ? *to + x : x;
            } else {
                float last[LANES], *to = c + v * LANES;
                memcpy(last, &x, sizeof(x));
                int64_t left = p.columns - n - v * LANES;
                for (int64_t e = 0; e < left; e++) to[e] = p.add ? to[e] + last[e] : last[e];
            }
        }
    }
}

/// One tile of `height` rows from r and `vectors` vectors of columns from n.
LEVEL_INLINE void LEVEL(tile)(const int height, const int vectors, const int64_t row_step, const int64_t depth_step,
                              const small_product p, int64_t r, int64_t n) {
    VECTOR sums[most_rows][most_vectors];
    const float *left[most_rows];
    int64_t first = 0, depth = p.depth, b_stride = p.b_stride;
    if (p.band.begin < p.band.end) { // steps that one of the rows sums
        if (r + p.band.begin > 0) first = r + p.band.begin;
        if (r + height - 1 + p.band.end < depth) depth = r + height - 1 + p.band.end;
    }
    const float *b = p.b + n + first * b_stride;
    EACH for (int i = 0; i < height; i++) {
        left[i] = p.a + (r + i) * row_step;
        if (depth_step == 1) __asm__("" : "+r"(left[i]));
        EACH for (int v = 0; v < vectors; v++) sums[i][v] = (VECTOR){0};
    }
    for (int64_t k = first; k < depth; k++, b += b_stride) {
        VECTOR right[most_vectors];
        EACH for (int v = 0; v < vectors; v++) right[v] = *(const VECTOR *)(b + v * LANES);
        EACH for (int i = 0; i < height; i++) {
            float factor = left[i][k * depth_step];
            EACH for (int v = 0; v < vectors; v++) sums[i][v] += factor * right[v];
        }
    }
    bool whole = r + height <= p.rows && n + vectors * LANES <= p.columns && !p.factors;
#define STORE(operator)                                                                                                \
    EACH for (int i = 0; i < height; i++) {                                                                            \
        float *c = p.c + (r + i) * p.c_stride + n;                                                                     \
        EACH for (int v = 0; v < vectors; v++) *(VECTOR *)(c + v * LANES) operator sums[i][v];                         \
    }
    if (whole && p.add) {
        STORE(+=)
    } else if (whole) {
        STORE(=)
    } else {
        LEVEL(store_part)(height, vectors, sums, p, r, n);
    }
#undef STORE
}

/// All rows of `vectors` vectors of columns from n, in tiles of `height` rows; the last has four if that is enough.
LEVEL_INLINE void LEVEL(panel)(const int height, const int vectors, const int64_t row_step, const int64_t depth_step,
                               const small_product p, int64_t n) {
    int64_t r = 0;
    for (; p.rows - r > few_rows; r += height) LEVEL(tile)(height, vectors, row_step, depth_step, p, r, n);
    if (r < p.rows) LEVEL(tile)(few_rows, vectors, row_step, depth_step, p, r, n);
}

LEVEL_INLINE void LEVEL(product)(const int64_t row_step, const int64_t depth_step, const small_product p) {
    for (int64_t n = 0; n < p.columns;) {
        int64_t left = (p.columns - n + LANES - 1) / LANES, panels = (left + TILE_VECTORS - 1) / TILE_VECTORS;
        int take = (int)((left + panels - 1) / panels); // panels of even widths
        switch (take) {
        case 1: LEVEL(panel)(TILE_ROWS, 1, row_step, depth_step, p, n); break;
#if TILE_VECTORS >= 3
        case 2: LEVEL(panel)(TILE_ROWS, 2, row_step, depth_step, p, n); break;
        case 3: LEVEL(panel)(TILE_ROWS, 3, row_step, depth_step, p, n); break;
#endif
#if TILE_VECTORS >= 4
        case 4: LEVEL(panel)(WIDE_ROWS, 4, row_step, depth_step, p, n); break;
#endif
        default: break;
        }
        n += take * LANES;
    }
}

/// c = a b, where a step of the sum reads the next column of a.
LEVEL_TARGET __attribute__((noinline))
static void LEVEL(product_of_rows)(const small_product *p) { LEVEL(product)(p->a_stride, 1, *p); }

/// c = a^T b, where a step of the sum reads the next row of a.
LEVEL_TARGET __attribute__((noinline))
static void LEVEL(product_of_columns)(const small_product *p) { LEVEL(product)(1, p->a_stride, *p); }

/// to[rows, width] = (from + bias) * factor; rows of `padded` floats, of which those beyond the width are unchanged.
LEVEL_INLINE void LEVEL(pack)(const float *from, int64_t stride, const float *bias, float factor, float *to,
                              int64_t padded, int64_t rows, int64_t width) {
    for (int64_t r = 0; r < rows; r++) {
        int64_t e = 0;
        for (; e + 8 <= width; e += 8) {
            v8 x = *(const v8 *)(from + r * stride + e);
            if (bias) x += *(const v8 *)(bias + e);
            *(v8 *)(to + r * padded + e) = x * factor;
        }
        for (; e < width; e++) to[r * padded + e] = (bias ? from[r * stride + e] + bias[e] : from[r * stride + e]) * factor;
    }
}

/// to[width, to_stride] = the transpose of LANES rows of (from + bias) * factor; rows beyond `rows` repeat the last. Rows of
/// `to` are written in groups of eight.
LEVEL_INLINE void LEVEL(transpose)(const float *from, int64_t stride, const float *bias, float factor, float *to,
                                   int64_t to_stride, int64_t rows, int64_t width) {
    const float *row[LANES];
    EACH for (int r = 0; r < LANES; r++) row[r] = from + (r < rows ? r : rows - 1) * stride;
    for (int64_t e = 0; e < width; e += 8) {
        VECTOR x[8], shift; // x[r] = row r, and row 8 + r next to it if a vector has two groups
        if (e + 8 <= width) {
            EACH for (int r = 0; r < 8; r++) {
                EACH for (int g = 0; g < LANES / 8; g++) memcpy((char *)&x[r] + 32 * g, row[8 * g + r] + e, 32);
            }
            if (bias) EACH for (int g = 0; g < LANES / 8; g++) memcpy((char *)&shift + 32 * g, bias + e, 32);
        } else {
            size_t last = 4 * (size_t)(width - e);
            EACH for (int r = 0; r < 8; r++) {
                x[r] = (VECTOR){0};
                EACH for (int g = 0; g < LANES / 8; g++) memcpy((char *)&x[r] + 32 * g, row[8 * g + r] + e, last);
            }
            shift = (VECTOR){0};
            if (bias) EACH for (int g = 0; g < LANES / 8; g++) memcpy((char *)&shift + 32 * g, bias + e, last);
        }
        if (bias) EACH for (int r = 0; r < 8; r++) x[r] += shift;
        EACH for (int r = 0; r < 8; r++) x[r] *= factor;
        VECTOR a[8], b[8];
        EACH for (int r = 0; r < 8; r += 2) {
            a[r] = __builtin_shufflevector(x[r], x[r + 1], PICK(0, 8, 1, 9, 4, 12, 5, 13));
            a[r + 1] = __builtin_shufflevector(x[r], x[r + 1], PICK(2, 10, 3, 11, 6, 14, 7, 15));
        }
        EACH for (int r = 0; r < 8; r += 4) {
            EACH for (int h = 0; h < 2; h++) {
                b[r + 2 * h] = __builtin_shufflevector(a[r + h], a[r + h + 2], PICK(0, 1, 8, 9, 4, 5, 12, 13));
                b[r + 2 * h + 1] = __builtin_shufflevector(a[r + h], a[r + h + 2], PICK(2, 3, 10, 11, 6, 7, 14, 15));
            }
        }
        EACH for (int r = 0; r < 4; r++) {
            VECTOR low = __builtin_shufflevector(b[r], b[r + 4], PICK(0, 1, 2, 3, 8, 9, 10, 11));
            VECTOR high = __builtin_shufflevector(b[r], b[r + 4], PICK(4, 5, 6, 7, 12, 13, 14, 15));
            *(VECTOR *)(to + (e + r) * to_stride) = low;
            *(VECTOR *)(to + (e + r + 4) * to_stride) = high;
        }
    }
}

/// e^x of every lane, for x below 88; zero below -87. NaN passes. Within 1 ulp for x above -14, 2.5 ulp below: ln 2 in one
/// part, and a polynomial of degree 6 for |r| <= ln 2 / 2 (largest relative error 3e-9; Remez, terms 1 + r fixed).
LEVEL_INLINE VECTOR LEVEL(exponential)(VECTOR x) {
    const float rounds = 12583039.0f; // 1.5 * 2^23 + 127: the sum's low bits are n plus the exponent's bias
    VECTOR shifted = x * 1.44269504088896341f + rounds;
    VECTOR n = shifted - rounds;
    VECTOR r = x - n * 0.69314718055994531f;
    VECTOR p = r * 1.381459879e-3f + 8.368716575e-3f;
    p = p * r + 4.166838899e-2f;
    p = p * r + 1.666652113e-1f;
    p = p * r + 4.999999404e-1f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    WORDS power = (WORDS)shifted << 23;
    return (VECTOR)((WORDS)(p * (VECTOR)power) & ~(WORDS)(x < -87.0f));
}

/// Which elements dropout keeps, as all ones or zeros: element_hash of every lane; `first` = index + key's low half.
LEVEL_INLINE WORDS LEVEL(kept)(WORDS first, const mask *m) {
    WORDS x = first;
    x ^= x >> 16;
    x *= 0x7feb352dU;
    x += m->high;
    x ^= x >> 15;
    x *= 0x846ca68bU;
    x ^= x >> 16;
    return (WORDS)(x >= m->threshold);
}

/// The logarithm of every lane, for x from 1 to 2^126 (Cephes' logf).
LEVEL_INLINE VECTOR LEVEL(logarithm)(VECTOR x) {
    WORDS power = ((WORDS)x - 0x3F3504F3U) >> 23; // x = 2^power * m, m around 1
    VECTOR m = (VECTOR)((WORDS)x - (power << 23)) - 1.0f, square = m * m;
    VECTOR n = __builtin_convertvector(power, VECTOR);
    VECTOR p = m * 7.0376836292e-2f - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    return (m * square * p - n * 2.12194440e-4f - 0.5f * square + m) + n * 0.693359375f;
}
