// Bias and activation, forward and backward, recomputed from the stored pre-activation.
//
// GELU needs erf, which as a call does not vectorize. With a = |u| and t = 1 / (1 + 0.3 a), the normal distribution's tail
// is Q(a) = exp(-a^2 / 2) * t * P(t), P of degree 7 fitted by minimax to 1.5e-7 relative on a in [0, 14]; so Phi keeps
// its relative accuracy in the negative tail, where 1 + erf cancels, and the exponential is also used by the derivative.
#include "vectorise.h"

/// exp(-u^2 / 2) and Phi(u).
INLINE void normal_distribution(float u, float *density, float *cumulative) {
    FAST_MATH
    float a = __builtin_elementwise_abs(u);
    float t = 1.0f / (1.0f + 0.3f * a);
    float p = 3.5674876882e-02f;
    p = p * t - 1.5720349929e-01f;
    p = p * t + 2.0635419567e-01f;
    p = p * t - 5.3684245499e-02f;
    p = p * t + 1.2856192419e-01f;
    p = p * t + 9.9913408763e-02f;
    p = p * t + 1.2075396825e-01f;
    p = p * t + 1.1962929811e-01f;
    float e = fast_exp(-0.5f * u * u);
    e = a > 13.0f ? 0.0f : e;
    float tail = e * (t * p);
    *density = e;
    *cumulative = u < 0.0f ? tail : 1.0f - tail;
}

/// tanh: a polynomial near zero (Cephes), 1 - 2 / (e^2x + 1) elsewhere.
INLINE float fast_tanh(float x) {
    FAST_MATH
    float a = __builtin_elementwise_abs(x);
    float square = x * x;
    float p = -5.70498872745e-3f;
    p = p * square + 2.06390887954e-2f;
    p = p * square - 5.37397155531e-2f;
    p = p * square + 1.33314422036e-1f;
    p = p * square - 3.33332819422e-1f;
    float near = p * square * x + x;
    float far = 1.0f - 2.0f / (fast_exp(2.0f * a) + 1.0f);
    far = x < 0.0f ? -far : far;
    return a < 0.625f ? near : far;
}

INLINE float sigmoid(float x) {
    FAST_MATH
    return 1.0f / (1.0f + fast_exp(-x));
}

INLINE float value(const int kind, float u) {
    FAST_MATH
    float e, phi;
    switch (kind) {
    case TUTTI_GELU:
        normal_distribution(u, &e, &phi);
        return u * phi;
    case TUTTI_GELU_TANH:
        return 0.5f * u * (1.0f + fast_tanh(0.7978845608028654f * (u + 0.044715f * u * u * u)));
    case TUTTI_RELU:
        return u > 0.0f ? u : 0.0f;
    case TUTTI_SILU:
        return u * sigmoid(u);
    case TUTTI_TANH:
        return fast_tanh(u);
    case TUTTI_SIGMOID:
        return sigmoid(u);
    default:
        return u;
    }
}

INLINE float derivative(const int kind, float u) {
    FAST_MATH
    float e, phi, s;
    switch (kind) {
    case TUTTI_GELU:
        normal_distribution(u, &e, &phi);
        return phi + u * e * 0.3989422804014327f;
    case TUTTI_GELU_TANH:
        s = fast_tanh(0.7978845608028654f * (u + 0.044715f * u * u * u));
        return 0.5f * (1.0f + s) + 0.5f * u * (1.0f - s * s) * (0.7978845608028654f * (1.0f + 0.134145f * u * u));
    case TUTTI_RELU:
        return u > 0.0f ? 1.0f : 0.0f;
    case TUTTI_SILU:
        s = sigmoid(u);
        return s * (1.0f + u * (1.0f - s));
    case TUTTI_TANH:
        s = fast_tanh(u);
        return 1.0f - s * s;
    case TUTTI_SIGMOID:
        s = sigmoid(u);
        return s * (1.0f - s);
    default:
        return 1.0f;
    }
}

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

// The kind becomes a constant inside each case, so that every loop is straight vector code.
#define EACH_KIND(call)                                                                                                \
    switch (kind) {                                                                                                    \
    case TUTTI_GELU: call(TUTTI_GELU); break;                                                                          \
    case TUTTI_GELU_TANH: call(TUTTI_GELU_TANH); break;                                                                \
    case TUTTI_RELU: call(TUTTI_RELU); break;                                                                          \
    case TUTTI_SILU: call(TUTTI_SILU); break;                                                                          \
    case TUTTI_TANH: call(TUTTI_TANH); break;                                                                          \
    case TUTTI_SIGMOID: call(TUTTI_SIGMOID); break;                                                                    \
    default: call(TUTTI_IDENTITY); break;                                                                              \
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

INLINE void both_rows(const int kind, tutti_rows x, const float *bias, tutti_rows dout, tutti_rows activated,
                      tutti_range rows, int64_t columns) {
    for (int64_t r = rows.begin; r < rows.end; r++) {
        const float *from = x.at + r * x.stride;
        float *gradient = dout.at + r * dout.stride, *to = activated.at + r * activated.stride;
        VECTOR_LOOP
        for (int64_t c = 0; c < columns; c++) {
            float u = bias ? from[c] + bias[c] : from[c];
            gradient[c] *= derivative(kind, u);
            to[c] = value(kind, u);
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
