// Sums over gradient arenas, in the order of ranks or along a binary tree: the same bits whichever rank adds.
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

INLINE void sum_tree(float *out, const float *const *arenas, int64_t leaves, tutti_range range) {
    EXACT_MATH
    enum { short_block = 256 };
    float sums[TUTTI_MOST_LEAVES / 2][short_block];
    for (int64_t start = range.begin; start < range.end; start += short_block) {
        int64_t count = range.end - start < short_block ? range.end - start : short_block;
        for (int64_t leaf = 0; leaf < leaves; leaf += 2) {
            const float *a = arenas[leaf] + start, *b = arenas[leaf + 1] + start;
            float *sum = sums[leaf / 2];
            VECTOR_LOOP
            for (int64_t i = 0; i < count; i++) sum[i] = a[i] + b[i];
        }
        for (int64_t width = leaves / 2; width > 1; width /= 2)
            for (int64_t pair = 0; pair < width / 2; pair++) {
                const float *a = sums[2 * pair], *b = sums[2 * pair + 1];
                float *sum = sums[pair];
                VECTOR_LOOP
                for (int64_t i = 0; i < count; i++) sum[i] = a[i] + b[i];
            }
        memcpy(out + start, sums[0], (size_t)count * sizeof(float));
    }
}
TUTTI_KERNEL(tutti_sum_tree, sum_tree,
             (float *out, const float *const *arenas, int64_t leaves, tutti_range range), (out, arenas, leaves, range))
