// Half-precision storage to and from fp32, in integer arithmetic: no conversion instructions or library calls needed.
#include "vectorise.h"

INLINE float from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

INLINE uint32_t to_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}

TUTTI_CLONES
void tutti_bf16_to_f32(const uint16_t *x, float *out, int64_t count) {
    VECTOR_LOOP
    for (int64_t i = 0; i < count; i++) out[i] = from_bits((uint32_t)x[i] << 16);
}

TUTTI_CLONES
void tutti_f32_to_bf16(const float *x, uint16_t *out, int64_t count) {
    VECTOR_LOOP
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits = to_bits(x[i]);
        uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16;
        out[i] = (uint16_t)((bits & 0x7FFFFFFFU) > 0x7F800000U ? (bits >> 16) | 0x40U : rounded);
    }
}

TUTTI_CLONES
void tutti_f16_to_f32(const uint16_t *x, float *out, int64_t count) {
    VECTOR_LOOP
    for (int64_t i = 0; i < count; i++) {
        uint32_t half = x[i], sign = (half & 0x8000U) << 16, rest = half & 0x7FFFU;
        uint32_t normal = (rest << 13) + 0x38000000U;
        uint32_t special = (rest << 13) | 0x7F800000U;
        float subnormal = (float)(int32_t)rest * 0x1p-24f;
        uint32_t magnitude = rest >= 0x7C00U ? special : rest >= 0x0400U ? normal : to_bits(subnormal);
        out[i] = from_bits(sign | magnitude);
    }
}

TUTTI_CLONES
void tutti_f32_to_f16(const float *x, uint16_t *out, int64_t count) {
    VECTOR_LOOP
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits = to_bits(x[i]), sign = (bits >> 16) & 0x8000U, rest = bits & 0x7FFFFFFFU;
        // Normal results: re-bias, then round to nearest even on the 13 dropped bits (a carry may reach infinity).
        uint32_t normal = (rest - 0x38000000U + 0xFFFU + ((rest >> 13) & 1U)) >> 13;
        // Results below 2^-14: adding 0.5 lets the adder round at the place of half's last subnormal bit.
        uint32_t subnormal = to_bits(from_bits(rest < 0x38800000U ? rest : 0U) + 0.5f) - 0x3F000000U;
        uint32_t half = rest > 0x7F800000U ? 0x7E00U
            : rest >= 0x47800000U ? 0x7C00U
            : rest < 0x38800000U ? subnormal : normal;
        out[i] = (uint16_t)(sign | half);
    }
}
