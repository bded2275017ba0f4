// Sums over the gradient arenas of several ranks, in rank order: the same bits whichever rank adds.
#include "vectorise.h"

enum { block = 1024 }; // floats whose running sum stays in L1

INLINE void sum_arenas(float *out, const float *const *arenas, int64_t ranks, tutti_range range) {
    EXACT_MATH
    int64_t begin = range.begin, end = range.end;
    if (ranks == 2) {
        const float *first = arenas[0], *second = arenas[1];
        VECTOR_LOOP
        for (int64_t i = begin; i < end; i++) out[i] = first[i] + second[i];
        return;
    }
    float sum[block];
    for (int64_t start = begin; start < end; start += block) {
        int64_t count = end - start < block ? end - start : block;
        memcpy(sum, arenas[0] + start, (size_t)count * sizeof(float));
        for (int64_t rank = 1; rank < ranks; rank++) {
            const float *values = arenas[rank] + start;
            VECTOR_LOOP
            for (int64_t i = 0; i < count; i++) sum[i] += values[i];
        }
        memcpy(out + start, sum, (size_t)count * sizeof(float));
    }
}
TUTTI_KERNEL(tutti_sum_arenas, sum_arenas,
             (float *out, const float *const *arenas, int64_t ranks, tutti_range range), (out, arenas, ranks, range))
