// Embedding tables: gather rows in forward, scatter-add columns in backward.
#include "vectorise.h"

/// The row of the position table of token t, which is in the sequence that starts at `start`.
INLINE int64_t position_of(const tutti_tokens *tokens, int64_t t, int64_t start) {
    return tokens->positions ? tokens->positions[t] : tokens->position_start + t - start;
}

INLINE void gather(const tutti_tokens *tokens, const float *word, const float *position, const float *type,
                   tutti_rows out, tutti_range rows, int64_t columns) {
    if (rows.begin >= rows.end) return;
    const int32_t *ids = tokens->ids, *types = tokens->types, *offsets = tokens->offsets;
    int64_t sequence = sequence_of(offsets, tokens->sequences, rows.begin);
    for (int64_t t = rows.begin; t < rows.end; t++) {
        while (offsets[sequence + 1] <= t) sequence += 1;
        const float *from = word + (int64_t)ids[t] * columns;
        float *to = out.at + t * out.stride;
        if (type) {
            const float *kind = type + (types ? types[t] : 0) * columns;
            VECTOR_LOOP
            for (int64_t d = 0; d < columns; d++) to[d] = from[d] + kind[d];
            from = to;
        }
        if (position) {
            const float *place = position + position_of(tokens, t, offsets[sequence]) * columns;
            VECTOR_LOOP
            for (int64_t d = 0; d < columns; d++) to[d] = from[d] + place[d];
        } else if (!type) {
            memcpy(to, from, (size_t)columns * sizeof(float));
        }
    }
}
TUTTI_KERNEL(tutti_embedding_gather, gather,
             (const tutti_tokens *tokens, const float *word, const float *position, const float *type, tutti_rows out,
              tutti_range rows, int64_t columns),
             (tokens, word, position, type, out, rows, columns))

INLINE void add_row(float *to, const float *from, int64_t begin, int64_t end) {
    VECTOR_LOOP
    for (int64_t d = begin; d < end; d++) to[d] += from[d];
}

INLINE void scatter(const tutti_tokens *tokens, tutti_rows dout, float *dword, float *dposition, float *dtype,
                    tutti_range part, int64_t columns) {
    const int32_t *ids = tokens->ids, *types = tokens->types, *offsets = tokens->offsets;
    int64_t padding_id = tokens->padding_id, padding_position = tokens->padding_position;
    int64_t begin = part.begin, end = part.end;
    for (int64_t s = 0; s < tokens->sequences; s++) {
        for (int64_t t = offsets[s]; t < offsets[s + 1]; t++) {
            const float *from = dout.at + t * dout.stride;
            int64_t place = position_of(tokens, t, offsets[s]);
            if (dword && ids[t] != padding_id) add_row(dword + (int64_t)ids[t] * columns, from, begin, end);
            if (dposition && place != padding_position) add_row(dposition + place * columns, from, begin, end);
            if (dtype) add_row(dtype + (types ? types[t] : 0) * columns, from, begin, end);
        }
    }
}
TUTTI_KERNEL(tutti_embedding_scatter, scatter,
             (const tutti_tokens *tokens, tutti_rows dout, float *dword, float *dposition, float *dtype,
              tutti_range part, int64_t columns),
             (tokens, dout, dword, dposition, dtype, part, columns))
