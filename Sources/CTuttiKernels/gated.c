// The product in a gated feed-forward, f(u) * v: u and v are the halves of one pre-activation row, biases not yet added; each half has
// its own, or both have none.
//
// Backward recomputes f(u): its output takes the place of the output's gradient, for the weight gradient of the next
// product, and the halves' gradients take the places of the halves. `second` = f applies to the second half.
#include "activation_functions.h"
#include <stdbool.h>

INLINE void gated_forward_rows(const int kind, bool second, tutti_rows x, const tutti_gate_bias *bias,
                               tutti_rows out, tutti_range rows, int64_t columns) {
    const float *u_bias = bias ? (second ? bias->second : bias->first) : NULL;
    const float *v_bias = bias ? (second ? bias->first : bias->second) : NULL;
    for (int64_t r = rows.begin; r < rows.end; r++) {
        const float *row = x.at + r * x.stride, *u = row + (second ? columns : 0), *v = row + (second ? 0 : columns);
        float *to = out.at + r * out.stride;
        if (bias) {
            VECTOR_LOOP
            for (int64_t c = 0; c < columns; c++) to[c] = value(kind, u[c] + u_bias[c]) * (v[c] + v_bias[c]);
        } else {
            VECTOR_LOOP
            for (int64_t c = 0; c < columns; c++) to[c] = value(kind, u[c]) * v[c];
        }
    }
}

INLINE void gated_forward(int kind, int second, tutti_rows x, const tutti_gate_bias *bias, tutti_rows out,
                          tutti_range rows, int64_t columns) {
#define FORWARD(k) gated_forward_rows(k, second, x, bias, out, rows, columns)
    EACH_KIND(FORWARD)
}
TUTTI_KERNEL(tutti_gated_forward, gated_forward,
             (int kind, int second, tutti_rows x, const tutti_gate_bias *bias, tutti_rows out, tutti_range rows,
              int64_t columns),
             (kind, second, x, bias, out, rows, columns))

/// The gradients of one product: of both factors, and the product itself in place of its gradient.
INLINE void gated_gradients(const int kind, float a, float b, float *u, float *v, float *gradient) {
    FAST_MATH
    float f = value(kind, a), g = *gradient;
    *u = g * b * derivative(kind, a);
    *v = g * f;
    *gradient = f * b;
}

INLINE void gated_backward_rows(const int kind, bool second, tutti_rows x, const tutti_gate_bias *bias,
                                tutti_rows dout, tutti_range rows, int64_t columns) {
    const float *u_bias = bias ? (second ? bias->second : bias->first) : NULL;
    const float *v_bias = bias ? (second ? bias->first : bias->second) : NULL;
    for (int64_t r = rows.begin; r < rows.end; r++) {
        float *row = x.at + r * x.stride, *u = row + (second ? columns : 0), *v = row + (second ? 0 : columns);
        float *gradient = dout.at + r * dout.stride;
        // Two loops: with the choice inside, the lanes of a missing bias would be masked loads from NULL (vectorise.h).
        if (bias) {
            VECTOR_LOOP
            for (int64_t c = 0; c < columns; c++)
                gated_gradients(kind, u[c] + u_bias[c], v[c] + v_bias[c], u + c, v + c, gradient + c);
        } else {
            VECTOR_LOOP
            for (int64_t c = 0; c < columns; c++) gated_gradients(kind, u[c], v[c], u + c, v + c, gradient + c);
        }
    }
}

INLINE void gated_backward(int kind, int second, tutti_rows x, const tutti_gate_bias *bias, tutti_rows dout,
                           tutti_range rows, int64_t columns) {
#define BACKWARD(k) gated_backward_rows(k, second, x, bias, dout, rows, columns)
    EACH_KIND(BACKWARD)
}
TUTTI_KERNEL(tutti_gated_backward, gated_backward,
             (int kind, int second, tutti_rows x, const tutti_gate_bias *bias, tutti_rows dout, tutti_range rows,
              int64_t columns),
             (kind, second, x, bias, dout, rows, columns))
