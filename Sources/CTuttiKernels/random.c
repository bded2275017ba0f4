// The cheap element hash of dropout.
//
// Philox (Kernels/Dropout.swift) costs too much for every element of every dropout site; it derives one 64-bit key per
// (sequence, site), and a two-round 32-bit mixing hash does the rest.
#include "vectorise.h"

uint32_t tutti_element_hash(uint64_t site_key, uint32_t index) {
    return element_hash((uint32_t)site_key, (uint32_t)(site_key >> 32), index);
}

INLINE void dropout_rows(tutti_rows x, tutti_rows out, tutti_range rows, int64_t columns, tutti_dropout dropout) {
    if (rows.begin >= rows.end) return;
    if (!dropout.keys) {
        for (int64_t t = rows.begin; t < rows.end; t++)
            memmove(out.at + t * out.stride, x.at + t * x.stride, (size_t)columns * 4);
        return;
    }
    int64_t sequence = sequence_of(dropout.offsets, dropout.sequences, rows.begin);
    for (int64_t t = rows.begin; t < rows.end; t++) {
        row_key key = key_of_row(&dropout, &sequence, t, columns);
        const float *from = x.at + t * x.stride;
        float *to = out.at + t * out.stride;
        VECTOR_LOOP
        for (int64_t d = 0; d < columns; d++) {
            uint32_t hash = element_hash(key.low, key.high, key.base + (uint32_t)d);
            to[d] = hash >= dropout.threshold ? from[d] * dropout.scale : 0.0f;
        }
    }
}
TUTTI_KERNEL(tutti_dropout_rows, dropout_rows,
             (tutti_rows x, tutti_rows out, tutti_range rows, int64_t columns, tutti_dropout dropout),
             (x, out, rows, columns, dropout))

INLINE void noise_rows(tutti_rows x, tutti_range rows, int64_t columns, float alpha, tutti_dropout keys) {
    EXACT_MATH
    if (rows.begin >= rows.end) return;
    int64_t sequence = sequence_of(keys.offsets, keys.sequences, rows.begin);
    for (int64_t t = rows.begin; t < rows.end; t++) {
        row_key key = key_of_row(&keys, &sequence, t, columns);
        int64_t length = keys.offsets[sequence + 1] - keys.offsets[sequence];
        float size = alpha / __builtin_elementwise_sqrt((float)(length * columns));
        float *at = x.at + t * x.stride;
        VECTOR_LOOP
        for (int64_t d = 0; d < columns; d++) {
            uint32_t hash = element_hash(key.low, key.high, key.base + (uint32_t)d);
            float share = (float)(int32_t)(hash >> 8) * 0x1p-23f; // 0 ..< 2
            share = share - 1.0f;
            float noise = size * share;
            at[d] = at[d] + noise;
        }
    }
}
TUTTI_KERNEL(tutti_noise_rows, noise_rows,
             (tutti_rows x, tutti_range rows, int64_t columns, float alpha, tutti_dropout keys),
             (x, rows, columns, alpha, keys))
