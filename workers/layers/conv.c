/* Convolution (cross-correlation, as torch.nn.Conv2d) of C x H x W planes as matrix products: each
 * window is a column, y = W cols, dcols = W^T dy, dW = dy cols^T. Kernels with a product of their
 * own pack the columns from the planes (conv_product.c); with the others the columns are written,
 * one product a sample and group, and made again for dW, which is cheaper than to keep them. A dy
 * of many zeros has loops of its own (conv_sparse.c). 2 n out oh ow (C / groups) kh kw flops each.
 * W inside is (out, C / groups kh kw) as outside. */
#include "conv.h"

#include <string.h>

#include "descent/simd.h"

enum { CONV_LANES = 16 };

typedef struct conv_options {
    ds_window_options window;
    int64_t channels, groups;
    int activation, init;
    bool bias;
} conv_options;

static const ds_option options[] = {
    {.name = "channels",
     .type = DS_OPTION_INT,
     .offset = offsetof(conv_options, channels),
     .min = 1,
     .max = 1048576,
     .flags = DS_OPTION_REQUIRED,
     .help = "planes of the output"},
    {.name = "kernel",
     .type = DS_OPTION_VALUE,
     .offset = offsetof(conv_options, window.kernel),
     .choices = "a number or [height, width]",
     .flags = DS_OPTION_REQUIRED,
     .help = "size of the window"},
    {.name = "stride",
     .type = DS_OPTION_VALUE,
     .offset = offsetof(conv_options, window.stride),
     .choices = "a number or [vertical, horizontal]",
     .help = "from window to window; default: 1"},
    {.name = "padding",
     .type = DS_OPTION_VALUE,
     .offset = offsetof(conv_options, window.padding),
     .choices = "a number, [vertical, horizontal] or same",
     .help = "zeros around the planes; default: 0"},
    {.name = "groups",
     .type = DS_OPTION_INT,
     .offset = offsetof(conv_options, groups),
     .fallback = "1",
     .min = 1,
     .max = 1048576,
     .help = "parts of the channels that do not see each other"},
    {.name = "activation",
     .type = DS_OPTION_CHOICE,
     .offset = offsetof(conv_options, activation),
     .choices = DS_ACTIVATION_CHOICES,
     .help = "layer that follows"},
    {.name = "init",
     .type = DS_OPTION_CHOICE,
     .offset = offsetof(conv_options, init),
     .choices = DS_INIT_CHOICES,
     .help = "initial weights; default: he_normal before relu, leaky_relu and gelu, else "
             "xavier_uniform"},
    {.name = "bias",
     .type = DS_OPTION_BOOL,
     .offset = offsetof(conv_options, bias),
     .fallback = "true",
     .help = "add a bias a channel, initially zero"},
    {.name = NULL},
};

/* Scratch of any way to compute; W turned, and in the order of conv_sparse.c. */
static void conv_room(ds_layer *self, const ds_conv *plan)
{
    size_t product = ds_conv_product_scratch(plan);
    size_t sparse = ds_conv_sparse_fits(plan) ? ds_conv_sparse_scratch(plan) : 0;
    self->scratch = plan->taps * plan->points;
    self->scratch = self->scratch > product ? self->scratch : product;
    self->scratch = self->scratch > sparse ? self->scratch : sparse;
    self->shared = (ds_conv_sparse_fits(plan) ? ds_conv_sparse_shared(plan) : 0) +
                   (ds_conv_product_turns(plan) ? ds_conv_product_shared(plan) : 0);
}

static ds_status conv_prepare(ds_layer *self, ds_layer_builder *builder)
{
    const conv_options *o = self->options;
    ds_conv *plan = NULL;
    DS_TRY(ds_arena_take(ds_layer_arena(builder), 1, sizeof *plan, "a convolution", &plan));
    DS_TRY(ds_window_prepare(self, &o->window, 1, &plan->window));
    const ds_window *w = &plan->window;
    size_t out = (size_t)o->channels;
    plan->groups = (size_t)o->groups;
    DS_CHECK(w->c % plan->groups == 0 && out % plan->groups == 0, DS_ERR_USAGE,
             "layer '%s': %zu groups must divide the input's %zu channels and the output's %zu",
             self->name, plan->groups, w->c, out);
    plan->group_in = w->c / plan->groups;
    plan->group_out = out / plan->groups;
    plan->taps = plan->group_in * w->kh * w->kw;
    plan->points = w->oh * w->ow;
    self->plan = plan;
    self->out = (ds_shape){.n = 3, .dim = {out, w->oh, w->ow}};
    conv_room(self, plan);
    ds_param_spec weight = {.suffix = "weight",
                            .shape = {.n = 4, .dim = {out, plan->group_in, w->kh, w->kw}},
                            .init = (ds_init_kind)o->init,
                            .fan_in = plan->taps,
                            .fan_out = plan->group_out * w->kh * w->kw};
    DS_TRY(ds_layer_add_param(builder, self, &weight));
    ds_param_spec bias = {.suffix = "bias",
                          .shape = {.n = 1, .dim = {out}},
                          .init = DS_INIT_ZEROS,
                          .fan_in = plan->taps,
                          .fan_out = out};
    if (o->bias)
        DS_TRY(ds_layer_add_param(builder, self, &bias));
    return ds_layer_add_factors(
        builder, self, &(ds_factor_spec){plan->groups, plan->taps, plan->group_out, plan->points});
}

static bool conv_has_bias(const ds_layer *self)
{
    return ((const conv_options *)self->options)->bias;
}

const float *ds_conv_columns(const ds_conv *self, size_t g, const float *x, float *scratch)
{
    const ds_window *w = &self->window;
    const float *planes = x + g * self->group_in * w->h * w->w;
    if (ds_window_plain(w))
        return planes;
    ds_window_unfold(w, self->group_in, planes, scratch);
    return scratch;
}

DS_SIMD static void conv_add_bias(size_t channels, size_t points, const float *bias, float *y)
{
    for (size_t c = 0; c < channels; c++, y += points)
        for (size_t i = 0; i < points; i++)
            y[i] += bias[c];
}

/* One product a sample and group. */
static ds_status conv_forward_written(const ds_layer *self, const ds_kernels *k,
                                      const float *params, const ds_rows *rows)
{
    const ds_conv *plan = self->plan;
    const ds_param *w = self->param[0];
    for (size_t r = 0; r < rows->n; r++)
        for (size_t g = 0; g < plan->groups; g++) {
            const float *x = rows->x + r * rows->x_stride;
            float *y = rows->y + r * rows->y_stride;
            DS_TRY(k->gemm(&(ds_gemm){.ta = 'N',
                                      .tb = 'N',
                                      .m = plan->group_out,
                                      .n = plan->points,
                                      .k = plan->taps,
                                      .a = params + w->offset + g * plan->group_out * w->stride,
                                      .lda = w->stride,
                                      .b = ds_conv_columns(plan, g, x, rows->scratch),
                                      .ldb = plan->points,
                                      .beta = 0,
                                      .c = y + g * plan->group_out * plan->points,
                                      .ldc = plan->points}));
        }
    return DS_OK;
}

static ds_status conv_forward(const ds_layer *self, const ds_kernels *k, const float *params,
                              const ds_rows *rows)
{
    const ds_conv *plan = self->plan;
    const ds_param *w = self->param[0];
    if (k->product != NULL)
        DS_TRY(ds_conv_product_forward(plan, k, params + w->offset, w->stride, rows));
    else
        DS_TRY(conv_forward_written(self, k, params, rows));
    for (size_t r = 0; r < rows->n && conv_has_bias(self); r++)
        conv_add_bias(self->out.dim[0], plan->points, params + self->param[1]->offset,
                      rows->y + r * rows->y_stride);
    return DS_OK;
}

static bool conv_shares(const ds_layer *self, const ds_kernels *k, size_t n)
{
    (void)k, (void)n;
    return self->shared > 0;
}

static void conv_share(const ds_layer *self, const ds_kernels *k, const float *params,
                       float *shared)
{
    const ds_conv *plan = self->plan;
    const ds_param *w = self->param[0];
    if (ds_conv_sparse_fits(plan)) {
        ds_conv_sparse_share(plan, params + w->offset, w->stride, shared);
        shared += ds_conv_sparse_shared(plan);
    }
    if (k->product != NULL && ds_conv_product_turns(plan))
        ds_conv_product_share(plan, params + w->offset, w->stride, shared);
}

static ds_status conv_backward_written(const ds_layer *self, const ds_kernels *k,
                                       const float *params, const ds_rows *rows)
{
    const ds_conv *plan = self->plan;
    const ds_window *window = &plan->window;
    const ds_param *w = self->param[0];
    size_t planes = plan->group_in * window->h * window->w;
    bool plain = ds_window_plain(window);
    for (size_t r = 0; r < rows->n; r++)
        for (size_t g = 0; g < plan->groups; g++) {
            float *dx = rows->dx + r * rows->x_stride + g * planes;
            float *cols = plain ? dx : rows->scratch;
            DS_TRY(k->gemm(
                &(ds_gemm){.ta = 'T',
                           .tb = 'N',
                           .m = plan->taps,
                           .n = plan->points,
                           .k = plan->group_out,
                           .a = params + w->offset + g * plan->group_out * w->stride,
                           .lda = w->stride,
                           .b = rows->dy + r * rows->y_stride + g * plan->group_out * plan->points,
                           .ldb = plan->points,
                           .beta = 0,
                           .c = cols,
                           .ldc = plan->points}));
            if (plain)
                continue;
            memset(dx, 0, planes * sizeof *dx);
            ds_window_fold(window, plan->group_in, cols, dx);
        }
    return DS_OK;
}

static ds_status conv_backward(const ds_layer *self, const ds_kernels *k, const float *params,
                               const ds_rows *rows)
{
    const ds_conv *plan = self->plan;
    if (ds_conv_sparse_pays(plan, rows)) {
        ds_conv_sparse_input(plan, rows);
        return DS_OK;
    }
    if (k->product == NULL || !ds_conv_product_turns(plan))
        return conv_backward_written(self, k, params, rows);
    size_t behind = ds_conv_sparse_fits(plan) ? ds_conv_sparse_shared(plan) : 0;
    return ds_conv_product_input(plan, k, rows->shared + behind, rows);
}

/* Sum in double over 16 lanes, which are added in their order at the end. */
DS_SIMD static void conv_lanes(size_t n, const float *x, double *lane)
{
    for (size_t i = 0; i < n / CONV_LANES; i++, x += CONV_LANES)
        for (size_t l = 0; l < CONV_LANES; l++)
            lane[l] += (double)x[l];
    for (size_t l = 0; l < n % CONV_LANES; l++)
        lane[l] += (double)x[l];
}

/* db: each channel's sum over samples and points. */
static void conv_bias_gradient(const ds_layer *self, const ds_rows *rows, float *dst)
{
    const ds_conv *plan = self->plan;
    for (size_t c = 0; c < self->out.dim[0]; c++) {
        double lane[CONV_LANES] = {0}, sum = 0;
        for (size_t r = 0; r < rows->n; r++)
            conv_lanes(plan->points, rows->dy + r * rows->y_stride + c * plan->points, lane);
        for (size_t l = 0; l < CONV_LANES; l++)
            sum += lane[l];
        dst[c] = (float)sum;
    }
}

static ds_status conv_weight_written(const ds_layer *self, const ds_kernels *k, const ds_rows *rows,
                                     const ds_conv_part *part)
{
    const ds_conv *plan = self->plan;
    for (size_t r = 0; r < rows->n; r++) {
        const float *x = rows->x + r * rows->x_stride;
        DS_TRY(k->gemm(&(ds_gemm){.ta = 'N',
                                  .tb = 'T',
                                  .m = part->to - part->from,
                                  .n = plan->taps,
                                  .k = plan->points,
                                  .a = rows->dy + r * rows->y_stride + part->from * plan->points,
                                  .lda = plan->points,
                                  .b = ds_conv_columns(plan, part->group, x, rows->scratch),
                                  .ldb = plan->points,
                                  .beta = r > 0 ? 1 : 0,
                                  .c = part->dst,
                                  .ldc = part->stride}));
    }
    return DS_OK;
}

/* Inside rows [from, to) are output channels, or for the inputs' factor taps; they may belong to
 * several groups. */
static ds_status conv_gradient(const ds_layer *self, const ds_kernels *k, size_t p, size_t from,
                               size_t to, const ds_rows *rows, float *dst, bool add)
{
    const ds_conv *plan = self->plan;
    int factor = ds_layer_factor(self, p);
    size_t stride = self->param[p]->stride, height = factor == 0 ? plan->taps : plan->group_out;
    DS_ASSERT(!add);
    if (factor < 0 && p == 1) {
        conv_bias_gradient(self, rows, dst);
        return DS_OK;
    }
    if (factor < 0 && ds_conv_sparse_pays(plan, rows)) {
        ds_conv_sparse_weight(plan, rows, from, to, dst, stride);
        return DS_OK;
    }
    for (size_t g = from / height; g * height < to; g++) {
        size_t first = g * height > from ? g * height : from;
        size_t end = (g + 1) * height < to ? (g + 1) * height : to;
        ds_conv_part part = {g, first, end, dst + (first - from) * stride, stride};
        if (factor >= 0)
            DS_TRY(ds_conv_factor(plan, k, rows, &part, factor == 0));
        else if (k->product != NULL)
            DS_TRY(ds_conv_product_weight(plan, k, rows, &part));
        else
            DS_TRY(conv_weight_written(self, k, rows, &part));
    }
    return DS_OK;
}

extern const ds_layer_ops ds_layer_conv;
const ds_layer_ops ds_layer_conv = {
    .name = "conv",
    .help = "two-dimensional convolution, as torch.nn.Conv2d",
    .options = options,
    .options_size = sizeof(conv_options),
    .in_dims = 3,
    .prepare = conv_prepare,
    .forward = conv_forward,
    .backward = conv_backward,
    .shares = conv_shares,
    .share = conv_share,
    .gradient = conv_gradient,
};
