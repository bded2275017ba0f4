// The elementwise optimizers beside AdamW and SGD, bit-identical at every instruction level (optimizers.c says why).
//
// Each follows the order of operations of its reference: torch's single-tensor implementations, bitsandbytes' for Lion and
// AdEMAMix, schedulefree's for the schedule-free AdamW.
#include <stdbool.h>
#include "vectorise.h"

/// The gradient of element i: scaled, with coupled decay.
#define GRADIENT(name)                                                                                                 \
    float name = u.gradients[i] * s.gradient_scale;                                                                    \
    float name##_decay = s.coupled_decay * p[i];                                                                       \
    name = name + name##_decay

/// out = from + weight * (to - from), in the form that torch's lerp chooses by its weight.
#define LERP(out, from, to, weight)                                                                                    \
    float out##_way = (to) - (from);                                                                                   \
    float out##_near = (weight)*out##_way;                                                                             \
    out##_near = (from) + out##_near;                                                                                  \
    float out##_far = out##_way * (1.0f - (weight));                                                                   \
    out##_far = (to)-out##_far;                                                                                        \
    float out = (weight) < 0.5f ? out##_near : out##_far

/// out = kept * x + taken * g * g.
#define SQUARES(out, x, g, kept, taken)                                                                                \
    float out##_kept = (x) * (kept);                                                                                   \
    float out##_square = (taken) * (g);                                                                                \
    out##_square = out##_square * (g);                                                                                 \
    float out = out##_kept + out##_square

INLINE void adagrad(tutti_update u, tutti_update_scalars s) {
    EXACT_MATH
    float *p = u.parameters, *sum = u.a;
    VECTOR_LOOP
    for (int64_t i = 0; i < u.count; i++) {
        GRADIENT(g);
        float square = g * g;
        float total = sum[i] + square;
        float root = __builtin_elementwise_sqrt(total) + s.epsilon;
        float step = -s.rate * g;
        step = step / root;
        sum[i] = total;
        p[i] = p[i] + step;
    }
}
TUTTI_KERNEL(tutti_adagrad, adagrad, (tutti_update u, tutti_update_scalars s), (u, s))

INLINE void rmsprop_of(const bool centred, const bool moving, tutti_update u, tutti_update_scalars s) {
    EXACT_MATH
    float *p = u.parameters, *square = u.a, *mean = u.b, *buffer = u.c;
    VECTOR_LOOP
    for (int64_t i = 0; i < u.count; i++) {
        GRADIENT(g);
        SQUARES(v, square[i], g, s.beta2, s.one_minus_beta2);
        float variance = v;
        if (centred) {
            LERP(m, mean[i], g, s.one_minus_beta2);
            float offset = m * m;
            variance = variance - offset;
            mean[i] = m;
        }
        float root = __builtin_elementwise_sqrt(variance) + s.epsilon;
        square[i] = v;
        if (moving) {
            float kept = buffer[i] * s.momentum;
            float taken = g / root;
            float moment = kept + taken;
            float step = -s.rate * moment;
            buffer[i] = moment;
            p[i] = p[i] + step;
        } else {
            float step = -s.rate * g;
            step = step / root;
            p[i] = p[i] + step;
        }
    }
}

INLINE void rmsprop(tutti_update u, tutti_update_scalars s) {
    if (u.b && u.c) rmsprop_of(true, true, u, s);
    else if (u.b) rmsprop_of(true, false, u, s);
    else if (u.c) rmsprop_of(false, true, u, s);
    else rmsprop_of(false, false, u, s);
}
TUTTI_KERNEL(tutti_rmsprop, rmsprop, (tutti_update u, tutti_update_scalars s), (u, s))

INLINE void adadelta(tutti_update u, tutti_update_scalars s) {
    EXACT_MATH
    float *p = u.parameters, *square = u.a, *moved = u.b;
    VECTOR_LOOP
    for (int64_t i = 0; i < u.count; i++) {
        GRADIENT(g);
        SQUARES(v, square[i], g, s.beta2, s.one_minus_beta2);
        float root = __builtin_elementwise_sqrt(v + s.epsilon);
        float delta = __builtin_elementwise_sqrt(moved[i] + s.epsilon);
        delta = delta / root;
        delta = delta * g;
        SQUARES(way, moved[i], delta, s.beta2, s.one_minus_beta2);
        float step = -s.rate * delta;
        square[i] = v;
        moved[i] = way;
        p[i] = p[i] + step;
    }
}
TUTTI_KERNEL(tutti_adadelta, adadelta, (tutti_update u, tutti_update_scalars s), (u, s))

INLINE void adamax(tutti_update u, tutti_update_scalars s) {
    EXACT_MATH
    float *p = u.parameters, *moment = u.a, *largest = u.b;
    VECTOR_LOOP
    for (int64_t i = 0; i < u.count; i++) {
        GRADIENT(g);
        LERP(m, moment[i], g, s.one_minus_beta1);
        float kept = largest[i] * s.beta2;
        float size = __builtin_elementwise_abs(g) + s.epsilon;
        float most = kept > size ? kept : size;
        float step = -s.rate * m;
        step = step / most;
        moment[i] = m;
        largest[i] = most;
        p[i] = p[i] + step;
    }
}
TUTTI_KERNEL(tutti_adamax, adamax, (tutti_update u, tutti_update_scalars s), (u, s))

INLINE void nadam(tutti_update u, tutti_update_scalars s) {
    EXACT_MATH
    float *p = u.parameters, *moment = u.a, *square = u.b;
    VECTOR_LOOP
    for (int64_t i = 0; i < u.count; i++) {
        float decayed = p[i] * s.decay;
        GRADIENT(g);
        LERP(m, moment[i], g, s.one_minus_beta1);
        SQUARES(v, square[i], g, s.beta2, s.one_minus_beta2);
        float root = __builtin_elementwise_sqrt(v / s.correction2) + s.epsilon;
        float ahead = s.rate * g;
        ahead = ahead / root;
        float step = s.second_rate * m;
        step = step / root;
        moment[i] = m;
        square[i] = v;
        float moved = decayed + ahead;
        p[i] = moved + step;
    }
}
TUTTI_KERNEL(tutti_nadam, nadam, (tutti_update u, tutti_update_scalars s), (u, s))

INLINE void radam(tutti_update u, tutti_update_scalars s) {
    EXACT_MATH
    float *p = u.parameters, *moment = u.a, *square = u.b;
    const int rectified = s.second_rate > 0;
    VECTOR_LOOP
    for (int64_t i = 0; i < u.count; i++) {
        float decayed = p[i] * s.decay;
        GRADIENT(g);
        LERP(m, moment[i], g, s.one_minus_beta1);
        SQUARES(v, square[i], g, s.beta2, s.one_minus_beta2);
        float step = m / s.correction1;
        step = step * s.rate;
        float adaptive = __builtin_elementwise_sqrt(v) + s.epsilon;
        adaptive = s.correction2 / adaptive; // its root
        float rectangle = step * adaptive;
        rectangle = rectangle * s.second_rate;
        moment[i] = m;
        square[i] = v;
        p[i] = decayed - (rectified ? rectangle : step);
    }
}
TUTTI_KERNEL(tutti_radam, radam, (tutti_update u, tutti_update_scalars s), (u, s))

INLINE void lion(tutti_update u, tutti_update_scalars s) {
    EXACT_MATH
    float *p = u.parameters, *moment = u.a;
    VECTOR_LOOP
    for (int64_t i = 0; i < u.count; i++) {
        float g = u.gradients[i] * s.gradient_scale;
        float decayed = p[i] * s.decay;
        float kept = moment[i] * s.beta1, taken = g * s.one_minus_beta1;
        float direction = kept + taken;
        kept = moment[i] * s.beta2;
        taken = g * s.one_minus_beta2;
        float sign = direction > 0 ? 1.0f : direction < 0 ? -1.0f : 0.0f;
        float step = s.rate * sign;
        moment[i] = kept + taken;
        p[i] = decayed - step;
    }
}
TUTTI_KERNEL(tutti_lion, lion, (tutti_update u, tutti_update_scalars s), (u, s))

INLINE void ademamix(tutti_update u, tutti_update_scalars s) {
    EXACT_MATH
    float *p = u.parameters, *fast = u.a, *slow = u.b, *square = u.c;
    VECTOR_LOOP
    for (int64_t i = 0; i < u.count; i++) {
        float g = u.gradients[i] * s.gradient_scale;
        float kept = fast[i] * s.beta1, taken = g * s.one_minus_beta1;
        float m1 = kept + taken;
        kept = slow[i] * s.beta3;
        taken = g * s.one_minus_beta3;
        float m2 = kept + taken;
        SQUARES(v, square[i], g, s.beta2, s.one_minus_beta2);
        float root = __builtin_elementwise_sqrt(v) / s.correction2; // its root
        root = root + s.epsilon;
        float mixed = s.momentum * m2;
        float first = m1 / s.correction1;
        mixed = first + mixed;
        mixed = mixed / root;
        float decay = s.coupled_decay * p[i];
        mixed = mixed + decay;
        float step = -s.rate * mixed;
        fast[i] = m1;
        slow[i] = m2;
        square[i] = v;
        p[i] = p[i] + step;
    }
}
TUTTI_KERNEL(tutti_ademamix, ademamix, (tutti_update u, tutti_update_scalars s), (u, s))

INLINE void schedule_free(tutti_update u, tutti_update_scalars s) {
    EXACT_MATH
    float *y = u.parameters, *square = u.a, *z = u.b;
    VECTOR_LOOP
    for (int64_t i = 0; i < u.count; i++) {
        float g = u.gradients[i] * s.gradient_scale;
        SQUARES(v, square[i], g, s.beta2, s.one_minus_beta2);
        float root = __builtin_elementwise_sqrt(v / s.correction2) + s.epsilon;
        float direction = g / root;
        float decay = s.coupled_decay * y[i];
        direction = direction + decay;
        LERP(mixed, y[i], z[i], s.momentum);
        float step = s.second_rate * direction;
        float far = s.rate * direction;
        square[i] = v;
        y[i] = mixed + step;
        z[i] = z[i] - far;
    }
}
TUTTI_KERNEL(tutti_schedule_free, schedule_free, (tutti_update u, tutti_update_scalars s), (u, s))

INLINE void interpolate(float *out, const float *from, const float *to, float weight, int64_t count) {
    EXACT_MATH
    VECTOR_LOOP
    for (int64_t i = 0; i < count; i++) {
        LERP(mixed, from[i], to[i], weight);
        out[i] = mixed;
    }
}
TUTTI_KERNEL(tutti_interpolate, interpolate,
             (float *out, const float *from, const float *to, float weight, int64_t count),
             (out, from, to, weight, count))

INLINE void swap_floats(float *x, float *y, int64_t count) {
    VECTOR_LOOP
    for (int64_t i = 0; i < count; i++) {
        float kept = x[i];
        x[i] = y[i];
        y[i] = kept;
    }
}
TUTTI_KERNEL(tutti_swap, swap_floats, (float *x, float *y, int64_t count), (x, y, count))
