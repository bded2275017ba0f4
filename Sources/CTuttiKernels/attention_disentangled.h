// Disentangled positions (DeBERTa) at one instruction level; included after attention_level.h.
//
// Score (i, j) also gets scale * (q_i . K_c + k_j . Q_c), where c is the row of the distance i - j in two projected tables
// of positions. Both products are made with all rows that the sequence's distances reach, for a block of queries and for a
// tile of keys, and the scores gather from them; backward adds the score gradients up by row, which are the gradients of
// these products. Memory: (queries of a block + keys of a tile) * rows.
// Reference: He et al. 2020, arXiv 2006.03654.

/// The positions of a head in its thread's scratch; m counts the rows that distances of the sequence reach.
typedef struct {
    int64_t first, count, stride;        // the first row, rows m, floats of a row of products
    int32_t *index;                      // [2 L - 1 + lanes] m of the distance i - j, at i - j + L - 1
    float *keys, *queries;               // [m, E] packed; queries scaled
    float *across_keys, *across_queries; // [E, m]
    float *read, *dread;                 // [queries of a block, m]: q . K, and its gradient
    float *met, *dmet;                   // [keys of a tile, m]: k . Q, and its gradient
    float *dkeys, *dqueries;             // [m, E]
} LEVEL(relatives);

/// Packs a head's rows of the projected tables that the sequence's distances reach.
LEVEL_INLINE LEVEL(relatives) LEVEL(relatives_of)(const tutti_attention *a, float *scratch, int64_t length,
                                                  int64_t head, int64_t width) {
    const tutti_relative *all = a->relative;
    const int32_t *rows = all->rows + all->maximum - 1;
    LEVEL(relatives) r;
    r.first = rows[1 - length];
    r.count = rows[length - 1] - r.first + 1;
    r.stride = whole_vectors(r.count);
    int64_t padded = whole_vectors(width), packed = (r.count + most_rows) * padded;
    int64_t tile = ((length < most_keys ? length : most_keys) + most_rows) * r.stride;
    r.index = (int32_t *)scratch;
    r.keys = scratch + whole_vectors(2 * length + most_lanes), r.queries = r.keys + packed;
    r.dkeys = r.queries + packed, r.dqueries = r.dkeys + packed;
    r.across_keys = r.dqueries + packed, r.across_queries = r.across_keys + padded * r.stride;
    r.read = r.across_queries + padded * r.stride, r.dread = r.read + (most_block + most_rows) * r.stride;
    r.met = r.dread + (most_block + most_rows) * r.stride, r.dmet = r.met + tile;
    for (int64_t d = 1 - length; d < length; d++) r.index[d + length - 1] = rows[d] - (int32_t)r.first;
    for (int64_t d = 0; d < LANES; d++) r.index[2 * length - 1 + d] = 0;
    for (int side = 0; side < 2; side++) {
        tutti_optional_rows from = side ? all->queries : all->keys;
        if (!from.at) continue;
        from.at += r.first * from.stride + head * width;
        float factor = side ? a->scale : 1.0f, *across = side ? r.across_queries : r.across_keys;
        LEVEL(pack)(from.at, from.stride, NULL, factor, side ? r.queries : r.keys, padded, r.count, width);
        for (int64_t m = 0; m < r.count; m += LANES) {
            LEVEL(transpose)(from.at + m * from.stride, from.stride, NULL, factor, across + m, r.stride, r.count - m,
                             width);
        }
    }
    return r;
}

/// The products of a tile of keys with the queries of positions, and zero gradients of them.
LEVEL_INLINE void LEVEL(meet)(const tutti_attention *a, const LEVEL(places) *s, const LEVEL(relatives) *r, int64_t j0,
                              int64_t count, bool backward) {
    if (!a->relative->queries.at) return;
    small_product p = {s->k + j0 * s->padded, s->padded, r->across_queries, r->stride, r->met, r->stride, count,
                       r->count, s->width, NULL, false};
    LEVEL(product_of_rows)(&p);
    if (backward) memset(r->dmet, 0, 4 * (size_t)(count * r->stride));
}

LEVEL_INLINE VECTOR LEVEL(gather)(const float *from, WORDS index) {
    VECTOR x;
    EACH for (int lane = 0; lane < LANES; lane++) x[lane] = from[index[lane]];
    return x;
}

/// scores of the block at i0 and some keys of the tile at j0 += both terms; s->q holds the packed queries.
LEVEL_INLINE void LEVEL(add_relatives)(const tutti_attention *a, const LEVEL(places) *s, const LEVEL(relatives) *r,
                                       int64_t i0, int64_t queries, int64_t rows, int64_t j0, tutti_range keys) {
    bool reads = a->relative->keys.at, meets = a->relative->queries.at;
    if (reads) {
        small_product p = {s->q + i0 * s->padded, s->padded, r->across_keys, r->stride, r->read, r->stride, rows,
                           r->count, s->width, NULL, false};
        LEVEL(product_of_rows)(&p);
    }
    WORDS apart;
    EACH for (int lane = 0; lane < LANES; lane++) apart[lane] = (uint32_t)(lane * r->stride);
    for (int64_t i = 0; i < queries && i < rows; i += LANES) {
        const float *read = r->read + i * r->stride;
        for (int64_t j = keys.begin; j < keys.end; j++) {
            WORDS index = *(const WORDS *)(r->index + i0 + i - j + s->length - 1);
            VECTOR sum = {0};
            if (reads) sum += LEVEL(gather)(read, index + apart);
            if (meets) sum += LEVEL(gather)(r->met + (j - j0) * r->stride, index);
            *(VECTOR *)(s->scores + (j - keys.begin) * queries + i) += sum;
        }
    }
}

/// The score gradients of a block, summed by row; then the gradients of its queries, and of the keys of positions.
LEVEL_INLINE void LEVEL(relatives_backward)(const tutti_attention *a, const LEVEL(places) *s,
                                            const LEVEL(relatives) *r, int64_t i0, int64_t queries, int64_t rows,
                                            int64_t j0, tutti_range keys, const float *factors, float *dq,
                                            int64_t dq_stride) {
    bool reads = a->relative->keys.at, meets = a->relative->queries.at;
    if (reads) memset(r->dread, 0, 4 * (size_t)(rows * r->stride));
    for (int64_t j = keys.begin; j < keys.end; j++) {
        const float *gradients = s->gradients + (j - keys.begin) * queries;
        const int32_t *index = r->index + i0 - j + s->length - 1;
        if (reads) {
            float *to = r->dread;
            for (int64_t i = 0; i < rows; i++, to += r->stride) to[index[i]] += gradients[i];
        }
        if (meets) {
            float *to = r->dmet + (j - j0) * r->stride;
            for (int64_t i = 0; i < rows; i++) to[index[i]] += gradients[i];
        }
    }
    if (!reads) return;
    small_product queried = {r->dread, r->stride, r->keys, s->padded, dq, dq_stride, rows, s->width, r->count, factors,
                             true};
    LEVEL(product_of_rows)(&queried);
    small_product key = {r->dread, r->stride, s->q + i0 * s->padded, s->padded, r->dkeys, s->padded, r->count, s->width,
                         rows, NULL, true};
    LEVEL(product_of_columns)(&key);
}

/// The gradients of a tile's keys (rows `stride` apart from dk on), and of the queries of positions, which still lack the
/// scale.
LEVEL_INLINE void LEVEL(meet_backward)(const tutti_attention *a, const LEVEL(places) *s, const LEVEL(relatives) *r,
                                       int64_t j0, int64_t count, float *dk, int64_t stride) {
    if (!a->relative->queries.at) return;
    small_product key = {r->dmet, r->stride, r->queries, s->padded, dk, stride, count, s->width, r->count, NULL, true};
    LEVEL(product_of_rows)(&key);
    small_product query = {r->dmet, r->stride, s->k + j0 * s->padded, s->padded, r->dqueries, s->padded, r->count,
                           s->width, count, NULL, true};
    LEVEL(product_of_columns)(&query);
}

/// Adds a head's sums to the gradients of the projected tables.
LEVEL_INLINE void LEVEL(add_relative_gradients)(const tutti_attention *a, const LEVEL(relatives) *r, int64_t padded,
                                                int64_t head, int64_t width) {
    for (int side = 0; side < 2; side++) {
        tutti_optional_rows to = side ? a->relative->dqueries : a->relative->dkeys;
        if (!to.at) continue;
        const float *from = side ? r->dqueries : r->dkeys;
        float factor = side ? a->scale : 1.0f;
        for (int64_t m = 0; m < r->count; m++) {
            float *row = to.at + (r->first + m) * to.stride + head * width;
            for (int64_t e = 0; e < width; e++) row[e] += factor * from[m * padded + e];
        }
    }
}
