// Embedding tables: gather rows in forward, scatter-add columns in backward.
#include "vectorise.h"

TUTTI_CLONES
void tutti_embedding_gather(const float *word, const float *position, int64_t position_start, const float *type,
                            const int32_t *ids, const int32_t *types, const int32_t *offsets, int64_t sequences,
                            float *out, int64_t out_stride, int64_t begin, int64_t end, int64_t columns) {
    if (begin >= end) return;
    int64_t sequence = sequence_of(offsets, sequences, begin);
    for (int64_t t = begin; t < end; t++) {
        while (offsets[sequence + 1] <= t) sequence += 1;
        const float *from = word + (int64_t)ids[t] * columns;
        float *to = out + t * out_stride;
        if (type) {
            const float *kind = type + (types ? types[t] : 0) * columns;
            VECTOR_LOOP
            for (int64_t d = 0; d < columns; d++) to[d] = from[d] + kind[d];
            from = to;
        }
        if (position) {
            const float *place = position + (position_start + t - offsets[sequence]) * columns;
            VECTOR_LOOP
            for (int64_t d = 0; d < columns; d++) to[d] = from[d] + place[d];
        } else if (!type) {
            memcpy(to, from, (size_t)columns * sizeof(float));
        }
    }
}

INLINE void add_row(float *to, const float *from, int64_t begin, int64_t end) {
    VECTOR_LOOP
    for (int64_t d = begin; d < end; d++) to[d] += from[d];
}

TUTTI_CLONES
void tutti_embedding_scatter(const float *dout, int64_t dout_stride, const int32_t *ids, const int32_t *types,
                             const int32_t *offsets, int64_t sequences, float *dword, float *dposition,
                             int64_t position_start, float *dtype, int64_t padding_id, int64_t padding_position,
                             int64_t begin, int64_t end, int64_t columns) {
    for (int64_t s = 0; s < sequences; s++) {
        for (int64_t t = offsets[s]; t < offsets[s + 1]; t++) {
            const float *from = dout + t * dout_stride;
            int64_t place = position_start + t - offsets[s];
            if (dword && ids[t] != padding_id) add_row(dword + (int64_t)ids[t] * columns, from, begin, end);
            if (dposition && place != padding_position) add_row(dposition + place * columns, from, begin, end);
            if (dtype) add_row(dtype + (types ? types[t] : 0) * columns, from, begin, end);
        }
    }
}
