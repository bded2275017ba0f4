// How the loops of this folder are compiled: one source, three instruction levels, chosen at run time.
//
// TUTTI_KERNEL builds a loop for x86-64-v4 (AVX-512), x86-64-v3 (AVX2 and FMA) and the baseline, and the public function
// that calls the one of the level in use (compute.c): the processor's best, or a lower one that was requested, as in
// tests. FAST_MATH lets a loop contract a * b + c and reassociate sums (row kernels); optimizer kernels use EXACT_MATH
// instead, so that every level gives the same bits. expf and erf are written out as polynomials, since calls to libm do
// not vectorize.
#pragma once
#include "CTuttiKernels.h"
#include <float.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/// The settings of kernels called by this thread; never null.
extern _Thread_local const tutti_compute *tutti_here;

#if defined(__x86_64__) && defined(__linux__)
/// The one of three values for the level in use.
#define AT_LEVEL(v4, v3, base) (tutti_here->level >= 4 ? (v4) : tutti_here->level == 3 ? (v3) : (base))
// Loops that the compiler vectorizes name features: "arch=x86-64-v4" would also name a processor to tune for, which
// prefers vectors of half the width. Code with explicit vectors (attention, products) is tuned for that processor.
#define FEATURES_3 "avx2,bmi,bmi2,crc32,cx16,f16c,fma,lzcnt,movbe,popcnt,sahf,sse4.2,xsave"
#define LEVEL_4 __attribute__((target(FEATURES_3 ",avx512f,avx512bw,avx512cd,avx512dq,avx512vl"), min_vector_width(512)))
#define LEVEL_3 __attribute__((target(FEATURES_3), min_vector_width(256)))
#define LEVEL_4_TUNED __attribute__((target("arch=x86-64-v4"), min_vector_width(512)))
#define LEVEL_3_TUNED __attribute__((target("arch=x86-64-v3"), min_vector_width(256)))
/// The function `name` of these parameters, which runs `loop` (always inlined) as built for the level in use.
#define TUTTI_KERNEL(name, loop, parameters, arguments)                                                                \
    LEVEL_4 static void name##_v4 parameters { loop arguments; }                                                       \
    LEVEL_3 static void name##_v3 parameters { loop arguments; }                                                       \
    static void name##_base parameters { loop arguments; }                                                             \
    void name parameters { AT_LEVEL(name##_v4, name##_v3, name##_base) arguments; }
#else
#define AT_LEVEL(v4, v3, base) (base)
#define TUTTI_KERNEL(name, loop, parameters, arguments)                                                                \
    void name parameters { loop arguments; }
#endif

#define FAST_MATH _Pragma("clang fp contract(fast) reassociate(on)")
#define EXACT_MATH _Pragma("clang fp contract(off) reassociate(off)")
#define VECTOR_LOOP _Pragma("clang loop vectorize(assume_safety)")
// VECTOR_LOOP promises that iterations are independent: an output may be the input itself, never a shifted view of it.
// A pointer that may be null is tested before such a loop, or is a `const bool` of an inlined function: a test inside becomes
// a masked load from address 0, which does nothing but takes a microcode assist, some hundred cycles a vector.
// Tests/LayeringTests looks for them.

/// e^x to about 1 ulp for x in [-87, 88]; clamped outside. Cephes' expf: range reduction by ln 2 in two parts.
INLINE float fast_exp(float x) {
    _Pragma("clang fp contract(fast) reassociate(off)") // reassociation would undo the rounding by addition
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    float shifted = x * 1.44269504088896341f + 12582912.0f; // 1.5 * 2^23: rounds to an integer in the low bits
    int32_t bits;
    memcpy(&bits, &shifted, 4);
    float n = shifted - 12582912.0f;
    float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    float y = p * (r * r) + r + 1.0f;
    int32_t power = (int32_t)((uint32_t)(bits + 127 - 0x4B400000) << 23);
    float two_n;
    memcpy(&two_n, &power, 4);
    return y * two_n;
}

/// The element hash of dropout: two multiply-xorshift rounds (constants of Wellons' lowbias32), one half of the site key
/// before each.
INLINE uint32_t element_hash(uint32_t low, uint32_t high, uint32_t index) {
    uint32_t x = index + low;
    x ^= x >> 16;
    x *= 0x7feb352dU;
    x += high;
    x ^= x >> 15;
    x *= 0x846ca68bU;
    x ^= x >> 16;
    return x;
}

/// The sequence that owns packed row t (offsets ascending, t < offsets[sequences]; empty sequences are skipped).
INLINE int64_t sequence_of(const int32_t *offsets, int64_t sequences, int64_t t) {
    int64_t low = 0, high = sequences;
    while (high - low > 1) {
        int64_t middle = (low + high) / 2;
        if (offsets[middle] <= t) low = middle; else high = middle;
    }
    return low;
}

/// Dropout of one packed row: the first element index of its sequence, and the halves of its key.
typedef struct {
    uint32_t base, low, high;
} row_key;

INLINE row_key key_of_row(const tutti_dropout *dropout, int64_t *sequence, int64_t t, int64_t columns) {
    while (dropout->offsets[*sequence + 1] <= t) *sequence += 1;
    uint64_t key = dropout->keys[*sequence];
    row_key result = {(uint32_t)((t - dropout->offsets[*sequence]) * columns), (uint32_t)key, (uint32_t)(key >> 32)};
    return result;
}
