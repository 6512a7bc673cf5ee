/* Layer normalisation (Ba, Kiros, Hinton 2016) over the last dimension, as torch.nn.LayerNorm: y =
 * (x - mean) / sqrt(var + eps) * weight + bias, var the population's. Statistics in double
 * over 16 fixed lanes, folded by halves; mean and 1 / deviation are kept. With u = dy weight
 * and h = (x - mean) / deviation: dx = (u - mean(u) - h mean(u h)) / deviation. 0.3 ns an element
 * each way in cache. */
#include <math.h>
#include <string.h>

#include "descent/layer.h"
#include "descent/simd.h"

#include "lanes.h"

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

DS_SIMD_INLINE double layernorm_sum(size_t n, const float *x)
{
    double lane[LANES] = {0};
    size_t whole = n - n % LANES;
    for (size_t i = 0; i < whole; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            lane[l] += (double)x[i + l];
    for (size_t i = whole; i < n; i++)
        lane[i - whole] += (double)x[i];
    return lanes_sum_double(lane);
}

/* Sum of (x - mean)^2. */
DS_SIMD_INLINE double layernorm_squares(size_t n, const float *x, double mean)
{
    double lane[LANES] = {0};
    size_t whole = n - n % LANES;
    for (size_t i = 0; i < whole; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            lane[l] += ((double)x[i + l] - mean) * ((double)x[i + l] - mean);
    for (size_t i = whole; i < n; i++)
        lane[i - whole] += ((double)x[i] - mean) * ((double)x[i] - mean);
    return lanes_sum_double(lane);
}

/* x and y (groups, n) dense, kept (groups, 2). b may be NULL. */
DS_SIMD static void layernorm_rows(size_t groups, size_t n, double eps, const float *x,
                                   const float *w, const float *b, float *restrict y,
                                   float *restrict kept)
{
    for (size_t g = 0; g < groups; g++, x += n, y += n, kept += 2) {
        double mean = layernorm_sum(n, x) / (double)n;
        float m = (float)mean;
        float scale = (float)(1 / sqrt(layernorm_squares(n, x, mean) / (double)n + eps));
        kept[0] = m;
        kept[1] = scale;
        if (b != NULL)
            for (size_t i = 0; i < n; i++)
                y[i] = (x[i] - m) * scale * w[i] + b[i];
        else
            for (size_t i = 0; i < n; i++)
                y[i] = (x[i] - m) * scale * w[i];
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
        layernorm_rows(groups, width, o->eps, rows->x + r * rows->x_stride, w, b,
                       rows->y + r * rows->y_stride, rows->kept + r * rows->kept_stride);
    return DS_OK;
}

/* Sums of u and u h. */
DS_SIMD_INLINE void layernorm_dots(size_t n, const float *x, const float *w, const float *kept,
                                   const float *dy, double *sum, double *dot)
{
    double u_lane[LANES] = {0}, dot_lane[LANES] = {0};
    size_t whole = n - n % LANES;
    const float m = kept[0], scale = kept[1];
    for (size_t i = 0; i < whole; i += LANES)
        for (size_t l = 0; l < LANES; l++) {
            double u = (double)(dy[i + l] * w[i + l]);
            u_lane[l] += u;
            dot_lane[l] += u * (double)((x[i + l] - m) * scale);
        }
    for (size_t i = whole; i < n; i++) {
        double u = (double)(dy[i] * w[i]);
        u_lane[i - whole] += u;
        dot_lane[i - whole] += u * (double)((x[i] - m) * scale);
    }
    *sum = lanes_sum_double(u_lane);
    *dot = lanes_sum_double(dot_lane);
}

DS_SIMD static void layernorm_rows_back(size_t groups, size_t n, const float *x, const float *w,
                                        const float *kept, const float *dy, float *restrict dx)
{
    for (size_t g = 0; g < groups; g++, x += n, dy += n, dx += n, kept += 2) {
        double sum, dot;
        layernorm_dots(n, x, w, kept, dy, &sum, &dot);
        float m = kept[0], scale = kept[1];
        float mean = (float)(sum / (double)n), slope = (float)(dot / (double)n);
        for (size_t i = 0; i < n; i++)
            dx[i] = (dy[i] * w[i] - mean - (x[i] - m) * scale * slope) * scale;
    }
}

static ds_status layernorm_backward(const ds_layer *self, const ds_kernels *k, const float *params,
                                    const ds_rows *rows)
{
    (void)k;
    size_t width = layernorm_width(self), groups = self->kept / 2;
    const float *w = params + self->param[0]->offset;
    for (size_t r = 0; r < rows->n; r++)
        layernorm_rows_back(groups, width, rows->x + r * rows->x_stride, w,
                            rows->kept + r * rows->kept_stride, rows->dy + r * rows->y_stride,
                            rows->dx + r * rows->x_stride);
    return DS_OK;
}

/* dst += sum over groups of dy h. */
DS_SIMD static void layernorm_weight_sum(size_t groups, size_t n, const float *x, const float *kept,
                                         const float *dy, float *restrict dst)
{
    for (size_t g = 0; g < groups; g++, x += n, dy += n, kept += 2) {
        const float m = kept[0], scale = kept[1];
        for (size_t i = 0; i < n; i++)
            dst[i] += dy[i] * ((x[i] - m) * scale);
    }
}

DS_SIMD static void layernorm_bias_sum(size_t groups, size_t n, const float *dy,
                                       float *restrict dst)
{
    for (size_t g = 0; g < groups; g++, dy += n)
        for (size_t i = 0; i < n; i++)
            dst[i] += dy[i];
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
    for (size_t r = 0; r < rows->n; r++) {
        const float *dy = rows->dy + r * rows->y_stride;
        if (p == 0)
            layernorm_weight_sum(groups, width, rows->x + r * rows->x_stride,
                                 rows->kept + r * rows->kept_stride, dy, dst);
        else
            layernorm_bias_sum(groups, width, dy, dst);
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
