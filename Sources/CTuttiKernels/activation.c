// Bias and activation, forward and backward, recomputed from the stored pre-activation.
#include <stdbool.h>
#include "activation_functions.h"

INLINE void forward_rows(const int kind, tutti_rows x, const float *bias, tutti_rows out, tutti_range rows,
                         int64_t columns) {
    for (int64_t r = rows.begin; r < rows.end; r++) {
        const float *from = x.at + r * x.stride;
        float *to = out.at + r * out.stride;
        if (bias) {
            VECTOR_LOOP
            for (int64_t c = 0; c < columns; c++) to[c] = value(kind, from[c] + bias[c]);
        } else {
            VECTOR_LOOP
            for (int64_t c = 0; c < columns; c++) to[c] = value(kind, from[c]);
        }
    }
}

INLINE void backward_rows(const int kind, tutti_rows x, const float *bias, tutti_rows dout, tutti_rows dx,
                          tutti_range rows, int64_t columns) {
    for (int64_t r = rows.begin; r < rows.end; r++) {
        const float *from = x.at + r * x.stride, *gradient = dout.at + r * dout.stride;
        float *to = dx.at + r * dx.stride;
        if (bias) {
            VECTOR_LOOP
            for (int64_t c = 0; c < columns; c++) to[c] = gradient[c] * derivative(kind, from[c] + bias[c]);
        } else {
            VECTOR_LOOP
            for (int64_t c = 0; c < columns; c++) to[c] = gradient[c] * derivative(kind, from[c]);
        }
    }
}

INLINE void forward(int kind, tutti_rows x, const float *bias, tutti_rows out, tutti_range rows, int64_t columns) {
#define FORWARD(k) forward_rows(k, x, bias, out, rows, columns)
    EACH_KIND(FORWARD)
}
TUTTI_KERNEL(tutti_activation_forward, forward,
             (int kind, tutti_rows x, const float *bias, tutti_rows out, tutti_range rows, int64_t columns),
             (kind, x, bias, out, rows, columns))

INLINE void backward(int kind, tutti_rows x, const float *bias, tutti_rows dout, tutti_rows dx, tutti_range rows,
                     int64_t columns) {
#define BACKWARD(k) backward_rows(k, x, bias, dout, dx, rows, columns)
    EACH_KIND(BACKWARD)
}
TUTTI_KERNEL(tutti_activation_backward, backward,
             (int kind, tutti_rows x, const float *bias, tutti_rows dout, tutti_rows dx, tutti_range rows,
              int64_t columns),
             (kind, x, bias, dout, dx, rows, columns))

INLINE void both_at(const int kind, float u, float *gradient, float *activated) {
    *gradient *= derivative(kind, u);
    *activated = value(kind, u);
}

INLINE void both_rows(const int kind, tutti_rows x, const float *bias, tutti_rows dout, tutti_rows activated,
                      tutti_range rows, int64_t columns) {
    for (int64_t r = rows.begin; r < rows.end; r++) {
        const float *from = x.at + r * x.stride;
        float *gradient = dout.at + r * dout.stride, *to = activated.at + r * activated.stride;
        if (bias) {
            VECTOR_LOOP
            for (int64_t c = 0; c < columns; c++) both_at(kind, from[c] + bias[c], gradient + c, to + c);
        } else {
            VECTOR_LOOP
            for (int64_t c = 0; c < columns; c++) both_at(kind, from[c], gradient + c, to + c);
        }
    }
}

INLINE void both(int kind, tutti_rows x, const float *bias, tutti_rows dout, tutti_rows activated, tutti_range rows,
                 int64_t columns) {
#define BOTH(k) both_rows(k, x, bias, dout, activated, rows, columns)
    EACH_KIND(BOTH)
}
TUTTI_KERNEL(tutti_activation_both, both,
             (int kind, tutti_rows x, const float *bias, tutti_rows dout, tutti_rows activated, tutti_range rows,
              int64_t columns),
             (kind, x, bias, dout, activated, rows, columns))
