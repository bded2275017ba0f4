// The peak of this processor: fused multiply-adds in registers, and streams over memory.
//
// The bounds that `tutti bench` divides by. The FMA loop has enough independent accumulators that latency does not
// limit it (24 of 32 registers with AVX-512, 12 of 16 below; four cycles of latency on two pipes need 8), and it reads no
// memory. Bytes of a stream are the program's reads and writes, without the read caused by a store to a new line.

#include "vectorise.h"
#include <unistd.h>

typedef float lanes16 __attribute__((vector_size(64)));
typedef float lanes8 __attribute__((vector_size(32)));
typedef float lanes4 __attribute__((vector_size(16)));

/// One loop of `COUNT` accumulators of type VECTOR. They start with distinct values and stay
/// finite: x = x * 0.999... + 0.001 converges to a fixed point.
#define FMA_LOOP(NAME, VECTOR, COUNT, ATTRIBUTES)                                                                      \
    ATTRIBUTES static double NAME(int64_t rounds, const float *start, float *sink) {                                   \
        _Pragma("clang fp contract(fast)") VECTOR x[COUNT];                                                            \
        VECTOR factor = {0}, addend = {0};                                                                             \
        factor += start[0], addend += start[1];                                                                        \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < COUNT; i++) x[i] = addend * (float)(i + 1);             \
        for (int64_t round = 0; round < rounds; round++) {                                                             \
            _Pragma("clang loop unroll(full)") for (int i = 0; i < COUNT; i++) x[i] = x[i] * factor + addend;          \
        }                                                                                                              \
        VECTOR sum = {0};                                                                                              \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < COUNT; i++) sum += x[i];                                \
        *sink += sum[0];                                                                                               \
        return 2.0 * COUNT * (double)(sizeof(VECTOR) / sizeof(float)) * (double)rounds;                                \
    }

#if defined(__x86_64__)
FMA_LOOP(fma_v4, lanes16, 24, __attribute__((target("arch=x86-64-v4"), min_vector_width(512), noinline)))
FMA_LOOP(fma_v3, lanes8, 12, __attribute__((target("arch=x86-64-v3"), noinline)))
#endif
FMA_LOOP(fma_base, lanes4, 12, __attribute__((noinline)))

int tutti_machine_level(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("x86-64-v4")) return 4;
    if (__builtin_cpu_supports("x86-64-v3")) return 3;
#endif
    return 0;
}

int tutti_machine_is_amd(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    return __builtin_cpu_is("amd") != 0;
#else
    return 0;
#endif
}

int64_t tutti_machine_cache(void) {
    long bytes = 0;
#if defined(_SC_LEVEL2_CACHE_SIZE)
    bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
    if (bytes <= 0) return 1 << 20;
    int64_t cache = 256 << 10;
    while (cache < 2 << 20 && 2 * cache <= bytes) cache *= 2;
    return cache;
}

double tutti_machine_fma(int level, int64_t rounds, float *sink) {
    const float start[2] = {0.999f, 0.001f};
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (level == 4) return __builtin_cpu_supports("x86-64-v4") ? fma_v4(rounds, start, sink) : 0;
    if (level == 3) return __builtin_cpu_supports("x86-64-v3") ? fma_v3(rounds, start, sink) : 0;
#endif
    return level == 0 ? fma_base(rounds, start, sink) : 0;
}

INLINE void stream_scale(const float *x, float factor, float *out, int64_t count) {
    FAST_MATH
    VECTOR_LOOP
    for (int64_t i = 0; i < count; i++) out[i] = factor * x[i];
}
TUTTI_KERNEL(tutti_stream_scale, stream_scale, (const float *x, float factor, float *out, int64_t count),
             (x, factor, out, count))

INLINE void stream_triad(const float *x, const float *y, float factor, float *out, int64_t count) {
    FAST_MATH
    VECTOR_LOOP
    for (int64_t i = 0; i < count; i++) out[i] = x[i] + factor * y[i];
}
TUTTI_KERNEL(tutti_stream_triad, stream_triad,
             (const float *x, const float *y, float factor, float *out, int64_t count), (x, y, factor, out, count))

INLINE void stream_read(const float *x, int64_t count, float *result) {
    FAST_MATH
    float sums[64] = {0}; // sixty-four lanes: four chains of additions at full width
    int64_t whole = count / 64 * 64;
    for (int64_t i = 0; i < whole; i += 64) {
        VECTOR_LOOP
        for (int64_t lane = 0; lane < 64; lane++) sums[lane] += x[i + lane];
    }
    float sum = 0;
    for (int64_t i = whole; i < count; i++) sum += x[i];
    for (int64_t lane = 0; lane < 64; lane++) sum += sums[lane];
    *result = sum;
}
TUTTI_KERNEL(tutti_stream_read, stream_read, (const float *x, int64_t count, float *result), (x, count, result))
