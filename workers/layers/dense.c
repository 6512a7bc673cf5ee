/* Fully connected: y = x W + b on the flattened sample, or on each position's features alone.
 * Inside W lies (in, out): forward is a plain product, dx = dy W^T, dW = x^T dy. 2 n in out flops
 * each. Outside W is (out, in) as in PyTorch. Tied weights (Press and Wolf 2017) are those of an
 * earlier layer, as they are or transposed; where they lie (out, in) inside, the products turn.
 */
#include "descent/layer.h"

typedef struct dense_options {
    int64_t units;
    int activation, init;
    bool bias, positionwise;
    const char *tied;
} dense_options;

static const ds_option options[] = {
    {.name = "units",
     .type = DS_OPTION_INT,
     .offset = offsetof(dense_options, units),
     .min = 1,
     .max = 2147483647,
     .flags = DS_OPTION_REQUIRED,
     .help = "outputs"},
    {.name = "activation",
     .type = DS_OPTION_CHOICE,
     .offset = offsetof(dense_options, activation),
     .choices = DS_ACTIVATION_CHOICES,
     .help = "layer that follows"},
    {.name = "init",
     .type = DS_OPTION_CHOICE,
     .offset = offsetof(dense_options, init),
     .choices = DS_INIT_CHOICES,
     .help = "initial weights; default: he_normal before relu, leaky_relu and gelu, else "
             "xavier_uniform"},
    {.name = "bias",
     .type = DS_OPTION_BOOL,
     .offset = offsetof(dense_options, bias),
     .fallback = "true",
     .help = "add a bias, initially zero"},
    {.name = "positionwise",
     .type = DS_OPTION_BOOL,
     .offset = offsetof(dense_options, positionwise),
     .fallback = "false",
     .help = "the same weights for each position of a sequence, as torch.nn.Linear"},
    {.name = "tied",
     .type = DS_OPTION_TEXT,
     .offset = offsetof(dense_options, tied),
     .help = "earlier layer whose weights these are, transposed where that fits; default: own"},
    {.name = NULL},
};

enum { DENSE_TURN_ROWS = 64, DENSE_TURN_SIZE = 1 << 16 };

/* Weights of an earlier layer: (units, in) as they are, or (in, units) to be taken transposed. */
static ds_status dense_tie(ds_layer *self, ds_layer_builder *builder, size_t in, size_t out)
{
    const dense_options *o = self->options;
    char text[DS_SHAPE_TEXT];
    DS_TRY(ds_layer_tie_param(builder, self, o->tied));
    const ds_shape *shape = &self->param[0]->shape;
    bool fits = shape->n == 2 && ((shape->dim[0] == out && shape->dim[1] == in) ||
                                  (shape->dim[0] == in && shape->dim[1] == out));
    DS_CHECK(fits, DS_ERR_USAGE,
             "layer '%s': tied to '%s', whose weights have shape %s, expected [%zu, %zu] or [%zu, "
             "%zu]: %zu units of %zu inputs",
             self->name, o->tied, ds_shape_text(shape, text), out, in, in, out, out, in);
    return DS_OK;
}

static ds_status dense_weight(ds_layer *self, ds_layer_builder *builder, size_t in, size_t out)
{
    const dense_options *o = self->options;
    if (o->tied[0] != '\0')
        return dense_tie(self, builder, in, out);
    if (in * out >= DENSE_TURN_SIZE)
        self->shared = out * ds_stride_for(in);
    return ds_layer_add_param(builder, self,
                              &(ds_param_spec){.suffix = "weight",
                                               .shape = {.n = 2, .dim = {out, in}},
                                               .transposed = true,
                                               .init = (ds_init_kind)o->init,
                                               .fan_in = in,
                                               .fan_out = out});
}

static ds_status dense_prepare(ds_layer *self, ds_layer_builder *builder)
{
    const dense_options *o = self->options;
    size_t in = ds_shape_elements(&self->in), out = (size_t)o->units;
    self->out = (ds_shape){.n = 1, .dim = {out}};
    if (o->positionwise && self->in.n > 1) {
        in = self->in.dim[self->in.n - 1];
        self->out = self->in;
        self->out.dim[self->in.n - 1] = out;
    }
    DS_TRY(dense_weight(self, builder, in, out));
    if (o->bias)
        DS_TRY(ds_layer_add_param(builder, self,
                                  &(ds_param_spec){.suffix = "bias",
                                                   .shape = {.n = 1, .dim = {out}},
                                                   .init = DS_INIT_ZEROS,
                                                   .fan_in = in,
                                                   .fan_out = out}));
    return ds_layer_add_factors(builder, self,
                                &(ds_factor_spec){1, in, out, ds_shape_elements(&self->out) / out});
}

static bool dense_has_bias(const ds_layer *self)
{
    return ((const dense_options *)self->options)->bias;
}

/* The shard as matrices: `calls` of `rows` rows each. One matrix of all samples, or of all
 * positions where they lie row behind row; else one a sample. */
typedef struct dense_view {
    size_t calls, rows, ldx, ldy, x_step, y_step;
    size_t in, out;
    bool turned; /* W lies (out, in) inside: that of another layer */
} dense_view;

static dense_view dense_look(const ds_layer *self, const ds_rows *rows)
{
    const ds_param *w = self->param[0];
    size_t out = self->out.dim[self->out.n - 1], in = w->rows * w->cols / out;
    size_t positions = ds_shape_elements(&self->in) / in;
    bool as_is = w->shape.dim[0] == out;
    dense_view v = {1,  rows->n, rows->x_stride,        rows->y_stride, 0, 0,
                    in, out,     as_is != w->transposed};
    if (positions == 1)
        return v;
    v.ldx = in;
    v.ldy = out;
    v.rows = rows->n * positions;
    if (rows->x_stride == positions * in && rows->y_stride == positions * out)
        return v;
    v.calls = rows->n;
    v.rows = positions;
    v.x_step = rows->x_stride;
    v.y_step = rows->y_stride;
    return v;
}

static ds_status dense_forward(const ds_layer *self, const ds_kernels *k, const float *params,
                               const ds_rows *rows)
{
    const ds_param *w = self->param[0];
    dense_view v = dense_look(self, rows);
    for (size_t i = 0; i < v.calls; i++) {
        const ds_gemm product = {.ta = 'N',
                                 .tb = v.turned ? 'T' : 'N',
                                 .m = v.rows,
                                 .n = v.out,
                                 .k = v.in,
                                 .a = rows->x + i * v.x_step,
                                 .lda = v.ldx,
                                 .b = params + w->offset,
                                 .ldb = w->stride,
                                 .c = rows->y + i * v.y_step,
                                 .ldc = v.ldy};
        if (dense_has_bias(self))
            DS_TRY(ds_kernels_affine(k, &product, params + self->param[1]->offset));
        else
            DS_TRY(k->gemm(&product));
    }
    return DS_OK;
}

/* Where W^T would be packed anew for each product, few rows do not earn that back: W is turned once
 * a pass and dx a plain product. A library's products are a shard's, own ones a sample's where its
 * positions' rows lie apart; else all shards are one product, which needs none. On one core with
 * 4 x 32 rows of 1024 x 1024: 2.96 ms as it lies, 2.36 + 0.23 turned; with 128 rows 2.45 against
 * 2.32 + 0.18. */
static bool dense_shares(const ds_layer *self, const ds_kernels *k, size_t n)
{
    const ds_rows rows = {.n = n, .x_stride = self->x_stride, .y_stride = self->y_stride};
    dense_view v = dense_look(self, &rows);
    bool few = k->rows_alone ? v.calls > 1 && v.rows <= DENSE_TURN_ROWS : n <= DENSE_TURN_ROWS;
    return self->shared > 0 && k->packs_b && few;
}

static void dense_share(const ds_layer *self, const ds_kernels *k, const float *params,
                        float *shared)
{
    const ds_param *w = self->param[0];
    k->transpose(w->rows, w->cols, params + w->offset, w->stride, shared, ds_stride_for(w->rows));
}

static ds_status dense_backward(const ds_layer *self, const ds_kernels *k, const float *params,
                                const ds_rows *rows)
{
    const ds_param *w = self->param[0];
    bool shared = dense_shares(self, k, rows->n);
    dense_view v = dense_look(self, rows);
    for (size_t i = 0; i < v.calls; i++)
        DS_TRY(k->gemm(&(ds_gemm){.ta = 'N',
                                  .tb = shared || v.turned ? 'N' : 'T',
                                  .m = v.rows,
                                  .n = v.in,
                                  .k = v.out,
                                  .a = rows->dy + i * v.y_step,
                                  .lda = v.ldy,
                                  .b = shared ? rows->shared : params + w->offset,
                                  .ldb = shared ? ds_stride_for(w->rows) : w->stride,
                                  .beta = 0,
                                  .c = rows->dx + i * v.x_step,
                                  .ldc = v.ldx}));
    return DS_OK;
}

/* Inside rows of dW: inputs, so x^T dy; of turned weights outputs, so dy^T x; of factors x^T x and
 * dy^T dy. */
static ds_status dense_gradient(const ds_layer *self, const ds_kernels *k, size_t p, size_t from,
                                size_t to, const ds_rows *rows, float *dst, bool add)
{
    const ds_param *w = self->param[p];
    dense_view v = dense_look(self, rows);
    for (size_t i = 0; i < v.calls; i++) {
        const float *x = rows->x + i * v.x_step, *dy = rows->dy + i * v.y_step;
        int factor = ds_layer_factor(self, p);
        bool rows_dy = factor < 0 ? v.turned : factor == 1;
        bool cols_dy = factor < 0 ? !v.turned : factor == 1;
        if (p == 1 && factor < 0) {
            k->bias_gradient(v.rows, v.out, dy, v.ldy, dst, add || i > 0);
            continue;
        }
        DS_TRY(k->gemm(&(ds_gemm){.ta = 'T',
                                  .tb = 'N',
                                  .m = to - from,
                                  .n = w->cols,
                                  .k = v.rows,
                                  .a = (rows_dy ? dy : x) + from,
                                  .lda = rows_dy ? v.ldy : v.ldx,
                                  .b = cols_dy ? dy : x,
                                  .ldb = cols_dy ? v.ldy : v.ldx,
                                  .beta = add || i > 0 ? 1 : 0,
                                  .c = dst,
                                  .ldc = w->stride}));
    }
    return DS_OK;
}

/* Only a shard that is one product adds with one rounding. */
static bool dense_adds(const ds_layer *self, const ds_kernels *k, size_t p, size_t panel_rows,
                       size_t n)
{
    size_t out = self->out.dim[self->out.n - 1];
    if (ds_shape_elements(&self->in) * out != self->param[0]->rows * self->param[0]->cols)
        return false;
    if (p == 1 && dense_has_bias(self))
        return true;
    return ds_kernels_fuse(k, 'T', 'N', panel_rows, self->param[p]->cols, n);
}

extern const ds_layer_ops ds_layer_dense;
const ds_layer_ops ds_layer_dense = {
    .name = "dense",
    .help = "fully connected, on the flattened sample or on each position",
    .options = options,
    .options_size = sizeof(dense_options),
    .alone = true,
    .prepare = dense_prepare,
    .forward = dense_forward,
    .backward = dense_backward,
    .shares = dense_shares,
    .share = dense_share,
    .gradient = dense_gradient,
    .adds = dense_adds,
};
