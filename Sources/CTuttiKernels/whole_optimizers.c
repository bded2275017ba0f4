// Parts of the optimizers that look at whole matrices: Adafactor's factored second moment, Muon's rounding.
//
// As in optimizers.c nothing is contracted or reassociated. Sums are of fp64 in a fixed order: sixteen lanes along a row,
// row after row down a column, so that neither threads nor the instruction level change a bit.
#include <stdbool.h>
#include "vectorise.h"

/// g * scale squared, plus epsilon, in fp32.
#define SQUARE(g)                                                                                                      \
    float gradient = (g)*s.gradient_scale;                                                                             \
    float square = gradient * gradient;                                                                                \
    square = square + s.epsilon

INLINE void adafactor_rows(const float *g, int64_t rows, int64_t columns, float *state, tutti_update_scalars s) {
    EXACT_MATH
    for (int64_t r = 0; r < rows; r++) {
        const float *x = g + r * columns;
        double lanes[16] = {0};
        int64_t i = 0;
        for (; i + 16 <= columns; i += 16) {
            _Pragma("clang loop vectorize(enable)") for (int k = 0; k < 16; k++) {
                SQUARE(x[i + k]);
                lanes[k] += square;
            }
        }
        for (int k = 0; i + k < columns; k++) {
            SQUARE(x[i + k]);
            lanes[k] += square;
        }
        double sum = 0;
        for (int k = 0; k < 16; k++) sum += lanes[k];
        float mean = (float)(sum / (double)columns);
        float kept = state[r] * s.beta2, taken = s.one_minus_beta2 * mean;
        state[r] = kept + taken;
    }
}
TUTTI_KERNEL(tutti_adafactor_rows, adafactor_rows,
             (const float *g, int64_t rows, int64_t columns, float *state, tutti_update_scalars s),
             (g, rows, columns, state, s))

INLINE void adafactor_columns(const float *g, int64_t rows, int64_t columns, tutti_range part, float *state,
                              tutti_update_scalars s) {
    EXACT_MATH
    double sums[256];
    for (int64_t first = part.begin; first < part.end; first += 256) {
        int64_t count = part.end - first < 256 ? part.end - first : 256;
        for (int64_t k = 0; k < count; k++) sums[k] = 0;
        for (int64_t r = 0; r < rows; r++) {
            const float *x = g + r * columns + first;
            VECTOR_LOOP
            for (int64_t k = 0; k < count; k++) {
                SQUARE(x[k]);
                sums[k] += square;
            }
        }
        for (int64_t k = 0; k < count; k++) {
            float mean = (float)(sums[k] / (double)rows);
            float kept = state[first + k] * s.beta2, taken = s.one_minus_beta2 * mean;
            state[first + k] = kept + taken;
        }
    }
}
TUTTI_KERNEL(tutti_adafactor_columns, adafactor_columns,
             (const float *g, int64_t rows, int64_t columns, tutti_range part, float *state, tutti_update_scalars s),
             (g, rows, columns, part, state, s))

INLINE void adafactor_matrix(float *u, int64_t rows, int64_t columns, const float *state, float mean,
                             const float *column_state, tutti_update_scalars s) {
    EXACT_MATH
    for (int64_t r = 0; r < rows; r++) {
        float *x = u + r * columns;
        float row = 1.0f / __builtin_elementwise_sqrt(state[r] / mean);
        VECTOR_LOOP
        for (int64_t i = 0; i < columns; i++) {
            float column = 1.0f / __builtin_elementwise_sqrt(column_state[i]);
            float factor = row * column;
            float gradient = x[i] * s.gradient_scale;
            x[i] = factor * gradient;
        }
    }
}
TUTTI_KERNEL(tutti_adafactor_matrix, adafactor_matrix,
             (float *u, int64_t rows, int64_t columns, const float *state, float mean, const float *column_state,
              tutti_update_scalars s),
             (u, rows, columns, state, mean, column_state, s))

INLINE void adafactor_vector(float *u, int64_t count, float *state, tutti_update_scalars s) {
    EXACT_MATH
    VECTOR_LOOP
    for (int64_t i = 0; i < count; i++) {
        SQUARE(u[i]);
        float kept = state[i] * s.beta2, taken = s.one_minus_beta2 * square;
        float second = kept + taken;
        float factor = 1.0f / __builtin_elementwise_sqrt(second);
        state[i] = second;
        u[i] = factor * gradient;
    }
}
TUTTI_KERNEL(tutti_adafactor_vector, adafactor_vector, (float *u, int64_t count, float *state, tutti_update_scalars s),
             (u, count, state, s))

INLINE void adafactor_move_of(const bool moving, tutti_update u, tutti_update_scalars s) {
    EXACT_MATH
    float *p = u.parameters, *moment = u.a;
    VECTOR_LOOP
    for (int64_t i = 0; i < u.count; i++) {
        float update = u.gradients[i] / s.correction1;
        update = update * s.rate;
        if (moving) {
            float kept = moment[i] * s.beta1, taken = s.one_minus_beta1 * update;
            update = kept + taken;
            moment[i] = update;
        }
        float decay = s.decay * p[i];
        float decayed = p[i] - decay;
        p[i] = decayed - update;
    }
}

INLINE void adafactor_move(tutti_update u, tutti_update_scalars s) {
    if (u.a) adafactor_move_of(true, u, s); else adafactor_move_of(false, u, s);
}
TUTTI_KERNEL(tutti_adafactor_move, adafactor_move, (tutti_update u, tutti_update_scalars s), (u, s))

/// x * factor rounded to bf16, ties to even, as fp32.
INLINE void round_bf16(float *out, const float *x, float factor, int64_t count) {
    EXACT_MATH
    VECTOR_LOOP
    for (int64_t i = 0; i < count; i++) {
        float value = x[i] * factor;
        uint32_t bits;
        memcpy(&bits, &value, 4);
        bits = (bits + 0x7FFFu + ((bits >> 16) & 1u)) & 0xFFFF0000u;
        memcpy(&value, &bits, 4);
        out[i] = value;
    }
}
TUTTI_KERNEL(tutti_round_bf16, round_bf16, (float *out, const float *x, float factor, int64_t count),
             (out, x, factor, count))
