// Embedding bags: the mean of the rows of a table that the tokens of a sequence select, and the adjoint. One pass over
// the rows, because nothing is kept a token.
#include "vectorise.h"

INLINE void bag_forward(const tutti_tokens *tokens, const float *table, tutti_rows out, tutti_range sequences,
                        int64_t columns) {
    for (int64_t s = sequences.begin; s < sequences.end; s++) {
        int64_t begin = tokens->offsets[s], end = tokens->offsets[s + 1];
        float *to = out.at + s * out.stride;
        memset(to, 0, (size_t)columns * sizeof(float));
        for (int64_t t = begin; t < end; t++) {
            const float *from = table + (int64_t)tokens->ids[t] * columns;
            VECTOR_LOOP
            for (int64_t d = 0; d < columns; d++) to[d] += from[d];
        }
        if (end - begin < 2) continue;
        float factor = 1.0f / (float)(end - begin);
        VECTOR_LOOP
        for (int64_t d = 0; d < columns; d++) to[d] *= factor;
    }
}
TUTTI_KERNEL(tutti_bag_forward, bag_forward,
             (const tutti_tokens *tokens, const float *table, tutti_rows out, tutti_range sequences, int64_t columns),
             (tokens, table, out, sequences, columns))

INLINE void bag_backward(const tutti_tokens *tokens, tutti_rows dout, float *dtable, tutti_range part,
                         int64_t columns) {
    for (int64_t s = 0; s < tokens->sequences; s++) {
        int64_t begin = tokens->offsets[s], end = tokens->offsets[s + 1];
        const float *from = dout.at + s * dout.stride;
        float factor = 1.0f / (float)(end - begin);
        for (int64_t t = begin; t < end; t++) {
            float *to = dtable + (int64_t)tokens->ids[t] * columns;
            VECTOR_LOOP
            for (int64_t d = part.begin; d < part.end; d++) to[d] += factor * from[d];
        }
    }
}
TUTTI_KERNEL(tutti_bag_backward, bag_backward,
             (const tutti_tokens *tokens, tutti_rows dout, float *dtable, tutti_range part, int64_t columns),
             (tokens, dout, dtable, part, columns))
