// The activations and their derivatives, one element at a time, for the loops of activation.c and gated.c.
//
// GELU needs erf, which as a call does not vectorize. With a = |u| and t = 1 / (1 + 0.3 a), the normal distribution's tail
// is Q(a) = exp(-a^2 / 2) * t * P(t), P of degree 7 fitted by minimax to 1.5e-7 relative on a in [0, 14]; so Phi keeps
// its relative accuracy in the negative tail, where 1 + erf cancels, and the exponential is also used by the derivative.
#pragma once
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

/// tanh(ln(1 + e^u)) = n / (n + 2) with n = e^u (e^u + 2): no cancellation for negative u, and 1 above 20.
INLINE float tanh_of_softplus(float u) {
    FAST_MATH
    float e = fast_exp(u > 20.0f ? 20.0f : u);
    float n = e * (e + 2.0f);
    return n / (n + 2.0f);
}

/// The piecewise linear stand-in for the logistic function.
INLINE float hard_sigmoid(float u) {
    FAST_MATH
    float s = (u + 3.0f) * (1.0f / 6.0f);
    return s < 0.0f ? 0.0f : s > 1.0f ? 1.0f : s;
}

/// f(u).
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
    case TUTTI_QUICK_GELU:
        return u * sigmoid(1.702f * u);
    case TUTTI_RELU6:
        return u > 6.0f ? 6.0f : u > 0.0f ? u : 0.0f;
    case TUTTI_LEAKY_RELU:
        return u > 0.0f ? u : 0.01f * u;
    case TUTTI_MISH:
        return u * tanh_of_softplus(u);
    case TUTTI_HARD_SWISH:
        return u * hard_sigmoid(u);
    case TUTTI_RELU_SQUARED:
        return u > 0.0f ? u * u : 0.0f;
    default:
        return u;
    }
}

/// f'(u).
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
    case TUTTI_QUICK_GELU:
        s = sigmoid(1.702f * u);
        return s * (1.0f + 1.702f * u * (1.0f - s));
    case TUTTI_RELU6:
        return u > 0.0f && u < 6.0f ? 1.0f : 0.0f;
    case TUTTI_LEAKY_RELU:
        return u > 0.0f ? 1.0f : 0.01f;
    case TUTTI_MISH:
        s = tanh_of_softplus(u);
        return s + u * (1.0f - s * s) * sigmoid(u);
    case TUTTI_HARD_SWISH:
        return u <= -3.0f ? 0.0f : u < 3.0f ? u * (1.0f / 3.0f) + 0.5f : 1.0f;
    case TUTTI_RELU_SQUARED:
        return u > 0.0f ? 2.0f * u : 0.0f;
    default:
        return 1.0f;
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
    case TUTTI_QUICK_GELU: call(TUTTI_QUICK_GELU); break;                                                              \
    case TUTTI_RELU6: call(TUTTI_RELU6); break;                                                                        \
    case TUTTI_LEAKY_RELU: call(TUTTI_LEAKY_RELU); break;                                                              \
    case TUTTI_MISH: call(TUTTI_MISH); break;                                                                          \
    case TUTTI_HARD_SWISH: call(TUTTI_HARD_SWISH); break;                                                              \
    case TUTTI_RELU_SQUARED: call(TUTTI_RELU_SQUARED); break;                                                          \
    default: call(TUTTI_IDENTITY); break;                                                                              \
    }
