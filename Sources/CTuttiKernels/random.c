// Philox4x32-10 for keys, and the cheap element hash of dropout.
//
// Reference: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011 (Random123). Philox costs
// too much for every element of every dropout site; it derives one 64-bit key a (sequence, site) and a two-round 32-bit
// mixing hash does the rest. The last counter word separates the three derivations.
#include "vectorise.h"

void tutti_philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t output[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53U * c0;
        uint64_t b = (uint64_t)0xCD9E8D57U * c2;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)b;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)a;
        k0 += 0x9E3779B9U;
        k1 += 0xBB67AE85U;
    }
    output[0] = c0;
    output[1] = c1;
    output[2] = c2;
    output[3] = c3;
}

static uint64_t derive(uint64_t key, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3) {
    uint32_t counter[4] = {c0, c1, c2, c3}, halves[2] = {(uint32_t)key, (uint32_t)(key >> 32)}, out[4];
    tutti_philox4x32_10(counter, halves, out);
    return (uint64_t)out[0] | (uint64_t)out[1] << 32;
}

uint64_t tutti_sequence_key(uint64_t seed, uint64_t step, uint32_t micro_step, uint64_t slot, uint32_t column) {
    uint64_t step_key = derive(seed, (uint32_t)step, (uint32_t)(step >> 32), micro_step, 0x53544550U);
    return derive(step_key, (uint32_t)slot, (uint32_t)(slot >> 32), column, 0x534C4F54U);
}

uint64_t tutti_site_key(uint64_t sequence_key, uint32_t layer, uint32_t site) {
    return derive(sequence_key, layer, site, 0, 0x53495445U);
}

void tutti_site_keys(const uint64_t *sequence_keys, int64_t count, uint32_t layer, uint32_t site, uint64_t *out) {
    for (int64_t s = 0; s < count; s++) out[s] = tutti_site_key(sequence_keys[s], layer, site);
}

uint32_t tutti_element_hash(uint64_t site_key, uint32_t index) {
    return element_hash((uint32_t)site_key, (uint32_t)(site_key >> 32), index);
}

TUTTI_CLONES
void tutti_dropout_rows(const float *x, int64_t x_stride, float *out, int64_t out_stride, int64_t begin, int64_t end,
                        int64_t columns, tutti_dropout dropout) {
    if (begin >= end) return;
    if (!dropout.keys) {
        for (int64_t t = begin; t < end; t++) memmove(out + t * out_stride, x + t * x_stride, (size_t)columns * 4);
        return;
    }
    int64_t sequence = sequence_of(dropout.offsets, dropout.sequences, begin);
    for (int64_t t = begin; t < end; t++) {
        row_key key = key_of_row(&dropout, &sequence, t, columns);
        const float *from = x + t * x_stride;
        float *to = out + t * out_stride;
        VECTOR_LOOP
        for (int64_t d = 0; d < columns; d++) {
            uint32_t hash = element_hash(key.low, key.high, key.base + (uint32_t)d);
            to[d] = hash >= dropout.threshold ? from[d] * dropout.scale : 0.0f;
        }
    }
}
