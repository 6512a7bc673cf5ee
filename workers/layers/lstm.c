/* Long short-term memory (Hochreiter and Schmidhuber 1997; forget gates by Gers et al. 2000), one
 * layer as torch.nn.LSTM, state zero at the first position. With [i f g o] = x W_ih + h' W_hh + b,
 * h' and c' of the position before, s the logistic function:
 * c = s(f) c' + s(i) tanh(g), h = s(o) tanh(c). Backward goes through the whole window. */
#include <string.h>

#include "descent/simd.h"

#include "recurrent.h"

static ds_status lstm_prepare(ds_layer *self, ds_layer_builder *builder)
{
    return ds_recurrent_prepare(self, builder, 4);
}

/* ---- one position of one sample; gates i, f, g, o of n units each ---------------------------- */

static DS_SIMD void lstm_cell(size_t n, const float *gate, const float *before, float *restrict c)
{
    for (size_t j = 0; j < n; j++)
        c[j] = gate[n + j] * before[j] + gate[j] * gate[2 * n + j];
}

static DS_SIMD void lstm_first_cell(size_t n, const float *gate, float *restrict c)
{
    for (size_t j = 0; j < n; j++)
        c[j] = gate[j] * gate[2 * n + j];
}

static DS_SIMD void lstm_output(size_t n, const float *gate, const float *tanh_c, float *restrict h)
{
    for (size_t j = 0; j < n; j++)
        h[j] = gate[3 * n + j] * tanh_c[j];
}

/* dc of the position before is left in dc; gates become their gradients. */
static DS_SIMD void lstm_back(size_t n, const float *tanh_c, const float *before, const float *dh,
                              float *restrict dc, float *restrict gate)
{
    for (size_t j = 0; j < n; j++) {
        float i = gate[j], f = gate[n + j], g = gate[2 * n + j], o = gate[3 * n + j];
        float d = dc[j] + dh[j] * o * (1.0f - tanh_c[j] * tanh_c[j]);
        gate[j] = d * g * ((1.0f - i) * i);
        gate[n + j] = d * before[j] * ((1.0f - f) * f);
        gate[2 * n + j] = d * i * (1.0f - g * g);
        gate[3 * n + j] = dh[j] * tanh_c[j] * ((1.0f - o) * o);
        dc[j] = d * f;
    }
}

/* ---- the shard ------------------------------------------------------------------------------ */

/* c and h of position t from its gates, already squashed. */
static void lstm_move(const ds_layer *self, const ds_kernels *k, const ds_rows *rows, size_t t)
{
    ds_recurrent s = ds_recurrent_sizes(self);
    size_t ldh = 0, ld = rows->kept_stride;
    float *h = ds_recurrent_h(self, rows, t, &ldh);
    float *gate = rows->kept + t * s.width, *c = rows->kept + s.own + t * s.units;
    for (size_t r = 0; r < rows->n; r++) {
        if (t == 0)
            lstm_first_cell(s.units, gate + r * ld, c + r * ld);
        else
            lstm_cell(s.units, gate + r * ld, c - s.units + r * ld, c + r * ld);
    }
    k->activate(DS_ACT_TANH, rows->n, s.units, c, ld, rows->kept + s.work, ld);
    for (size_t r = 0; r < rows->n; r++)
        lstm_output(s.units, gate + r * ld, rows->kept + s.work + r * ld, h + r * ldh);
}

static ds_status lstm_forward(const ds_layer *self, const ds_kernels *k, const float *params,
                              const ds_rows *rows)
{
    ds_recurrent s = ds_recurrent_sizes(self);
    size_t ld = rows->kept_stride, n = s.units;
    DS_TRY(ds_recurrent_project(self, k, params, rows));
    for (size_t r = 0; r < rows->n && self->n_params > DS_BIAS_HH; r++)
        k->bias(s.positions, s.width, params + self->param[DS_BIAS_HH]->offset, rows->kept + r * ld,
                s.width);
    for (size_t t = 0; t < s.positions; t++) {
        float *gate = rows->kept + t * s.width;
        ds_recurrent_step step = {.from = 0, .n = s.width, .c = gate, .beta = 1};
        if (t > 0)
            DS_TRY(ds_recurrent_forth(self, k, params, rows, t - 1, &step));
        k->activate(DS_ACT_SIGMOID, rows->n, 2 * n, gate, ld, gate, ld);
        k->activate(DS_ACT_TANH, rows->n, n, gate + 2 * n, ld, gate + 2 * n, ld);
        k->activate(DS_ACT_SIGMOID, rows->n, n, gate + 3 * n, ld, gate + 3 * n, ld);
        lstm_move(self, k, rows, t);
    }
    ds_recurrent_give(self, rows);
    return DS_OK;
}

static ds_status lstm_before(const ds_layer *self, const ds_kernels *k, const float *params,
                             const ds_rows *rows)
{
    ds_recurrent s = ds_recurrent_sizes(self);
    size_t ld = rows->kept_stride;
    for (size_t r = 0; r < rows->n; r++) /* dh and dc */
        memset(rows->kept + r * ld + s.dh, 0, 2 * s.units * sizeof *rows->kept);
    for (size_t t = s.positions; t-- > 0;) {
        float *gate = rows->kept + t * s.width, *c = rows->kept + s.own + t * s.units;
        k->activate(DS_ACT_TANH, rows->n, s.units, c, ld, rows->kept + s.work, ld);
        ds_recurrent_take(self, k, rows, t);
        for (size_t r = 0; r < rows->n; r++) {
            float *at = rows->kept + r * ld, *cell = c + r * ld;
            if (t == 0) /* the cell is read no more: zeros before the first */
                memset(cell, 0, s.units * sizeof *cell);
            lstm_back(s.units, at + s.work, t == 0 ? cell : cell - s.units, at + s.dh, at + s.dc,
                      gate + r * ld);
        }
        ds_recurrent_step step = {.from = 0, .n = s.width, .c = gate, .beta = 0};
        if (t > 0)
            DS_TRY(ds_recurrent_back(self, k, params, rows, &step));
    }
    return DS_OK;
}

static ds_status lstm_gradient(const ds_layer *self, const ds_kernels *k, size_t p, size_t from,
                               size_t to, const ds_rows *rows, float *dst, bool add)
{
    size_t width = self->param[DS_WEIGHT_HH]->cols;
    DS_ASSERT(!add);
    ds_recurrent_part part = {.p = p, .to = 0, .n = width, .from = 0, .ld = width};
    return ds_recurrent_gradient(self, k, &part, rows, from, to, dst);
}

extern const ds_layer_ops ds_layer_lstm;
const ds_layer_ops ds_layer_lstm = {
    .name = "lstm",
    .help =
        "long short-term memory over positions, as torch.nn.LSTM (Hochreiter, Schmidhuber 1997)",
    .options = ds_recurrent_table,
    .options_size = sizeof(ds_recurrent_options),
    .reads_y = true,
    .in_dims = 2,
    .prepare = lstm_prepare,
    .forward = lstm_forward,
    .before = lstm_before,
    .backward = ds_recurrent_backward,
    .shares = ds_recurrent_shares,
    .share = ds_recurrent_share,
    .gradient = lstm_gradient,
};
