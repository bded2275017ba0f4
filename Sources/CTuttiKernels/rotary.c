// Heads of queries and keys between their projection and attention: bias, RMS norm over the head, rotation by position.
//
// y = rotate(norm(x + bias)), each step optional. The rotation turns the pairs (i, i + R / 2) of the first R numbers of a
// head by an angle that grows with the position; its adjoint is the rotation by the negative angle.
// Reference: Su et al. 2021, arXiv 2104.09864; apply_rotary_pos_emb in transformers.
#include "vectorise.h"
#include <math.h>
#include <stdbool.h>

void tutti_rotary_table(const float *frequencies, int64_t half, float factor, tutti_range positions, float *table) {
    for (int64_t p = positions.begin; p < positions.end; p++) {
        float *row = table + p * 2 * half;
        for (int64_t i = 0; i < half; i++) {
            float angle = (float)p * frequencies[i]; // rounded to fp32, as the reference's
            row[i] = (float)cos((double)angle) * factor;
            row[half + i] = (float)sin((double)angle) * factor;
        }
    }
}

/// y = y turned by the angles of a position, or turned back.
INLINE void turn(const bool back, const float *angles, float *y, int64_t half) {
    FAST_MATH
    const float *cosines = angles, *sines = angles + half;
    float *other = y + half;
    VECTOR_LOOP
    for (int64_t i = 0; i < half; i++) {
        float a = y[i], b = other[i], s = back ? -sines[i] : sines[i];
        y[i] = a * cosines[i] - b * s;
        other[i] = b * cosines[i] + a * s;
    }
}

/// 1 / sqrt(mean((x + bias)^2) + epsilon)
INLINE float inverse_root(const float *x, const float *bias, float epsilon, int64_t width) {
    FAST_MATH
    float squares = 0.0f;
    if (bias) {
        VECTOR_LOOP
        for (int64_t e = 0; e < width; e++) squares += (x[e] + bias[e]) * (x[e] + bias[e]);
    } else {
        VECTOR_LOOP
        for (int64_t e = 0; e < width; e++) squares += x[e] * x[e];
    }
    return 1.0f / __builtin_elementwise_sqrt(squares / (float)width + epsilon);
}

INLINE void forward_of(const tutti_heads *h, tutti_rows x, tutti_rows out, tutti_range rows) {
    FAST_MATH
    if (rows.begin >= rows.end) return;
    int64_t width = h->width, half = h->rotated / 2, sequence = sequence_of(h->offsets, h->sequences, rows.begin);
    for (int64_t t = rows.begin; t < rows.end; t++) {
        while (h->offsets[sequence + 1] <= t) sequence += 1;
        const float *angles = h->angles ? h->angles + (t - h->offsets[sequence]) * h->rotated : NULL;
        for (int64_t head = 0; head < h->heads; head++) {
            const float *from = x.at + t * x.stride + head * width, *bias = h->bias ? h->bias + head * width : NULL;
            float *to = out.at + t * out.stride + head * width;
            if (h->weight) {
                float r = inverse_root(from, bias, h->epsilon, width), shift = h->weight_shift;
                const float *weight = h->weight;
                if (bias) {
                    VECTOR_LOOP
                    for (int64_t e = 0; e < width; e++) to[e] = (from[e] + bias[e]) * r * (weight[e] + shift);
                } else {
                    VECTOR_LOOP
                    for (int64_t e = 0; e < width; e++) to[e] = from[e] * r * (weight[e] + shift);
                }
            } else if (bias) {
                VECTOR_LOOP
                for (int64_t e = 0; e < width; e++) to[e] = from[e] + bias[e];
            } else if (to != from) {
                memcpy(to, from, (size_t)width * sizeof(float));
            }
            if (angles) turn(false, angles, to, half);
        }
    }
}
TUTTI_KERNEL(tutti_heads_forward, forward_of, (const tutti_heads *h, tutti_rows x, tutti_rows out, tutti_range rows),
             (h, x, out, rows))

/// The gradients of one head's norm: of its weights, added, and of its input in place of the output's.
INLINE void norm_backward(const bool biased, const float *from, const float *bias, float r, const float *weight,
                          float shift, float *g, float *dweight, int64_t width) {
    FAST_MATH
    float along = 0.0f;
    VECTOR_LOOP
    for (int64_t e = 0; e < width; e++) {
        float normal = (biased ? from[e] + bias[e] : from[e]) * r;
        along += g[e] * (weight[e] + shift) * normal;
    }
    along /= (float)width;
    VECTOR_LOOP
    for (int64_t e = 0; e < width; e++) {
        float normal = (biased ? from[e] + bias[e] : from[e]) * r;
        dweight[e] += g[e] * normal;
        g[e] = r * (g[e] * (weight[e] + shift) - normal * along);
    }
}

INLINE void backward_of(const tutti_heads *h, tutti_rows x, tutti_rows dout, float *dweight, tutti_range rows) {
    FAST_MATH
    if (rows.begin >= rows.end) return;
    int64_t width = h->width, half = h->rotated / 2, sequence = sequence_of(h->offsets, h->sequences, rows.begin);
    for (int64_t t = rows.begin; t < rows.end; t++) {
        while (h->offsets[sequence + 1] <= t) sequence += 1;
        const float *angles = h->angles ? h->angles + (t - h->offsets[sequence]) * h->rotated : NULL;
        for (int64_t head = 0; head < h->heads; head++) {
            float *g = dout.at + t * dout.stride + head * width;
            if (angles) turn(true, angles, g, half);
            if (!h->weight) continue;
            const float *from = x.at + t * x.stride + head * width, *bias = h->bias ? h->bias + head * width : NULL;
            const float *weight = h->weight;
            float r = inverse_root(from, bias, h->epsilon, width);
            if (bias) norm_backward(true, from, bias, r, weight, h->weight_shift, g, dweight, width);
            else norm_backward(false, from, NULL, r, weight, h->weight_shift, g, dweight, width);
        }
    }
}
TUTTI_KERNEL(tutti_heads_backward, backward_of,
             (const tutti_heads *h, tutti_rows x, tutti_rows dout, float *dweight, tutti_range rows),
             (h, x, dout, dweight, rows))
