/* Gated recurrent units (Cho et al. 2014) as torch.nn.GRU, state zero at the first position. With
 * s the logistic function and h' of the position before: r, z = s(x W_ih + h' W_hh + b), q = h'
 * W_hq
 * + b_hq, n = tanh(x W_in + b_in + r q), h = (1 - z) n + z h'. Backward goes through the whole
 * window. */
#include <string.h>

#include "descent/simd.h"

#include "recurrent.h"

static ds_status gru_prepare(ds_layer *self, ds_layer_builder *builder)
{
    return ds_recurrent_prepare(self, builder, 3);
}

/* ---- one position of one sample; gates r, z, n of m units each ------------------------------- */

static DS_SIMD void gru_candidate(size_t m, const float *q, float *restrict gate)
{
    for (size_t j = 0; j < m; j++)
        gate[2 * m + j] += gate[j] * q[j];
}

/* `before` is of the position before, zeros at the first. */
static DS_SIMD void gru_output(size_t m, const float *gate, const float *before, float *restrict h)
{
    for (size_t j = 0; j < m; j++)
        h[j] = (1.0f - gate[m + j]) * gate[2 * m + j] + gate[m + j] * before[j];
}

/* Gates and q become their gradients; dh becomes what goes to the position before past the gates.
 */
static DS_SIMD void gru_back(size_t m, const float *before, float *restrict dh,
                             float *restrict gate, float *restrict q)
{
    for (size_t j = 0; j < m; j++) {
        float r = gate[j], z = gate[m + j], n = gate[2 * m + j];
        float dn = dh[j] * (1.0f - z) * (1.0f - n * n);
        gate[j] = dn * q[j] * ((1.0f - r) * r);
        gate[m + j] = dh[j] * (before[j] - n) * ((1.0f - z) * z);
        gate[2 * m + j] = dn;
        q[j] = dn * r;
        dh[j] = dh[j] * z;
    }
}

/* ---- the shard ------------------------------------------------------------------------------ */

/* h of the position before t of row r; at the first, zeros that lie in work. */
static const float *gru_state(const ds_layer *self, const ds_rows *rows, size_t t, size_t r)
{
    size_t ldh = 0;
    if (t == 0)
        return rows->kept + r * rows->kept_stride + ds_recurrent_sizes(self).work;
    const float *h = ds_recurrent_h(self, rows, t - 1, &ldh);
    return h + r * ldh;
}

/* q of position t: h' W_hq + b_hq. */
static ds_status gru_hidden(const ds_layer *self, const ds_kernels *k, const float *params,
                            const ds_rows *rows, size_t t)
{
    ds_recurrent s = ds_recurrent_sizes(self);
    float *q = rows->kept + s.own + t * s.units;
    ds_recurrent_step gates = {0, 2 * s.units, rows->kept + t * s.width, 1};
    ds_recurrent_step candidate = {2 * s.units, s.units, q, 0};
    if (t > 0) {
        DS_TRY(ds_recurrent_forth(self, k, params, rows, t - 1, &gates));
        DS_TRY(ds_recurrent_forth(self, k, params, rows, t - 1, &candidate));
    }
    for (size_t r = 0; r < rows->n && t == 0; r++)
        memset(q + r * rows->kept_stride, 0, s.units * sizeof *q);
    if (self->n_params > DS_BIAS_HH)
        k->bias(rows->n, s.units, params + self->param[DS_BIAS_HH]->offset + 2 * s.units, q,
                rows->kept_stride);
    return DS_OK;
}

static ds_status gru_forward(const ds_layer *self, const ds_kernels *k, const float *params,
                             const ds_rows *rows)
{
    ds_recurrent s = ds_recurrent_sizes(self);
    size_t ld = rows->kept_stride, m = s.units, ldh = 0;
    DS_TRY(ds_recurrent_project(self, k, params, rows));
    for (size_t r = 0; r < rows->n; r++) {
        memset(rows->kept + r * ld + s.work, 0, m * sizeof *rows->kept);
        if (self->n_params > DS_BIAS_HH)
            k->bias(s.positions, 2 * m, params + self->param[DS_BIAS_HH]->offset,
                    rows->kept + r * ld, s.width);
    }
    for (size_t t = 0; t < s.positions; t++) {
        float *gate = rows->kept + t * s.width, *q = rows->kept + s.own + t * m;
        float *h = ds_recurrent_h(self, rows, t, &ldh);
        DS_TRY(gru_hidden(self, k, params, rows, t));
        k->activate(DS_ACT_SIGMOID, rows->n, 2 * m, gate, ld, gate, ld);
        for (size_t r = 0; r < rows->n; r++)
            gru_candidate(m, q + r * ld, gate + r * ld);
        k->activate(DS_ACT_TANH, rows->n, m, gate + 2 * m, ld, gate + 2 * m, ld);
        for (size_t r = 0; r < rows->n; r++)
            gru_output(m, gate + r * ld, gru_state(self, rows, t, r), h + r * ldh);
    }
    ds_recurrent_give(self, rows);
    return DS_OK;
}

static ds_status gru_before(const ds_layer *self, const ds_kernels *k, const float *params,
                            const ds_rows *rows)
{
    ds_recurrent s = ds_recurrent_sizes(self);
    size_t ld = rows->kept_stride, m = s.units;
    for (size_t r = 0; r < rows->n; r++) {
        memset(rows->kept + r * ld + s.dh, 0, m * sizeof *rows->kept);
        memset(rows->kept + r * ld + s.work, 0, m * sizeof *rows->kept);
    }
    for (size_t t = s.positions; t-- > 0;) {
        float *gate = rows->kept + t * s.width, *q = rows->kept + s.own + t * m;
        ds_recurrent_take(self, k, rows, t);
        for (size_t r = 0; r < rows->n; r++)
            gru_back(m, gru_state(self, rows, t, r), rows->kept + r * ld + s.dh, gate + r * ld,
                     q + r * ld);
        ds_recurrent_step gates = {0, 2 * m, gate, 1}, candidate = {2 * m, m, q, 1};
        if (t == 0)
            break;
        DS_TRY(ds_recurrent_back(self, k, params, rows, &gates));
        DS_TRY(ds_recurrent_back(self, k, params, rows, &candidate));
    }
    return DS_OK;
}

/* What comes through W_hh: r and z as they are, n by way of q. */
static ds_status gru_gradient(const ds_layer *self, const ds_kernels *k, size_t p, size_t from,
                              size_t to, const ds_rows *rows, float *dst, bool add)
{
    ds_recurrent s = ds_recurrent_sizes(self);
    size_t m = s.units;
    bool hidden = p == DS_WEIGHT_HH || p == DS_BIAS_HH;
    DS_ASSERT(!add);
    ds_recurrent_part gates = {p, 0, hidden ? 2 * m : 3 * m, 0, s.width};
    ds_recurrent_part candidate = {p, 2 * m, m, s.own, m};
    DS_TRY(ds_recurrent_gradient(self, k, &gates, rows, from, to, dst));
    return hidden ? ds_recurrent_gradient(self, k, &candidate, rows, from, to, dst) : DS_OK;
}

extern const ds_layer_ops ds_layer_gru;
const ds_layer_ops ds_layer_gru = {
    .name = "gru",
    .help = "gated recurrent units over positions, as torch.nn.GRU (Cho et al. 2014)",
    .options = ds_recurrent_table,
    .options_size = sizeof(ds_recurrent_options),
    .reads_y = true,
    .in_dims = 2,
    .prepare = gru_prepare,
    .forward = gru_forward,
    .before = gru_before,
    .backward = ds_recurrent_backward,
    .shares = ds_recurrent_shares,
    .share = ds_recurrent_share,
    .gradient = gru_gradient,
};
