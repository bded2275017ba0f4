// Optimizer updates and sums of squares, bit-identical at every instruction level.
//
// Nothing is contracted or reassociated: each line is the operation of torch's single-tensor implementation, rounded
// separately. With fast contraction AVX2 and baseline results differed in 41 % of parameters after 100 steps, and replicas
// on different processors would drift apart. Sums keep sixteen fp64 lanes; squares of floats are exact in fp64.
#include "vectorise.h"

INLINE void adamw(float *p, const float *g, float *m, float *v, int64_t count, tutti_adamw_scalars s) {
    EXACT_MATH
    const int direct = s.one_minus_beta1 < 0.5f; // torch's lerp picks the form by its weight
    const float rest = 1.0f - s.one_minus_beta1;
    VECTOR_LOOP
    for (int64_t i = 0; i < count; i++) {
        float gradient = g[i] * s.gradient_scale;
        float decayed = p[i] * s.decay;
        float difference = gradient - m[i];
        float near_first = s.one_minus_beta1 * difference;
        near_first = m[i] + near_first;
        float near_gradient = difference * rest;
        near_gradient = gradient - near_gradient;
        float first = direct ? near_first : near_gradient;
        float scaled = v[i] * s.beta2;
        float square = s.one_minus_beta2 * gradient;
        square = square * gradient;
        float second = scaled + square;
        float denominator = __builtin_elementwise_sqrt(second) / s.root_correction2;
        denominator = denominator + s.epsilon;
        float step = -s.step_size * first;
        step = step / denominator;
        m[i] = first;
        v[i] = second;
        p[i] = decayed + step;
    }
}

TUTTI_KERNEL(tutti_adamw, adamw,
             (float *p, const float *g, float *m, float *v, int64_t count, tutti_adamw_scalars scalars),
             (p, g, m, v, count, scalars))

INLINE void sgd(float *p, const float *g, float *buffer, int64_t count, tutti_sgd_scalars s) {
    EXACT_MATH
    if (!buffer) {
        VECTOR_LOOP
        for (int64_t i = 0; i < count; i++) {
            float gradient = g[i] * s.gradient_scale;
            float decay = s.weight_decay * p[i];
            gradient = gradient + decay;
            float step = -s.learning_rate * gradient;
            p[i] = p[i] + step;
        }
        return;
    }
    const float keep = s.first ? 0.0f : s.momentum, take = s.first ? 1.0f : s.one_minus_dampening;
    VECTOR_LOOP
    for (int64_t i = 0; i < count; i++) {
        float gradient = g[i] * s.gradient_scale;
        float decay = s.weight_decay * p[i];
        gradient = gradient + decay;
        float kept = s.first ? 0.0f : buffer[i] * keep;
        float taken = gradient * take;
        float moment = kept + taken;
        float ahead = s.momentum * moment;
        ahead = gradient + ahead;
        float direction = s.nesterov ? ahead : moment;
        float step = -s.learning_rate * direction;
        buffer[i] = moment;
        p[i] = p[i] + step;
    }
}
TUTTI_KERNEL(tutti_sgd, sgd, (float *p, const float *g, float *buffer, int64_t count, tutti_sgd_scalars scalars),
             (p, g, buffer, count, scalars))

INLINE void add_squares(const float *x, int64_t count, double *sums) {
    EXACT_MATH
    double lanes[16];
    memcpy(lanes, sums, sizeof lanes);
    int64_t i = 0;
    for (; i + 16 <= count; i += 16) {
        _Pragma("clang loop vectorize(enable)") for (int k = 0; k < 16; k++) {
            double value = x[i + k];
            lanes[k] += value * value;
        }
    }
    for (int k = 0; i + k < count; k++) {
        double value = x[i + k];
        lanes[k] += value * value;
    }
    memcpy(sums, lanes, sizeof lanes);
}
TUTTI_KERNEL(tutti_add_squares, add_squares, (const float *x, int64_t count, double *sums), (x, count, sums))

INLINE void scale(float *x, int64_t count, float factor) {
    VECTOR_LOOP
    for (int64_t i = 0; i < count; i++) x[i] *= factor;
}
TUTTI_KERNEL(tutti_scale, scale, (float *x, int64_t count, float factor), (x, count, factor))

INLINE void add_scaled(float *y, const float *x, float a, int64_t count) {
    EXACT_MATH
    VECTOR_LOOP
    for (int64_t i = 0; i < count; i++) {
        float scaled = a * x[i];
        y[i] = y[i] + scaled;
    }
}
TUTTI_KERNEL(tutti_add_scaled, add_scaled, (float *y, const float *x, float a, int64_t count), (y, x, a, count))
