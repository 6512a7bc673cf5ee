/* Recurrent layers: what does not depend on time is one product a sample (x W_ih forward; dgates
 * W_ih^T, x^T dgates and h^T dgates backward, after time was gone through), what does is one
 * product a position over all samples of the shard. All that a sample leaves lies in its own
 * floats, so the diagnosis can ask for it alone. 4 n T G H (C + H) flops forward and back twice
 * that. */
#include "recurrent.h"

#include <string.h>

const ds_option ds_recurrent_table[] = {
    {.name = "units",
     .type = DS_OPTION_INT,
     .offset = offsetof(ds_recurrent_options, units),
     .min = 1,
     .max = 1048576,
     .flags = DS_OPTION_REQUIRED,
     .help = "numbers that go from position to position"},
    {.name = "last",
     .type = DS_OPTION_BOOL,
     .offset = offsetof(ds_recurrent_options, last),
     .fallback = "false",
     .help = "give the last position only: [units] instead of [positions, units]"},
    {.name = "bias",
     .type = DS_OPTION_BOOL,
     .offset = offsetof(ds_recurrent_options, bias),
     .fallback = "true",
     .help = "add two biases, as PyTorch does"},
    {.name = "init",
     .type = DS_OPTION_CHOICE,
     .offset = offsetof(ds_recurrent_options, init),
     .choices = DS_INIT_CHOICES,
     .help = "initial weights, biases zero; default: all uniform within 1 / sqrt(units)"},
    {.name = NULL},
};

/* ---- sizes ---------------------------------------------------------------------------------- */

ds_recurrent ds_recurrent_sizes(const ds_layer *self)
{
    const ds_recurrent_options *o = self->options;
    size_t t = self->in.dim[0], units = (size_t)o->units;
    ds_recurrent s = {.positions = t, .features = self->in.dim[1], .units = units};
    s.width = self->param[DS_WEIGHT_HH]->cols;
    s.own = t * s.width;
    s.h = s.own + t * units;
    s.dh = s.h + (o->last ? t * units : 0);
    s.dc = s.dh + units;
    s.work = s.dc + units;
    s.kept = s.work + units;
    return s;
}

static ds_status recurrent_add(ds_layer *self, ds_layer_builder *builder, const char *suffix,
                               const ds_shape *shape)
{
    const ds_recurrent_options *o = self->options;
    bool matrix = shape->n == 2;
    ds_param_spec spec = {.suffix = suffix,
                          .shape = *shape,
                          .transposed = matrix,
                          .init = matrix ? (ds_init_kind)o->init : DS_INIT_ZEROS,
                          .fan_in = matrix ? shape->dim[1] : shape->dim[0],
                          .fan_out = shape->dim[0]};
    if (o->init == DS_INIT_DEFAULT) { /* xavier's sqrt(6 / (fan_in + fan_out)) is 1 / sqrt(units) */
        spec.init = DS_INIT_XAVIER_UNIFORM;
        spec.fan_in = spec.fan_out = 3 * (size_t)o->units;
    }
    return ds_layer_add_param(builder, self, &spec);
}

ds_status ds_recurrent_prepare(ds_layer *self, ds_layer_builder *builder, size_t gates)
{
    const ds_recurrent_options *o = self->options;
    char text[DS_SHAPE_TEXT];
    size_t units = (size_t)o->units, width = gates * units, room = 0;
    DS_CHECK(self->in.n == 2, DS_ERR_USAGE,
             "layer '%s': its input has shape %s, expected [positions, features]; put `reshape` or "
             "`embedding` before it",
             self->name, ds_shape_text(&self->in, text));
    DS_CHECK(!__builtin_mul_overflow(self->in.dim[0], width + 4 * units, &room) &&
                 room < SIZE_MAX / 64,
             DS_ERR_USAGE, "layer '%s': %zu positions of %zu units are more than memory can be",
             self->name, self->in.dim[0], units);
    self->out = (ds_shape){.n = 2, .dim = {self->in.dim[0], units}};
    if (o->last)
        self->out = (ds_shape){.n = 1, .dim = {units}};
    DS_TRY(recurrent_add(self, builder, "weight_ih",
                         &(ds_shape){.n = 2, .dim = {width, self->in.dim[1]}}));
    DS_TRY(recurrent_add(self, builder, "weight_hh", &(ds_shape){.n = 2, .dim = {width, units}}));
    if (o->bias) {
        DS_TRY(recurrent_add(self, builder, "bias_ih", &(ds_shape){.n = 1, .dim = {width}}));
        DS_TRY(recurrent_add(self, builder, "bias_hh", &(ds_shape){.n = 1, .dim = {width}}));
    }
    self->kept = ds_recurrent_sizes(self).kept;
    self->shared = width * ds_stride_for(units);
    return DS_OK;
}

float *ds_recurrent_h(const ds_layer *self, const ds_rows *rows, size_t t, size_t *stride)
{
    const ds_recurrent_options *o = self->options;
    ds_recurrent s = ds_recurrent_sizes(self);
    *stride = o->last ? rows->kept_stride : rows->y_stride;
    return (o->last ? rows->kept + s.h : rows->y) + t * s.units;
}

/* ---- forward -------------------------------------------------------------------------------- */

ds_status ds_recurrent_project(const ds_layer *self, const ds_kernels *k, const float *params,
                               const ds_rows *rows)
{
    const ds_param *w = self->param[DS_WEIGHT_IH];
    ds_recurrent s = ds_recurrent_sizes(self);
    for (size_t r = 0; r < rows->n; r++) {
        float *gates = rows->kept + r * rows->kept_stride;
        const ds_gemm product = {.ta = 'N',
                                 .tb = 'N',
                                 .m = s.positions,
                                 .n = s.width,
                                 .k = s.features,
                                 .a = rows->x + r * rows->x_stride,
                                 .lda = s.features,
                                 .b = params + w->offset,
                                 .ldb = w->stride,
                                 .c = gates,
                                 .ldc = s.width};
        if (self->n_params > DS_BIAS_IH)
            DS_TRY(ds_kernels_affine(k, &product, params + self->param[DS_BIAS_IH]->offset));
        else
            DS_TRY(k->gemm(&product));
    }
    return DS_OK;
}

ds_status ds_recurrent_forth(const ds_layer *self, const ds_kernels *k, const float *params,
                             const ds_rows *rows, size_t t, const ds_recurrent_step *step)
{
    const ds_param *w = self->param[DS_WEIGHT_HH];
    size_t ldh = 0;
    const float *h = ds_recurrent_h(self, rows, t, &ldh);
    return k->gemm(&(ds_gemm){.ta = 'N',
                              .tb = 'N',
                              .m = rows->n,
                              .n = step->n,
                              .k = w->rows,
                              .a = h,
                              .lda = ldh,
                              .b = params + w->offset + step->from,
                              .ldb = w->stride,
                              .beta = step->beta,
                              .c = step->c,
                              .ldc = rows->kept_stride});
}

void ds_recurrent_give(const ds_layer *self, const ds_rows *rows)
{
    const ds_recurrent_options *o = self->options;
    ds_recurrent s = ds_recurrent_sizes(self);
    size_t ldh = 0;
    const float *h = ds_recurrent_h(self, rows, s.positions - 1, &ldh);
    for (size_t r = 0; r < rows->n && o->last; r++)
        memcpy(rows->y + r * rows->y_stride, h + r * ldh, s.units * sizeof *h);
}

/* ---- backward ------------------------------------------------------------------------------- */

bool ds_recurrent_shares(const ds_layer *self, const ds_kernels *k, size_t n)
{
    (void)self, (void)n;
    return k->packs_b;
}

void ds_recurrent_share(const ds_layer *self, const ds_kernels *k, const float *params,
                        float *shared)
{
    const ds_param *w = self->param[DS_WEIGHT_HH];
    k->transpose(w->rows, w->cols, params + w->offset, w->stride, shared, ds_stride_for(w->rows));
}

ds_status ds_recurrent_back(const ds_layer *self, const ds_kernels *k, const float *params,
                            const ds_rows *rows, const ds_recurrent_step *step)
{
    const ds_param *w = self->param[DS_WEIGHT_HH];
    size_t turned = ds_stride_for(w->rows);
    bool shared = ds_recurrent_shares(self, k, rows->n);
    return k->gemm(&(ds_gemm){.ta = 'N',
                              .tb = shared ? 'N' : 'T',
                              .m = rows->n,
                              .n = w->rows,
                              .k = step->n,
                              .a = step->c,
                              .lda = rows->kept_stride,
                              .b = shared ? rows->shared + step->from * turned
                                          : params + w->offset + step->from,
                              .ldb = shared ? turned : w->stride,
                              .beta = step->beta,
                              .c = rows->kept + ds_recurrent_sizes(self).dh,
                              .ldc = rows->kept_stride});
}

void ds_recurrent_take(const ds_layer *self, const ds_kernels *k, const ds_rows *rows, size_t t)
{
    const ds_recurrent_options *o = self->options;
    ds_recurrent s = ds_recurrent_sizes(self);
    if (o->last && t + 1 < s.positions)
        return;
    for (size_t r = 0; r < rows->n; r++)
        k->add(s.units, rows->kept + r * rows->kept_stride + s.dh,
               rows->dy + r * rows->y_stride + (o->last ? 0 : t * s.units));
}

ds_status ds_recurrent_backward(const ds_layer *self, const ds_kernels *k, const float *params,
                                const ds_rows *rows)
{
    const ds_param *w = self->param[DS_WEIGHT_IH];
    ds_recurrent s = ds_recurrent_sizes(self);
    for (size_t r = 0; r < rows->n; r++)
        DS_TRY(k->gemm(&(ds_gemm){.ta = 'N',
                                  .tb = 'T',
                                  .m = s.positions,
                                  .n = s.features,
                                  .k = s.width,
                                  .a = rows->kept + r * rows->kept_stride,
                                  .lda = s.width,
                                  .b = params + w->offset,
                                  .ldb = w->stride,
                                  .beta = 0,
                                  .c = rows->dx + r * rows->x_stride,
                                  .ldc = s.features}));
    return DS_OK;
}

/* A weight's rows [row, end): x^T dgates, or h^T dgates of the next position. */
static ds_status recurrent_weight(const ds_layer *self, const ds_kernels *k,
                                  const ds_recurrent_part *part, const ds_rows *rows, size_t row,
                                  size_t end, float *dst)
{
    ds_recurrent s = ds_recurrent_sizes(self);
    bool hidden = part->p == DS_WEIGHT_HH;
    size_t a_stride = rows->x_stride;
    const float *a = hidden ? ds_recurrent_h(self, rows, 0, &a_stride) : rows->x;
    for (size_t r = 0; r < rows->n; r++)
        DS_TRY(k->gemm(&(ds_gemm){.ta = 'T',
                                  .tb = 'N',
                                  .m = end - row,
                                  .n = part->n,
                                  .k = s.positions - hidden,
                                  .a = a + r * a_stride + row,
                                  .lda = hidden ? s.units : s.features,
                                  .b = rows->kept + r * rows->kept_stride + part->from +
                                       (hidden ? part->ld : 0),
                                  .ldb = part->ld,
                                  .beta = r > 0 ? 1 : 0,
                                  .c = dst + part->to,
                                  .ldc = self->param[part->p]->stride}));
    return DS_OK;
}

ds_status ds_recurrent_gradient(const ds_layer *self, const ds_kernels *k,
                                const ds_recurrent_part *part, const ds_rows *rows, size_t row,
                                size_t end, float *dst)
{
    if (part->p < DS_BIAS_IH)
        return recurrent_weight(self, k, part, rows, row, end, dst);
    for (size_t r = 0; r < rows->n; r++)
        k->bias_gradient(self->in.dim[0], part->n, rows->kept + r * rows->kept_stride + part->from,
                         part->ld, dst + part->to, r > 0);
    return DS_OK;
}
