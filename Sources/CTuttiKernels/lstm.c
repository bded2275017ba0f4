// The cell of an LSTM for one moment of several texts, forward and backward. Gates lie as torch stores them: input,
// forget, cell, output. The products with the weights are the caller's.
#include "activation_functions.h"
#include <stdbool.h>

INLINE void cell_forward_rows(const bool first, const tutti_cell *x, tutti_range rows, int64_t width) {
    for (int64_t r = rows.begin; r < rows.end; r++) {
        float *gates = x->gates.at + r * x->gates.stride;
        float *cell = x->cells.at + r * x->cells.stride, *hidden = x->hidden.at + r * x->hidden.stride;
        const float *before = first ? NULL : x->before + r * x->before_stride;
        VECTOR_LOOP
        for (int64_t c = 0; c < width; c++) {
            float in = sigmoid(gates[c] + x->bias[c] + x->recurrent_bias[c]);
            float forget = sigmoid(gates[width + c] + x->bias[width + c] + x->recurrent_bias[width + c]);
            float made = fast_tanh(gates[2 * width + c] + x->bias[2 * width + c] + x->recurrent_bias[2 * width + c]);
            float out = sigmoid(gates[3 * width + c] + x->bias[3 * width + c] + x->recurrent_bias[3 * width + c]);
            float state = in * made + (first ? 0.0f : forget * before[c]);
            gates[c] = in;
            gates[width + c] = forget;
            gates[2 * width + c] = made;
            gates[3 * width + c] = out;
            cell[c] = state;
            hidden[c] = out * fast_tanh(state);
        }
    }
}

INLINE void cell_forward(const tutti_cell *x, tutti_range rows, int64_t width) {
    if (x->before) cell_forward_rows(false, x, rows, width); else cell_forward_rows(true, x, rows, width);
}
TUTTI_KERNEL(tutti_lstm_forward, cell_forward, (const tutti_cell *x, tutti_range rows, int64_t width), (x, rows, width))

INLINE void cell_backward_rows(const bool first, const tutti_cell *x, tutti_rows dhidden, tutti_rows dcell,
                               tutti_range rows, int64_t width) {
    for (int64_t r = rows.begin; r < rows.end; r++) {
        float *gates = x->gates.at + r * x->gates.stride, *carried = dcell.at + r * dcell.stride;
        const float *cell = x->cells.at + r * x->cells.stride, *gradient = dhidden.at + r * dhidden.stride;
        const float *before = first ? NULL : x->before + r * x->before_stride;
        VECTOR_LOOP
        for (int64_t c = 0; c < width; c++) {
            float in = gates[c], forget = gates[width + c], made = gates[2 * width + c], out = gates[3 * width + c];
            float squashed = fast_tanh(cell[c]);
            float dstate = carried[c] + gradient[c] * out * (1.0f - squashed * squashed);
            gates[c] = dstate * made * in * (1.0f - in);
            gates[width + c] = first ? 0.0f : dstate * before[c] * forget * (1.0f - forget);
            gates[2 * width + c] = dstate * in * (1.0f - made * made);
            gates[3 * width + c] = gradient[c] * squashed * out * (1.0f - out);
            carried[c] = dstate * forget;
        }
    }
}

INLINE void cell_backward(const tutti_cell *x, tutti_rows dhidden, tutti_rows dcell, tutti_range rows, int64_t width) {
    if (x->before) cell_backward_rows(false, x, dhidden, dcell, rows, width);
    else cell_backward_rows(true, x, dhidden, dcell, rows, width);
}
TUTTI_KERNEL(tutti_lstm_backward, cell_backward,
             (const tutti_cell *x, tutti_rows dhidden, tutti_rows dcell, tutti_range rows, int64_t width),
             (x, dhidden, dcell, rows, width))
