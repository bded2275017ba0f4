// Per-row top-k by insertion: a new score is compared with the row's worst, and most are not better.
//
// A block of sixteen columns is skipped at once if its maximum does not reach the worst kept score. Order is total:
// higher score first, then lower index, so the result does not depend on blocks or threads.
#include "vectorise.h"

INLINE void topk_merge(tutti_rows scores, int64_t columns, int64_t first, float *values, int32_t *indices, int64_t k,
                       tutti_range rows) {
    for (int64_t r = rows.begin; r < rows.end; r++) {
        const float *row = scores.at + r * scores.stride;
        float *best = values + r * k;
        int32_t *who = indices + r * k;
        for (int64_t c0 = 0; c0 < columns; c0 += 16) {
            int64_t c1 = c0 + 16 < columns ? c0 + 16 : columns;
            if (c1 - c0 == 16 && who[k - 1] >= 0) {
                float worst = best[k - 1];
                int candidates = 0;
                _Pragma("clang loop vectorize(enable)") for (int i = 0; i < 16; i++) candidates |= row[c0 + i] >= worst;
                if (!candidates) continue;
            }
            for (int64_t c = c0; c < c1; c++) {
                float score = row[c];
                int32_t index = (int32_t)(first + c);
                if (!(score == score)) continue;
                int64_t place = k;
                while (place > 0 && (who[place - 1] < 0 || score > best[place - 1]
                                     || (score == best[place - 1] && index < who[place - 1]))) {
                    place -= 1;
                }
                if (place == k) continue;
                memmove(best + place + 1, best + place, (size_t)(k - 1 - place) * sizeof(float));
                memmove(who + place + 1, who + place, (size_t)(k - 1 - place) * sizeof(int32_t));
                best[place] = score;
                who[place] = index;
            }
        }
    }
}
TUTTI_KERNEL(tutti_topk_merge, topk_merge,
             (tutti_rows scores, int64_t columns, int64_t first, float *values, int32_t *indices, int64_t k,
              tutti_range rows),
             (scores, columns, first, values, indices, k, rows))
