// fp32 to bf16 and back, for messages of half the size.
#include "vectorise.h"

/// The nearest bf16, ties to even; a NaN stays one.
INLINE void narrow(uint16_t *out, const float *x, int64_t count) {
    VECTOR_LOOP
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], 4);
        uint32_t rounded = (bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16;
        uint32_t quiet = bits >> 16 | 0x40u;
        out[i] = (uint16_t)((bits & 0x7FFFFFFFu) > 0x7F800000u ? quiet : rounded);
    }
}
TUTTI_KERNEL(tutti_narrow, narrow, (uint16_t *out, const float *x, int64_t count), (out, x, count))

INLINE void widen(float *out, const uint16_t *x, int64_t count) {
    VECTOR_LOOP
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)x[i] << 16;
        memcpy(&out[i], &bits, 4);
    }
}
TUTTI_KERNEL(tutti_widen, widen, (float *out, const uint16_t *x, int64_t count), (out, x, count))
