// The optimizers beside AdamW and SGD: elementwise ones, and parts of those that look at whole matrices.
//
// A part of CTuttiKernels.h, which includes it.
#pragma once
#include "CTuttiKernels.h"

#pragma clang assume_nonnull begin

// --------------------------------------------------------------------------------------- adaptive_optimizers.c
/// What an update goes over: parameters, their gradients, and state whose meaning is the update's.
typedef struct {
    float *parameters;
    const float *gradients;
    float *_Nullable a, *_Nullable b, *_Nullable c;
    int64_t count;
} tutti_update;
/// The scalars of a step, rounded to fp32 once; each update reads those that it names.
typedef struct {
    float gradient_scale; // clip coefficient, 1 = none
    float coupled_decay;  // times the parameter, added to the gradient (or to the direction)
    float decay;          // multiplies the parameter first
    float rate, second_rate;
    float epsilon, momentum;
    float beta1, one_minus_beta1, beta2, one_minus_beta2, beta3, one_minus_beta3;
    float correction1, correction2;
} tutti_update_scalars;
/// torch.optim.Adagrad; a: sum of squares.
void tutti_adagrad(tutti_update u, tutti_update_scalars scalars);
/// torch.optim.RMSprop; a: mean square, b: mean (centered) or null, c: momentum or null; beta2 is alpha.
void tutti_rmsprop(tutti_update u, tutti_update_scalars scalars);
/// torch.optim.Adadelta; a: mean square of gradients, b: of updates; beta2 is rho.
void tutti_adadelta(tutti_update u, tutti_update_scalars scalars);
/// torch.optim.Adamax; a: first moment, b: infinity norm; rate is lr / (1 - beta1^t).
void tutti_adamax(tutti_update u, tutti_update_scalars scalars);
/// torch.optim.NAdam; a, b: moments; rate and second_rate multiply gradient and moment, negative.
void tutti_nadam(tutti_update u, tutti_update_scalars scalars);
/// torch.optim.RAdam; a, b: moments; second_rate is the rectification, 0 = none; correction2 is a root.
void tutti_radam(tutti_update u, tutti_update_scalars scalars);
/// Lion; a: moment.
void tutti_lion(tutti_update u, tutti_update_scalars scalars);
/// AdEMAMix; a: fast moment, b: slow moment, c: second moment; momentum is alpha, correction2 a root.
void tutti_ademamix(tutti_update u, tutti_update_scalars scalars);
/// Schedule-free AdamW; a: second moment, b: z; parameters are y; momentum is the weight of z.
void tutti_schedule_free(tutti_update u, tutti_update_scalars scalars);
/// out = from + weight * (to - from); out may be one of them.
void tutti_interpolate(float *out, const float *from, const float *to, float weight, int64_t count);
/// Exchanges x and y.
void tutti_swap(float *x, float *y, int64_t count);

// ------------------------------------------------------------------------------------------ whole_optimizers.c
/// Adafactor: state[r] = beta2 * state[r] + one_minus_beta2 * the mean of g^2 + epsilon along row r of g [rows, columns].
void tutti_adafactor_rows(const float *g, int64_t rows, int64_t columns, float *state, tutti_update_scalars scalars);
/// The same down the columns of a part, for all rows.
void tutti_adafactor_columns(const float *g, int64_t rows, int64_t columns, tutti_range part, float *state,
                             tutti_update_scalars scalars);
/// u = u * gradient_scale over the root of the factored second moment; `mean` is that of all row states.
void tutti_adafactor_matrix(float *u, int64_t rows, int64_t columns, const float *state, float mean,
                            const float *column_state, tutti_update_scalars scalars);
/// The second moment of a vector, and u = u * gradient_scale over its root.
void tutti_adafactor_vector(float *u, int64_t count, float *state, tutti_update_scalars scalars);
/// Moves the parameters by `gradients` / correction1 * rate; a: momentum or null; decay is lr * weight_decay.
void tutti_adafactor_move(tutti_update u, tutti_update_scalars scalars);
/// out = x * factor, rounded to bf16.
void tutti_round_bf16(float *out, const float *x, float factor, int64_t count);

#pragma clang assume_nonnull end
