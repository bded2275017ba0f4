// CTuttiKernels: the numeric loops of Tutti, in C so that the compiler vectorizes them (see ARCHITECTURE.md, decision 8).
//
// No function allocates; all work on fp32 row-major memory that the caller owns. Row kernels take a range of rows, so
// that TuttiKernels.Parallel can split rows over threads; kernels that add over rows take a range of columns instead,
// so that their sums do not depend on the number of threads. `columns` is the width of the rows.
//
// Legend: T packed tokens (no padding), S sequences, D hidden, H heads, E = D / H, F inner width, L one sequence's length,
//         offsets [S + 1]: sequence s owns rows offsets[s] ..< offsets[s + 1]; "stride" = floats from one row to the next.
#pragma once
#include <stdint.h>

#if defined(__cplusplus)
#error "CTuttiKernels is C"
#endif

#pragma clang assume_nonnull begin

/// The rows of a matrix: the first number of row 0, and the numbers from the start of one row to that of the next.
typedef struct {
    float *at;
    int64_t stride;
} tutti_rows;

/// Rows, columns or pieces begin ..< end.
typedef struct {
    int64_t begin, end;
} tutti_range;

// --------------------------------------------------------------------------------------------------- compute.c
typedef struct tutti_pool tutti_pool;

/// The settings of kernels. They belong to a thread, and to the threads of its pool while they work for it.
typedef struct {
    int32_t level;             // 4 x86-64-v4 (AVX-512), 3 x86-64-v3 (AVX2 and FMA), 0 the baseline
    int32_t library_threads;   // of oneDNN's products
    int32_t forward, input_gradient, weight_gradient; // providers of products, numbered by TuttiKernels
    int32_t wide;              // whether products with AVX-512 use tiles of 6 x 64, not 8 x 48: the same bits
    int64_t cache;             // bytes of the second cache that blocks are made for
    tutti_pool *_Nullable pool; // null: the calling thread alone
} tutti_compute;
/// The settings of threads that have entered no others.
tutti_compute *tutti_compute_plain(void);
/// The settings of this thread.
const tutti_compute *tutti_compute_here(void);
/// Sets the settings of this thread; returns the previous ones, to be restored.
const tutti_compute *tutti_compute_enter(const tutti_compute *compute);

// ---------------------------------------------------------------------------------------------------- random.c
/// The 32-bit hash of an element under a site key; the element is kept where it is >= the threshold.
uint32_t tutti_element_hash(uint64_t site_key, uint32_t index);

/// Dropout over packed rows: element (p, d) of a sequence has index p * D + d. `keys` null = no dropout.
typedef struct {
    const uint64_t *_Nullable keys;   // [S] site keys
    const int32_t *_Nullable offsets; // [S + 1]
    int64_t sequences;                // S
    uint32_t threshold;               // p * 2^32
    float scale;                      // 1 / (1 - p)
} tutti_dropout;

/// out = dropout(x); `out` may be `x`.
void tutti_dropout_rows(tutti_rows x, tutti_rows out, tutti_range rows, int64_t columns, tutti_dropout dropout);
/// x += uniform noise in +-alpha / sqrt(L * columns), L rows of the sequence; of `keys` only keys and offsets count.
void tutti_noise_rows(tutti_rows x, tutti_range rows, int64_t columns, float alpha, tutti_dropout keys);

// ------------------------------------------------------------------------------------------------ activation.c
enum { TUTTI_IDENTITY = 0, TUTTI_GELU = 1, TUTTI_GELU_TANH = 2, TUTTI_RELU = 3, TUTTI_SILU = 4, TUTTI_TANH = 5,
       TUTTI_SIGMOID = 6, TUTTI_QUICK_GELU = 7, TUTTI_RELU6 = 8, TUTTI_LEAKY_RELU = 9, TUTTI_MISH = 10,
       TUTTI_HARD_SWISH = 11, TUTTI_RELU_SQUARED = 12 };
/// out = f(x + bias); `out` may be `x`; null bias = none.
void tutti_activation_forward(int kind, tutti_rows x, const float *_Nullable bias, tutti_rows out, tutti_range rows,
                              int64_t columns);
/// dx = dout * f'(x + bias); `dx` may be `dout` or `x`.
void tutti_activation_backward(int kind, tutti_rows x, const float *_Nullable bias, tutti_rows dout, tutti_rows dx,
                               tutti_range rows, int64_t columns);
/// dout *= f'(x + bias), and `activated` = f(x + bias); `activated` may be `x`.
void tutti_activation_both(int kind, tutti_rows x, const float *_Nullable bias, tutti_rows dout, tutti_rows activated,
                           tutti_range rows, int64_t columns);

// ----------------------------------------------------------------------------------------------------- gated.c
/// [F] the biases of both halves of a gated pre-activation, which need not be adjacent.
typedef struct {
    const float *first, *second;
} tutti_gate_bias;
/// out [., F] = f(u) * v of the halves of x + bias [., 2 F]; f applies to the first half, or to the second; F = columns.
/// `out` may be one of the halves; null bias = none.
void tutti_gated_forward(int kind, int second, tutti_rows x, const tutti_gate_bias *_Nullable bias, tutti_rows out,
                         tutti_range rows, int64_t columns);
/// The adjoint, in place: x becomes the halves' gradients, and dout the product f(u) * v again.
void tutti_gated_backward(int kind, int second, tutti_rows x, const tutti_gate_bias *_Nullable bias, tutti_rows dout,
                          tutti_range rows, int64_t columns);

// ------------------------------------------------------------------------------------------------------ lstm.c
/// One moment of an LSTM of `width` cells: a row a text. gates [., 4 width] hold the products and become the gates'
/// activations; cells and hidden [., width]; before [., width] the cells of the moment before, null at the first.
typedef struct {
    tutti_rows gates, cells, hidden;
    const float *_Nullable before;
    int64_t before_stride;
    const float *bias, *recurrent_bias; // [4 width]
} tutti_cell;
void tutti_lstm_forward(const tutti_cell *x, tutti_range rows, int64_t width);
/// gates become the gradients of the products, of those of hidden; dcell is that of the cells, and becomes that of the
/// cells before.
void tutti_lstm_backward(const tutti_cell *x, tutti_rows dhidden, tutti_rows dcell, tutti_range rows, int64_t width);

// ------------------------------------------------------------------------------------------------------ gemm.c
/// c [m, n] = alpha op(a) op(b) + beta c; c must not overlap a or b.
typedef struct {
    int transpose_a, transpose_b;
    int64_t m, n, k; // all > 0
    float alpha, beta;
    tutti_rows a, b, c;
    /// With transpose_a: column_sums [m] += sums over the k rows of the stored a; null = none.
    float *_Nullable column_sums;
} tutti_product;
/// Runs on the threads of tutti_parallel_for; panels are packed into memory that the calling thread keeps.
void tutti_multiply(const tutti_product *product);

// ------------------------------------------------------------------------------------- half_gemm.c, int8_gemm.c
/// The processor's products of bf16 numbers with fp32 sums, and of 8-bit integers, all of which give the same numbers.
enum { tutti_half_none = 0, tutti_half_vectors = 1, tutti_half_tiles = 2 };
enum { tutti_int8_none = 0, tutti_int8_vectors = 1, tutti_int8_tiles = 2 };
/// The fastest that this processor and system have at the level in use; a larger number is faster.
int tutti_half_best(void), tutti_int8_best(void);
/// c [m, n] = op(a) op(b) + beta c, the numbers of a and b rounded to bf16 first (ties to even; what is smaller than the
/// smallest normal number counts as zero), sums in fp32; alpha is 1, beta 0 or 1, and column_sums null. `how`: vectors or
/// tiles, which the processor must have. An element of c depends only on its row of op(a) and its column of op(b).
void tutti_multiply_half(const tutti_product *product, int how);
/// c = a b^T + beta c for numbers rounded to 8 bits, every row of a and of b to 127ths of its largest; sums are exact, only b
/// is transposed, k is at most 100,000, all else as above.
void tutti_multiply_int8(const tutti_product *product, int how);

// ---------------------------------------------------------------------------------------------------- onednn.c
/// Whether oneDNN is installed; loads it at the first call.
int tutti_onednn_available(void);
/// Its version; 0, or -1 if it is not installed or has none.
int tutti_onednn_version(int *major, int *minor, int *patch);
/// The product alone; 0, or oneDNN's status (-1: not installed).
int tutti_onednn_multiply(const tutti_product *product);

// ------------------------------------------------------------------------------------------------------ rows.c
/// x += bias.
void tutti_add_bias(tutti_rows x, const float *bias, tutti_range rows, int64_t columns);
/// sums[c] += sum over `rows` rows of x[., c], for a range of columns; blocks of 64 rows are summed separately.
void tutti_column_sums(tutti_rows x, int64_t rows, tutti_range columns, float *sums);
/// x = softmax over each row.
void tutti_softmax_rows(tutti_rows x, tutti_range rows, int64_t columns);
/// norms[r] = |x_r|; out = x / max(norm, epsilon) (F.normalize); `out` may be `x`.
void tutti_normalize_forward(tutti_rows x, tutti_rows out, float *norms, float epsilon, tutti_range rows,
                             int64_t columns);
/// dx = (dy - y (y . dy)) / norm, or dy / epsilon below epsilon; `dx` may be `dy`.
void tutti_normalize_backward(tutti_rows y, const float *norms, tutti_rows dy, tutti_rows dx, float epsilon,
                              tutti_range rows, int64_t columns);

// ------------------------------------------------------------------------------------------------------ norm.c
/// LayerNorm ((x - mean) * rstd * gamma + beta); RMSNorm (x * rrms * gamma); RMSNorm that stores its scale less 1.
enum { TUTTI_LAYERNORM = 0, TUTTI_RMSNORM = 1, TUTTI_RMSNORM_SHIFTED = 2 };
/// A norm and what its backward needs. Variance is biased, epsilon inside the root, as torch's.
typedef struct {
    int32_t kind;
    float epsilon;               // forward only
    const float *gamma;
    const float *_Nullable beta; // forward of LayerNorm only; null = no shift
    float *mean, *rstd;          // one number per row: written by forward, read by backward; an RMSNorm's mean is 0
    tutti_dropout dropout;
    const float *_Nullable carried; // fused backward only: the gradient of a z that is also carried on
    int64_t carried_stride;
} tutti_norm;
/// z = residual + dropout(branch + bias); out = norm(z). `z` may be `branch`; `out` may be `residual`; null bias = none.
void tutti_residual_norm_forward(const tutti_norm *norm, tutti_rows branch, const float *_Nullable bias,
                                 tutti_rows residual, tutti_rows z, tutti_rows out, tutti_range rows, int64_t columns);
/// dresidual = dz, including `carried`; dbranch = dropout'(dz). Adds the share of these rows to sums [3, columns] = dgamma,
/// dbeta, dbias; an RMSNorm leaves dbeta alone. `dresidual` may be `dout` or `carried`; `dbranch` may equal `dresidual`
/// without dropout.
void tutti_residual_norm_backward(const tutti_norm *norm, tutti_rows dout, tutti_rows z, tutti_rows dresidual,
                                  tutti_rows dbranch, float *sums, tutti_range rows, int64_t columns);
/// out = dropout(norm(x)); `out` may be `x` without a backward.
void tutti_norm_forward(const tutti_norm *norm, tutti_rows x, tutti_rows out, tutti_range rows, int64_t columns);
/// dx from dout (the dropout mask is applied first); adds to sums [2, columns] = dgamma, dbeta. `dx` may be `dout`.
void tutti_norm_backward(const tutti_norm *norm, tutti_rows dout, tutti_rows x, tutti_rows dx, float *sums,
                         tutti_range rows, int64_t columns);

// ------------------------------------------------------------------------------------------------- embedding.c
/// Packed tokens, for embedding tables.
typedef struct {
    const int32_t *ids;                    // [T]
    const int32_t *_Nullable types;        // [T]; null = row 0 of the type table
    const int32_t *offsets;                // [S + 1]
    int64_t sequences;                     // S
    const int32_t *_Nullable positions;    // [T] rows of the position table; null = counted from position_start
    int64_t position_start;                // row of the position table for the first token of a sequence
    int64_t padding_id, padding_position;  // rows that get no gradient; -1 = none
} tutti_tokens;
/// out[t] = (word[ids[t]] + type[types[t]]) + position[positions[t]], or [position_start + index of t in its sequence]: the order in
/// which BERT adds. Null type or position table = none.
void tutti_embedding_gather(const tutti_tokens *tokens, const float *word, const float *_Nullable position,
                            const float *_Nullable type, tutti_rows out, tutti_range rows, int64_t columns);
/// The adjoint of the gather for a range of columns, tokens in order: gradients accumulate; null tables are skipped.
void tutti_embedding_scatter(const tutti_tokens *tokens, tutti_rows dout, float *_Nullable dword,
                             float *_Nullable dposition, float *_Nullable dtype, tutti_range part, int64_t columns);

// --------------------------------------------------------------------------------------------- embedding_bag.c
/// out[s] = the mean of table[ids[t]] over the tokens of sequence s; zero without tokens.
void tutti_bag_forward(const tutti_tokens *tokens, const float *table, tutti_rows out, tutti_range sequences,
                       int64_t columns);
/// The adjoint for a range of columns, tokens in order: the table's gradient accumulates.
void tutti_bag_backward(const tutti_tokens *tokens, tutti_rows dout, float *dtable, tutti_range part, int64_t columns);

// --------------------------------------------------------------------------------------------------- pooling.c
enum { TUTTI_POOL_CLS = 0, TUTTI_POOL_MAX = 1, TUTTI_POOL_MEAN = 2, TUTTI_POOL_MEAN_SQRT = 3,
       TUTTI_POOL_WEIGHTED_MEAN = 4, TUTTI_POOL_LAST = 5 };
/// out[s] = pooled rows of sequence s; the first skip[s] tokens are skipped.
void tutti_pool_forward(int mode, tutti_rows x, const int32_t *offsets, const int32_t *_Nullable skip, tutti_rows out,
                        tutti_range sequences, int64_t columns);
/// dx rows of the sequences += adjoint; `x` is read for max only.
void tutti_pool_backward(int mode, tutti_rows x, const int32_t *offsets, const int32_t *_Nullable skip, tutti_rows dout,
                         tutti_rows dx, tutti_range sequences, int64_t columns);

// ---------------------------------------------------------------------------------------------------- rotary.c
/// Heads of queries or keys before attention: rotate(norm(x + bias)). Rows of x are [heads, width].
typedef struct {
    const float *_Nullable bias;    // [heads, width]; null = none
    const float *_Nullable weight;  // [width] of the RMS norm of a head; null = no norm
    float weight_shift;             // added to the weight: 0, or 1 where it is stored less one
    float epsilon;
    const float *_Nullable angles;  // [positions, rotated]: cosines, then sines; null = no rotation
    int64_t rotated;                // leading numbers of a head that are rotated, in pairs (i, i + rotated / 2)
    int64_t heads, width;
    const int32_t *offsets;         // [S + 1]
    int64_t sequences;              // S
} tutti_heads;
/// Rows `positions` of a table of angles: factor * cos and sin of position * frequencies[i].
void tutti_rotary_table(const float *frequencies, int64_t half, float factor, tutti_range positions, float *table);
/// `out` may be `x`.
void tutti_heads_forward(const tutti_heads *h, tutti_rows x, tutti_rows out, tutti_range rows);
/// Replaces the gradient of `out` by that of x; dweight [width] accumulates. Without a norm x is not read.
void tutti_heads_backward(const tutti_heads *h, tutti_rows x, tutti_rows dout, float *_Nullable dweight,
                          tutti_range rows);

// ------------------------------------------------------------------------------------------------- attention.c
/// Rows that may be missing: at null.
typedef struct {
    float *_Nullable at;
    int64_t stride;
} tutti_optional_rows;
/// Disentangled positions: score (i, j) += scale * (q_i . keys_c + k_j . queries_c), c = rows[i - j + maximum - 1].
typedef struct {
    tutti_optional_rows keys, queries;   // [P, H E] projected table of positions; missing = without the term
    tutti_optional_rows dkeys, dqueries; // their gradients, which accumulate; not read in forward
    const int32_t *rows;                 // [2 maximum - 1] row of every distance, ascending
    int64_t maximum;                     // of the lengths
} tutti_relative;
/// Shared arguments of forward and backward of packed self-attention. Query head h reads key/value head
/// h / (heads / key_heads); its probability (i, j) has dropout index (h * L + i) * L + j.
typedef struct {
    tutti_rows q, k, v;                  // [T, ...] from head 0 on; each may be columns of a wider matrix
    int64_t step;                        // floats from one head to the next: E, more if q, k and v alternate by head
    const float *_Nullable query_bias;   // [H, E] added to q on read; null = already added, or none
    const float *_Nullable key_bias;     // [K, E] added to k on read; needed only with `relative`
    const float *_Nullable value_bias;   // [K, E] added to v on read
    const float *_Nullable positions;    // [H, 2 M - 1] added to the scaled scores at j - i + M - 1; null = none
    int64_t maximum;                     // M
    const tutti_relative *_Nullable relative; // null = none; otherwise heads = key_heads, and every token sees all
    const int32_t *offsets;              // [S + 1]
    int64_t heads, key_heads;            // H, and K that divides H
    int64_t width;                       // E
    int64_t before, after;               // token i sees tokens i - before ... i + after of its sequence
    float scale;                         // of q . k
    tutti_dropout dropout;               // keys [S]; offsets inside are not read
} tutti_attention;
/// The gradients of q, k and v, in the same arrangement.
typedef struct {
    tutti_rows q, k, v;
} tutti_attention_gradient;
/// Floats of scratch that one thread needs for sequences of up to `longest` tokens and `rows` rows of `tutti_relative`.
int64_t tutti_attention_scratch(int64_t longest, int64_t width, int64_t rows);
/// ctx [T, H E] and lse of some (sequence, key/value head) pairs, counted sequence by sequence; lse is [H, L] per
/// sequence, concatenated.
void tutti_attention_forward(const tutti_attention *a, tutti_rows ctx, float *_Nullable lse, float *scratch,
                             tutti_range pairs);
/// The gradients (assigned) of some pairs from ctx and lse of forward; dpositions [H, 2 longest - 1] (centred, accumulated)
/// may be null. Pairs of one head write the same gradients of `relative`.
void tutti_attention_backward(const tutti_attention *a, tutti_rows ctx, const float *lse, tutti_rows dctx,
                              tutti_attention_gradient d, float *_Nullable dpositions, int64_t longest,
                              float *scratch, tutti_range pairs);

// ----------------------------------------------------------------------------------------------- contrastive.c
/// The running statistics of each row's loss.
typedef struct {
    float *maximum;        // of the negatives' scores so far
    double *sum;           // of exp(score - maximum) over the negatives
    float *positive_score;
    double *losses;
} tutti_row_losses;
/// One tile of scores (columns first ..< first + columns of all): folds exp(s_j - running maximum) of the columns that are
/// not the row's positive into (maximum, sum), and records the positive's score if the tile contains it.
void tutti_contrastive_fold(tutti_rows scores, tutti_range rows, int64_t columns, int64_t first,
                            const int32_t *positives, const tutti_row_losses *state);
/// Row losses log1p(sum_{j != pos} exp(s_j - s_pos)) in fp64 from the folded statistics; returns their sum.
double tutti_contrastive_losses(int64_t rows, const tutti_row_losses *state);
/// scores -> factor * d(loss)/d(score), in place.
void tutti_contrastive_gradient(tutti_rows scores, tutti_range rows, int64_t columns, int64_t first,
                                const int32_t *positives, const tutti_row_losses *state, float factor);

// ------------------------------------------------------------------------------------------------ optimizers.c
/// The scalars of one AdamW step, already rounded to fp32 as torch rounds them.
typedef struct {
    float gradient_scale;    // clip coefficient, 1 = none
    float decay;             // 1 - lr * weight_decay
    float one_minus_beta1;   // lerp weight
    float beta2, one_minus_beta2;
    float root_correction2;  // sqrt(1 - beta2^t)
    float epsilon;
    float step_size;         // lr / (1 - beta1^t)
} tutti_adamw_scalars;
/// torch.optim.AdamW on one flat range, operation by operation; no contraction, so every CPU gives the same bits.
void tutti_adamw(float *p, const float *g, float *m, float *v, int64_t count, tutti_adamw_scalars scalars);
typedef struct {
    float gradient_scale, weight_decay, momentum, one_minus_dampening, learning_rate;
    int32_t nesterov, first; // first: the momentum buffer is set to the gradient
} tutti_sgd_scalars;
/// torch.optim.SGD on one flat range; `buffer` may be null without momentum.
void tutti_sgd(float *p, const float *g, float *_Nullable buffer, int64_t count, tutti_sgd_scalars scalars);
/// Adds the squares of count floats in fp64 to sixteen sums, x[i] to sums[i % 16].
void tutti_add_squares(const float *x, int64_t count, double *sums);
/// out = the sum of the arenas' floats in a range, in the order of arenas; out may be one of them.
void tutti_sum_arenas(float *out, const float *_Nonnull const *_Nonnull arenas, int64_t ranks, tutti_range range);
/// The same along a binary tree: of 2, 4, 8 ... at most TUTTI_MOST_LEAVES arenas, neighbors first.
enum { TUTTI_MOST_LEAVES = 64 };
void tutti_sum_tree(float *out, const float *_Nonnull const *_Nonnull arenas, int64_t leaves, tutti_range range);
/// x *= factor.
void tutti_scale(float *x, int64_t count, float factor);
/// y += a * x, without contraction.
void tutti_add_scaled(float *y, const float *x, float a, int64_t count);

// ----------------------------------------------------------------------------------------------------- casts.c
/// out = x in bf16, rounded to the nearest, ties to even; a NaN stays one.
void tutti_narrow(uint16_t *out, const float *x, int64_t count);
/// out = the fp32 of bf16 values.
void tutti_widen(float *out, const uint16_t *x, int64_t count);

// ------------------------------------------------------------------------------------------------------ topk.c
/// Merges the columns of a score block into each row's best k (descending; equal scores: lower index first).
/// values/indices [rows, k] start as -infinity / -1; column c counts as index first + c.
void tutti_topk_merge(tutti_rows scores, int64_t columns, int64_t first, float *values, int32_t *indices, int64_t k,
                      tutti_range rows);

// -------------------------------------------------------------------------------------------------- parallel.c
/// Runs body(context, begin, end, worker) over [0, count) in pieces of `grain` on this thread's pool; returns when all are
/// done. Serial (worker 0, one piece) without a pool, when it is busy, or when the caller is already inside a body.
typedef void (*tutti_range_body)(void *_Nullable context, int64_t begin, int64_t end, int64_t worker);
void tutti_parallel_for(int64_t count, int64_t grain, tutti_range_body body, void *_Nullable context);
/// Threads that wait for work; null for fewer than two, or without memory.
tutti_pool *_Nullable tutti_pool_create(int64_t threads);
/// Ends the threads. Do not call it from a body.
void tutti_pool_destroy(tutti_pool *_Nullable pool);
/// Threads of this thread's pool, including itself.
int64_t tutti_parallel_threads(void);

// ----------------------------------------------------------------------------------------------------- arena.c
/// Anonymous memory, 2 MiB aligned, advised for huge pages; null if the system has none.
void *_Nullable tutti_pages_map(int64_t bytes);
/// Addresses on a 2 MiB boundary for at least `*bytes`, a multiple of 2 MiB, and without a limit for all memory of the
/// machine (`*bytes` is then larger); null if the system refuses. Usable, and zero, only after tutti_pages_use.
void *_Nullable tutti_pages_reserve(int64_t *bytes);
/// Makes the first `bytes` of reserved pages usable; 0, or -1 if the system refuses.
int tutti_pages_use(void *pages, int64_t bytes);
void tutti_pages_unmap(void *pages, int64_t bytes);

// --------------------------------------------------------------------------------------------- shared_pages.c
/// A descriptor of `bytes` zeroed bytes that other processes of this node may open, or minus errno.
int tutti_shared_create(int64_t bytes);
/// Opens the descriptor of another process, if it is such memory of `bytes` bytes; or minus errno.
int tutti_shared_open(int64_t process, int descriptor, int64_t bytes);
/// Maps a descriptor's pages, to be released with tutti_pages_unmap; null if the system refuses.
void *_Nullable tutti_shared_map(int descriptor, int64_t bytes);
void tutti_shared_close(int descriptor);

// --------------------------------------------------------------------------------------------------- machine.c
/// The highest instruction level that this processor and its system allow: 4 x86-64-v4 (AVX-512), 3 x86-64-v3 (AVX2 and
/// FMA), 0 the baseline.
int tutti_machine_level(void);
/// Whether the processor is made by AMD.
int tutti_machine_is_amd(void);
/// Bytes of this processor's second cache, rounded down to a power of two from 256 KiB to 2 MiB; 1 MiB if unknown.
int64_t tutti_machine_cache(void);
/// Fused multiply-adds between registers at one instruction level (0 baseline, 3 x86-64-v3, 4 x86-64-v4): the FLOPs done,
/// 0 if the CPU or the build lacks the level. `sink` receives a number that depends on all of them.
double tutti_machine_fma(int level, int64_t rounds, float *sink);
/// out = factor * x: STREAM's scale, a copy that the compiler cannot turn into memcpy. `out` may be `x`.
void tutti_stream_scale(const float *x, float factor, float *out, int64_t count);
/// out = x + factor * y: STREAM's triad.
void tutti_stream_triad(const float *x, const float *y, float factor, float *out, int64_t count);
/// result = the sum of x, in no particular order: a stream that only reads.
void tutti_stream_read(const float *x, int64_t count, float *result);

#pragma clang assume_nonnull end

#include "tutti_optimizers.h"
