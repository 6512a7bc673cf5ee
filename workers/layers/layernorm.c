/* Layer normalisation (Ba, Kiros, Hinton 2016) over the last dimension, as torch.nn.LayerNorm: y =
 * (x - mean) / sqrt(var + eps) * weight + bias, var the population's. Statistics in double; mean
 * and 1 / deviation are kept. With u = dy weight and h = (x - mean) / deviation:
 * dx = (u - mean(u) - h mean(u h)) / deviation. */
#include <math.h>
#include <string.h>

#include "descent/layer.h"

typedef struct layernorm_options {
    double eps;
    bool bias;
} layernorm_options;

static const ds_option options[] = {
    {.name = "eps",
     .type = DS_OPTION_REAL,
     .offset = offsetof(layernorm_options, eps),
     .fallback = "1e-5",
     .min = DS_ABOVE_0,
     .max = HUGE_VAL,
     .help = "added to the variance"},
    {.name = "bias",
     .type = DS_OPTION_BOOL,
     .offset = offsetof(layernorm_options, bias),
     .fallback = "true",
     .help = "add a bias, initially zero"},
    {.name = NULL},
};

static size_t layernorm_width(const ds_layer *self)
{
    return self->in.n == 0 ? 1 : self->in.dim[self->in.n - 1];
}

static ds_status layernorm_prepare(ds_layer *self, ds_layer_builder *builder)
{
    const layernorm_options *o = self->options;
    size_t width = layernorm_width(self);
    self->out = self->in;
    self->kept = 2 * ds_shape_elements(&self->in) / width;
    ds_param_spec spec = {.suffix = "weight",
                          .shape = {.n = 1, .dim = {width}},
                          .init = DS_INIT_ONES,
                          .fan_in = width,
                          .fan_out = width};
    DS_TRY(ds_layer_add_param(builder, self, &spec));
    spec.suffix = "bias";
    spec.init = DS_INIT_ZEROS;
    return o->bias ? ds_layer_add_param(builder, self, &spec) : DS_OK;
}

static void layernorm_row(size_t n, double eps, const float *x, const float *w, const float *b,
                          float *y, float *kept)
{
    double mean = 0, variance = 0;
    for (size_t i = 0; i < n; i++)
        mean += (double)x[i];
    mean /= (double)n;
    for (size_t i = 0; i < n; i++)
        variance += ((double)x[i] - mean) * ((double)x[i] - mean);
    kept[0] = (float)mean;
    kept[1] = (float)(1 / sqrt(variance / (double)n + eps));
    for (size_t i = 0; i < n; i++) {
        float h = (x[i] - kept[0]) * kept[1];
        y[i] = b != NULL ? h * w[i] + b[i] : h * w[i];
    }
}

static ds_status layernorm_forward(const ds_layer *self, const ds_kernels *k, const float *params,
                                   const ds_rows *rows)
{
    (void)k;
    const layernorm_options *o = self->options;
    size_t width = layernorm_width(self), groups = self->kept / 2;
    const float *w = params + self->param[0]->offset;
    const float *b = self->n_params > 1 ? params + self->param[1]->offset : NULL;
    for (size_t r = 0; r < rows->n; r++)
        for (size_t g = 0; g < groups; g++)
            layernorm_row(width, o->eps, rows->x + r * rows->x_stride + g * width, w, b,
                          rows->y + r * rows->y_stride + g * width,
                          rows->kept + r * rows->kept_stride + 2 * g);
    return DS_OK;
}

static void layernorm_row_back(size_t n, const float *x, const float *w, const float *kept,
                               const float *dy, float *dx)
{
    double sum = 0, dot = 0;
    for (size_t i = 0; i < n; i++) {
        double u = (double)dy[i] * (double)w[i];
        sum += u;
        dot += u * (double)((x[i] - kept[0]) * kept[1]);
    }
    float mean = (float)(sum / (double)n), slope = (float)(dot / (double)n);
    for (size_t i = 0; i < n; i++)
        dx[i] = (dy[i] * w[i] - mean - (x[i] - kept[0]) * kept[1] * slope) * kept[1];
}

static ds_status layernorm_backward(const ds_layer *self, const ds_kernels *k, const float *params,
                                    const ds_rows *rows)
{
    (void)k;
    size_t width = layernorm_width(self), groups = self->kept / 2;
    const float *w = params + self->param[0]->offset;
    for (size_t r = 0; r < rows->n; r++)
        for (size_t g = 0; g < groups; g++)
            layernorm_row_back(width, rows->x + r * rows->x_stride + g * width, w,
                               rows->kept + r * rows->kept_stride + 2 * g,
                               rows->dy + r * rows->y_stride + g * width,
                               rows->dx + r * rows->x_stride + g * width);
    return DS_OK;
}

/* dweight = sum of dy h, dbias = sum of dy, over samples and groups in order. */
static ds_status layernorm_gradient(const ds_layer *self, const ds_kernels *k, size_t p,
                                    size_t from, size_t to, const ds_rows *rows, float *dst,
                                    bool add)
{
    (void)k, (void)from, (void)to;
    size_t width = layernorm_width(self), groups = self->kept / 2;
    DS_ASSERT(!add);
    memset(dst, 0, width * sizeof *dst);
    for (size_t r = 0; r < rows->n; r++)
        for (size_t g = 0; g < groups; g++) {
            const float *x = rows->x + r * rows->x_stride + g * width;
            const float *dy = rows->dy + r * rows->y_stride + g * width;
            const float *kept = rows->kept + r * rows->kept_stride + 2 * g;
            for (size_t i = 0; i < width; i++)
                dst[i] += p == 0 ? dy[i] * ((x[i] - kept[0]) * kept[1]) : dy[i];
        }
    return DS_OK;
}

extern const ds_layer_ops ds_layer_layernorm;
const ds_layer_ops ds_layer_layernorm = {
    .name = "layernorm",
    .help = "mean 0 and variance 1 over the last dimension (Ba, Kiros, Hinton 2016)",
    .options = options,
    .options_size = sizeof(layernorm_options),
    .prepare = layernorm_prepare,
    .forward = layernorm_forward,
    .backward = layernorm_backward,
    .gradient = layernorm_gradient,
};
