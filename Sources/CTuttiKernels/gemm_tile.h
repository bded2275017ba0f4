// One register tile of the matrix product, for one vector width. Included by gemm.c once for each instruction level:
//
//   TILE(name)      the names of this level's functions
//   TILE_TARGET     function attributes
//   TILE_FLOATS     floats of a vector register
//   TILE_LOW, _HIGH indices that interleave the low and the high halves of two registers
//   TILE_ROWS       rows of c in a tile
//   TILE_VECTORS    vectors side by side in a tile
//
// TILE_ROWS * TILE_VECTORS accumulators, TILE_VECTORS registers of b and one of a must fit the register file.

typedef float TILE(vector) __attribute__((vector_size(4 * TILE_FLOATS), aligned(4)));

/// c tile = alpha * sum over p of a(i, p) b(p, .) + beta * c. a(i, p) = a[i * a_row + p] if `a_step` is 1, else
/// a[i + p * TILE_ROWS]; b is one packed panel.
TILE_TARGET
static void TILE(multiply)(int64_t depth, const float *restrict a, int64_t a_row, int64_t a_step,
                           const float *restrict b, float *restrict c, int64_t c_stride, float alpha, float beta) {
    _Pragma("clang fp contract(off)") // alpha and beta round as in a tile at an edge, so that its place does not matter
    TILE(vector) sums[TILE_ROWS][TILE_VECTORS];
    EACH for (int i = 0; i < TILE_ROWS; i++)
        EACH for (int j = 0; j < TILE_VECTORS; j++) sums[i][j] = (TILE(vector)){0};
    if (a_step == 1) { // rows of a in place
        for (int64_t p = 0; p < depth; p++) {
            TILE_STEP(a[i * a_row + p])
        }
    } else { // a packed panel
        for (int64_t p = 0; p < depth; p++) {
            TILE_STEP(a[i])
            a += TILE_ROWS;
        }
    }
    if (beta == 0.0f && alpha == 1.0f) {
        EACH for (int i = 0; i < TILE_ROWS; i++)
            EACH for (int j = 0; j < TILE_VECTORS; j++)
                *(TILE(vector) *)(c + i * c_stride + j * TILE_FLOATS) = sums[i][j];
    } else if (beta == 1.0f && alpha == 1.0f) {
        EACH for (int i = 0; i < TILE_ROWS; i++)
            EACH for (int j = 0; j < TILE_VECTORS; j++)
                *(TILE(vector) *)(c + i * c_stride + j * TILE_FLOATS) += sums[i][j];
    } else {
        EACH for (int i = 0; i < TILE_ROWS; i++)
            EACH for (int j = 0; j < TILE_VECTORS; j++) {
                TILE(vector) *to = (TILE(vector) *)(c + i * c_stride + j * TILE_FLOATS);
                *to = beta == 0.0f ? alpha * sums[i][j] : alpha * sums[i][j] + beta * *to;
            }
    }
}

/// Packs columns [0, columns) of rows [0, depth) of a matrix into panels of `width`; the rest of the last panel is 0.
TILE_TARGET
static void TILE(pack_rows)(const float *from, int64_t stride, int64_t depth, int64_t columns, int64_t width,
                            float *to) {
    enum { group = 64 / TILE_ROWS, b_width = TILE_FLOATS * TILE_VECTORS };
    int64_t left = 0;
    if (width == TILE_ROWS) { // several narrow panels at a time, so that whole cache lines are read
        for (; left + group * TILE_ROWS <= columns; left += group * TILE_ROWS, to += group * TILE_ROWS * depth) {
            for (int64_t p = 0; p < depth; p++) {
                const float *row = from + p * stride + left;
                float *step = to + p * TILE_ROWS;
                EACH for (int c = 0; c < 64; c += 16) __builtin_prefetch(row + rows_ahead * stride + c);
                EACH for (int g = 0; g < group; g++)
                    memcpy(step + g * TILE_ROWS * depth, row + g * TILE_ROWS, 4 * TILE_ROWS);
            }
        }
    } else if (width == b_width) {
        for (; left + b_width <= columns; left += b_width, to += b_width * depth)
            for (int64_t p = 0; p < depth; p++) {
                const float *row = from + p * stride + left;
                EACH for (int c = 0; c < b_width; c += 16) __builtin_prefetch(row + rows_ahead * stride + c);
                memcpy(to + p * b_width, row, 4 * b_width);
            }
    }
    for (; left < columns; left += width, to += width * depth)
        for (int64_t p = 0; p < depth; p++)
            for (int64_t i = 0; i < width; i++)
                to[p * width + i] = left + i < columns ? from[p * stride + left + i] : 0.0f;
}

/// Packs rows [0, columns) of a matrix whose rows are columns of b: panels of `width`, step p holding from[column][p].
TILE_TARGET
static void TILE(pack_columns)(const float *from, int64_t stride, int64_t depth, int64_t columns, int64_t width,
                               float *to) {
    for (int64_t left = 0; left < columns; left += width, to += width * depth) {
        int64_t count = columns - left < width ? columns - left : width, i = 0;
        for (; i + TILE_FLOATS <= count; i += TILE_FLOATS) { // squares, transposed in registers
            const float *rows = from + (left + i) * stride;
            int64_t p = 0;
            for (; p + TILE_FLOATS <= depth; p += TILE_FLOATS) {
                TILE(vector) square[TILE_FLOATS], mixed[TILE_FLOATS];
                EACH for (int r = 0; r < TILE_FLOATS; r++) square[r] = *(const TILE(vector) *)(rows + r * stride + p);
                EACH for (int stage = 1; stage < TILE_FLOATS; stage *= 2) { // perfect shuffles of row pairs
                    EACH for (int r = 0; r < TILE_FLOATS / 2; r++) {
                        mixed[2 * r] =
                            __builtin_shufflevector(square[r], square[r + TILE_FLOATS / 2], TILE_LOW);
                        mixed[2 * r + 1] =
                            __builtin_shufflevector(square[r], square[r + TILE_FLOATS / 2], TILE_HIGH);
                    }
                    EACH for (int r = 0; r < TILE_FLOATS; r++) square[r] = mixed[r];
                }
                EACH for (int r = 0; r < TILE_FLOATS; r++) *(TILE(vector) *)(to + (p + r) * width + i) = square[r];
            }
            for (; p < depth; p++)
                for (int r = 0; r < TILE_FLOATS; r++) to[p * width + i + r] = rows[r * stride + p];
        }
        for (; i < width; i++)
            for (int64_t p = 0; p < depth; p++)
                to[p * width + i] = i < count ? from[(left + i) * stride + p] : 0.0f;
    }
}

static const tile_level TILE(level) = {
    TILE(multiply), TILE(pack_rows), TILE(pack_columns), TILE_ROWS, TILE_FLOATS * TILE_VECTORS,
};

#undef TILE
#undef TILE_TARGET
#undef TILE_FLOATS
#undef TILE_LOW
#undef TILE_HIGH
#undef TILE_ROWS
#undef TILE_VECTORS
