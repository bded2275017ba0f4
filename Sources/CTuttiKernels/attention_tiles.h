// Small matrix products of one attention head: pack, transpose, multiply, unpack.
//
// One micro-kernel does every product: up to six rows times sixteen columns held in registers, an element of the left
// operand broadcast against a row of the right one. Six rows because AVX2 has sixteen registers: twelve sums, two halves
// of the right row, one broadcast. Operands are packed to whole vectors, so no loop has a remainder.
#pragma once
#include "vectorise.h"
#include <stdbool.h>

typedef float v8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef float v16 __attribute__((vector_size(64), aligned(4), may_alias));

enum { block = 48 /* query rows of one pass */, most_rows = 6 };

/// c[rows, 16] (+)= a[rows, depth] b[depth, 16]; a is read at r * row_step + k * depth_step.
INLINE void tile(const int rows, const bool accumulate, const float *a, int64_t row_step, int64_t depth_step,
                 const float *b, int64_t b_stride, float *c, int64_t c_stride, int64_t depth) {
    FAST_MATH
    v16 sums[most_rows];
    const float *left[most_rows]; // one pointer a row: a shared one would chain six additions a step
    _Pragma("clang loop unroll(full)") for (int r = 0; r < rows; r++) {
        left[r] = a + r * row_step;
        if (accumulate) sums[r] = *(const v16 *)(c + r * c_stride); else sums[r] = (v16){0};
    }
    for (int64_t k = 0; k < depth; k++) {
        v16 right = *(const v16 *)(b + k * b_stride);
        _Pragma("clang loop unroll(full)") for (int r = 0; r < rows; r++) sums[r] += left[r][k * depth_step] * right;
    }
    _Pragma("clang loop unroll(full)") for (int r = 0; r < rows; r++) *(v16 *)(c + r * c_stride) = sums[r];
}

/// c[rows, columns] (+)= a[rows, depth] b[depth, columns]; columns a multiple of 16.
INLINE void product(const bool accumulate, const float *a, int64_t row_step, int64_t depth_step, const float *b,
                    int64_t b_stride, float *c, int64_t c_stride, int64_t rows, int64_t columns, int64_t depth) {
    for (int64_t n = 0; n < columns; n += 16) {
        int64_t r = 0;
        for (; r + most_rows <= rows; r += most_rows) {
            tile(most_rows, accumulate, a + r * row_step, row_step, depth_step, b + n, b_stride, c + r * c_stride + n,
                 c_stride, depth);
        }
        const float *rest = a + r * row_step;
        float *to = c + r * c_stride + n;
        switch (rows - r) {
        case 5: tile(5, accumulate, rest, row_step, depth_step, b + n, b_stride, to, c_stride, depth); break;
        case 4: tile(4, accumulate, rest, row_step, depth_step, b + n, b_stride, to, c_stride, depth); break;
        case 3: tile(3, accumulate, rest, row_step, depth_step, b + n, b_stride, to, c_stride, depth); break;
        case 2: tile(2, accumulate, rest, row_step, depth_step, b + n, b_stride, to, c_stride, depth); break;
        case 1: tile(1, accumulate, rest, row_step, depth_step, b + n, b_stride, to, c_stride, depth); break;
        default: break;
        }
    }
}

/// to[rows, padded] = (from + bias) * factor, zero beyond `width` columns.
INLINE void pack(const float *from, int64_t stride, const float *bias, float factor, float *to, int64_t rows,
                 int64_t width, int64_t padded) {
    FAST_MATH
    for (int64_t r = 0; r < rows; r++) {
        const float *row = from + r * stride;
        float *out = to + r * padded;
        if (bias) {
            for (int64_t e = 0; e < width; e += 8) {
                *(v8 *)(out + e) = (*(const v8 *)(row + e) + *(const v8 *)(bias + e)) * factor;
            }
        } else {
            for (int64_t e = 0; e < width; e += 8) *(v8 *)(out + e) = *(const v8 *)(row + e) * factor;
        }
        if (padded > width) *(v8 *)(out + width) = (v8){0};
    }
}

#define INTERLEAVE_LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define INTERLEAVE_HIGH(a, b) __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define PAIRS_LOW(a, b) __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define PAIRS_HIGH(a, b) __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#define HALVES_LOW(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11)
#define HALVES_HIGH(a, b) __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15)

/// to[width, to_stride] = from[rows, padded] transposed in 8 x 8 blocks; columns up to `padded_rows` are zeroed.
INLINE void transpose(const float *from, int64_t padded, float *to, int64_t to_stride, int64_t rows, int64_t width,
                      int64_t padded_rows) {
    for (int64_t j = 0; j < padded_rows; j += 8) {
        for (int64_t e = 0; e < width; e += 8) {
            v8 x[8];
            _Pragma("clang loop unroll(full)") for (int r = 0; r < 8; r++) {
                if (j + r < rows) x[r] = *(const v8 *)(from + (j + r) * padded + e); else x[r] = (v8){0};
            }
            v8 a0 = INTERLEAVE_LOW(x[0], x[1]), a1 = INTERLEAVE_HIGH(x[0], x[1]);
            v8 a2 = INTERLEAVE_LOW(x[2], x[3]), a3 = INTERLEAVE_HIGH(x[2], x[3]);
            v8 a4 = INTERLEAVE_LOW(x[4], x[5]), a5 = INTERLEAVE_HIGH(x[4], x[5]);
            v8 a6 = INTERLEAVE_LOW(x[6], x[7]), a7 = INTERLEAVE_HIGH(x[6], x[7]);
            v8 b0 = PAIRS_LOW(a0, a2), b1 = PAIRS_HIGH(a0, a2), b2 = PAIRS_LOW(a1, a3), b3 = PAIRS_HIGH(a1, a3);
            v8 b4 = PAIRS_LOW(a4, a6), b5 = PAIRS_HIGH(a4, a6), b6 = PAIRS_LOW(a5, a7), b7 = PAIRS_HIGH(a5, a7);
            float *out = to + e * to_stride + j;
            *(v8 *)(out + 0 * to_stride) = HALVES_LOW(b0, b4);
            *(v8 *)(out + 1 * to_stride) = HALVES_LOW(b1, b5);
            *(v8 *)(out + 2 * to_stride) = HALVES_LOW(b2, b6);
            *(v8 *)(out + 3 * to_stride) = HALVES_LOW(b3, b7);
            *(v8 *)(out + 4 * to_stride) = HALVES_HIGH(b0, b4);
            *(v8 *)(out + 5 * to_stride) = HALVES_HIGH(b1, b5);
            *(v8 *)(out + 6 * to_stride) = HALVES_HIGH(b2, b6);
            *(v8 *)(out + 7 * to_stride) = HALVES_HIGH(b3, b7);
        }
    }
}

/// Asks for head `head`'s share of the next sequence's rows: heads read slices of a row far apart, which the hardware
/// does not foresee.
INLINE void prefetch_next(const int32_t *offsets, int64_t sequence, const float *rows, int64_t stride, int64_t head,
                          int64_t heads) {
    int64_t count = (offsets[sequence + 2] - offsets[sequence + 1]) * stride;
    const float *from = rows + offsets[sequence + 1] * stride;
    for (int64_t i = count * head / heads; i < count * (head + 1) / heads; i += 16) __builtin_prefetch(from + i, 0, 2);
}

/// Sizes of one pair's packed operands.
typedef struct {
    int64_t length, padded_length; // L, and L rounded up to whole vectors
    int64_t score_stride;          // kept off multiples of 512 bytes, which would fall into few cache sets
    int64_t width, padded_width;
} shape;

INLINE shape shape_of(int64_t length, int64_t width) {
    shape s;
    s.length = length;
    s.padded_length = (length + 15) / 16 * 16;
    s.score_stride = s.padded_length % 128 == 0 ? s.padded_length + 16 : s.padded_length;
    s.width = width;
    s.padded_width = (width + 15) / 16 * 16;
    return s;
}

/// to[rows, width] (strided) = from[rows, padded] * factor.
INLINE void unpack(const float *from, int64_t padded, float factor, float *to, int64_t stride, int64_t rows,
                   int64_t width) {
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t e = 0; e < width; e += 8) {
            *(v8 *)(to + r * stride + e) = *(const v8 *)(from + r * padded + e) * factor;
        }
    }
}
