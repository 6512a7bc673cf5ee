/* Batch normalisation (Ioffe, Szegedy 2015) of channels, as torch.nn.BatchNorm: the first dimension
 * is the channel, the others are its positions; a vector's elements are channels of one position.
 * y = (x - mean) / sqrt(var + eps) * weight + bias. While training, mean and var (the population's)
 * are those of the shard's N = rows x positions values; with N = 1 var is 0, y the bias and dx 0.
 * running_mean and running_var are statistics (param.h): once a step they move by `momentum`
 * towards the mean over shards, weighted by their samples, of mean and var N / (N - 1) (0 for N =
 * 1). Evaluation uses them; so does a frozen layer, whose running values stay as they are. Sums in
 * double, in 16 lanes folded in order. With h = (x - mean) / sqrt(var + eps):
 * dx = weight / sqrt(var + eps) * (dy - mean(dy) - h mean(dy h)). */
#include <math.h>
#include <string.h>

#include "descent/layer.h"
#include "descent/simd.h"

enum { BATCHNORM_LANES = 16 };

typedef struct batchnorm_options {
    double eps, momentum;
    bool affine;
} batchnorm_options;

static const ds_option options[] = {
    {.name = "eps",
     .type = DS_OPTION_REAL,
     .offset = offsetof(batchnorm_options, eps),
     .fallback = "1e-5",
     .min = DS_ABOVE_0,
     .max = HUGE_VAL,
     .help = "added to the variance"},
    {.name = "momentum",
     .type = DS_OPTION_REAL,
     .offset = offsetof(batchnorm_options, momentum),
     .fallback = "0.1",
     .min = DS_ABOVE_0,
     .max = 1,
     .help = "the part of the way that running values move in a step"},
    {.name = "affine",
     .type = DS_OPTION_BOOL,
     .offset = offsetof(batchnorm_options, affine),
     .fallback = "true",
     .help = "learn a weight and a bias for each channel"},
    {.name = NULL},
};

/* What a channel's lanes add up. */
typedef struct batchnorm_lanes {
    float mean[BATCHNORM_LANES];
    double a[BATCHNORM_LANES], b[BATCHNORM_LANES];
} batchnorm_lanes;

/* What the first of a shard's rows keeps, (C) each. */
typedef struct batchnorm_kept {
    float *mean, *var, *inverse; /* 1 / sqrt(var + eps) */
    float *sum, *dot;            /* of dy, of dy h */
} batchnorm_kept;

static size_t batchnorm_channels(const ds_layer *self)
{
    return self->in.n == 0 ? 1 : self->in.dim[0];
}

static batchnorm_kept batchnorm_keep(const ds_layer *self, const ds_rows *rows)
{
    size_t c = batchnorm_channels(self);
    float *kept = rows->kept;
    return (batchnorm_kept){kept, kept + c, kept + 2 * c, kept + 3 * c, kept + 4 * c};
}

static ds_status batchnorm_statistic(ds_layer *self, ds_layer_builder *builder, const char *suffix,
                                     ds_init_kind init)
{
    const batchnorm_options *o = self->options;
    const ds_param_spec spec = {.suffix = suffix,
                                .shape = {.n = 1, .dim = {batchnorm_channels(self)}},
                                .init = init,
                                .kind = DS_PARAM_STATISTIC,
                                .pace = o->momentum};
    return ds_layer_add_param(builder, self, &spec);
}

static ds_status batchnorm_prepare(ds_layer *self, ds_layer_builder *builder)
{
    const batchnorm_options *o = self->options;
    size_t channels = batchnorm_channels(self);
    self->out = self->in;
    self->kept = 5 * channels;
    self->scratch = 3 * channels;
    self->least = channels == ds_shape_elements(&self->in) && self->trainable ? 2 : 0;
    ds_param_spec spec = {
        .suffix = "weight", .shape = {.n = 1, .dim = {channels}}, .init = DS_INIT_ONES};
    if (o->affine) {
        DS_TRY(ds_layer_add_param(builder, self, &spec));
        spec.suffix = "bias";
        spec.init = DS_INIT_ZEROS;
        DS_TRY(ds_layer_add_param(builder, self, &spec));
    }
    DS_TRY(batchnorm_statistic(self, builder, "running_mean", DS_INIT_ZEROS));
    return batchnorm_statistic(self, builder, "running_var", DS_INIT_ONES);
}

/* ---- loops over a run of values, n of one channel or one of n channels ------------------------
 */

/* a += x - mean, b += (x - mean)^2, mean being any value near them. */
DS_SIMD static void batchnorm_moments(size_t n, const float *restrict x,
                                      batchnorm_lanes *restrict l)
{
    size_t i = 0;
    for (; i + BATCHNORM_LANES <= n; i += BATCHNORM_LANES)
        for (size_t k = 0; k < BATCHNORM_LANES; k++) {
            const double d = (double)x[i + k] - (double)l->mean[k];
            l->a[k] += d;
            l->b[k] += d * d;
        }
    for (size_t k = 0; i + k < n; k++) {
        const double d = (double)x[i + k] - (double)l->mean[k];
        l->a[k] += d;
        l->b[k] += d * d;
    }
}

/* a += dy, b += dy (x - mean). */
DS_SIMD static void batchnorm_products(size_t n, const float *restrict x, const float *restrict dy,
                                       batchnorm_lanes *restrict l)
{
    size_t i = 0;
    for (; i + BATCHNORM_LANES <= n; i += BATCHNORM_LANES)
        for (size_t k = 0; k < BATCHNORM_LANES; k++) {
            const double d = (double)dy[i + k];
            l->a[k] += d;
            l->b[k] += d * (double)(x[i + k] - l->mean[k]);
        }
    for (size_t k = 0; i + k < n; k++) {
        const double d = (double)dy[i + k];
        l->a[k] += d;
        l->b[k] += d * (double)(x[i + k] - l->mean[k]);
    }
}

/* y = (x - mean) scale + bias. */
DS_SIMD static void batchnorm_plane(size_t n, float mean, float scale, float bias, const float *x,
                                    float *y)
{
    DS_IVDEP
    for (size_t i = 0; i < n; i++)
        y[i] = (x[i] - mean) * scale + bias;
}

DS_SIMD static void batchnorm_vector(size_t n, const float *mean, const float *scale,
                                     const float *bias, const float *x, float *y)
{
    DS_IVDEP
    for (size_t i = 0; i < n; i++)
        y[i] = (x[i] - mean[i]) * scale[i] + bias[i];
}

/* dx = (dy - sum - (x - mean) dot) scale. */
typedef struct batchnorm_slope {
    float mean, sum, dot, scale;
} batchnorm_slope;

DS_SIMD static void batchnorm_plane_back(size_t n, batchnorm_slope s, const float *x,
                                         const float *dy, float *dx)
{
    DS_IVDEP
    for (size_t i = 0; i < n; i++)
        dx[i] = (dy[i] - s.sum - (x[i] - s.mean) * s.dot) * s.scale;
}

DS_SIMD static void batchnorm_vector_back(size_t n, const float *mean, const float *sum,
                                          const float *dot, const float *scale, const float *x,
                                          const float *dy, float *dx)
{
    DS_IVDEP
    for (size_t i = 0; i < n; i++)
        dx[i] = (dy[i] - sum[i] - (x[i] - mean[i]) * dot[i]) * scale[i];
}

/* ---- sums over a shard ------------------------------------------------------------------------
 */

/* Walks the shard's values of the channels from c on, of which it does `width` at once (16 of a
 * vector's, else 1). dy NULL: moments, else products. Returns each channel's sums in a and b. */
static void batchnorm_walk(const ds_layer *self, const ds_rows *rows, const float *dy, size_t c,
                           size_t width, batchnorm_lanes *lanes)
{
    size_t positions = ds_shape_elements(&self->in) / batchnorm_channels(self);
    size_t n = positions > 1 ? positions : width;
    for (size_t r = 0; r < rows->n; r++) {
        const float *x = rows->x + r * rows->x_stride + c * positions;
        if (dy == NULL)
            batchnorm_moments(n, x, lanes);
        else
            batchnorm_products(n, x, dy + r * rows->y_stride + c * positions, lanes);
    }
    for (size_t k = 1; k < BATCHNORM_LANES && positions > 1; k++) {
        lanes->a[0] += lanes->a[k];
        lanes->b[0] += lanes->b[k];
    }
}

/* Channels done at once. */
static size_t batchnorm_width(const ds_layer *self, size_t c)
{
    size_t channels = batchnorm_channels(self), left = channels - c;
    if (ds_shape_elements(&self->in) != channels)
        return 1;
    return left < BATCHNORM_LANES ? left : BATCHNORM_LANES;
}

/* The lanes' means: those of `width` channels, or one for all. */
static void batchnorm_set(batchnorm_lanes *lanes, bool vector, const float *mean, size_t width)
{
    memset(lanes, 0, sizeof *lanes);
    for (size_t k = 0; k < BATCHNORM_LANES; k++)
        lanes->mean[k] = !vector ? mean[0] : k < width ? mean[k] : 0;
}

/* mean and var of all channels; var is the population's. */
static void batchnorm_measure(const ds_layer *self, const ds_rows *rows, float *mean, float *var)
{
    size_t channels = batchnorm_channels(self);
    size_t positions = ds_shape_elements(&self->in) / channels;
    double n = (double)rows->n * (double)positions;
    for (size_t c = 0, width; c < channels; c += width) {
        batchnorm_lanes lanes;
        width = batchnorm_width(self, c);
        batchnorm_set(&lanes, positions == 1, rows->x + c * positions, width);
        batchnorm_walk(self, rows, NULL, c, width, &lanes);
        for (size_t k = 0; k < width; k++) {
            double off = lanes.a[k] / n, spread = lanes.b[k] / n - off * off;
            mean[c + k] = (float)((double)lanes.mean[k] + off);
            var[c + k] = spread > 0 || spread != spread ? (float)spread : 0;
        }
    }
}

/* sum of dy and of dy h into kept. */
static ds_status batchnorm_before(const ds_layer *self, const ds_kernels *kernels,
                                  const float *params, const ds_rows *rows)
{
    (void)kernels, (void)params;
    const batchnorm_kept kept = batchnorm_keep(self, rows);
    size_t channels = batchnorm_channels(self);
    bool vector = ds_shape_elements(&self->in) == channels;
    for (size_t c = 0, width; c < channels; c += width) {
        batchnorm_lanes lanes;
        width = batchnorm_width(self, c);
        batchnorm_set(&lanes, vector, kept.mean + c, width);
        batchnorm_walk(self, rows, rows->dy, c, width, &lanes);
        for (size_t k = 0; k < width; k++) {
            kept.sum[c + k] = (float)lanes.a[k];
            kept.dot[c + k] = (float)(lanes.b[k] * (double)kept.inverse[c + k]);
        }
    }
    return DS_OK;
}

/* ---- the layer --------------------------------------------------------------------------------
 */

static bool batchnorm_affine(const ds_layer *self)
{
    return self->n_params == 4;
}

/* A statistic's or a channel parameter's values: 0 weight, 1 bias, 2 running_mean, 3 running_var;
 * NULL where the layer has none. */
static const float *batchnorm_values(const ds_layer *self, const float *params, size_t which)
{
    if (!batchnorm_affine(self) && which < 2)
        return NULL;
    return params + self->param[which - (batchnorm_affine(self) ? 0 : 2)]->offset;
}

/* Does it use the shard's own mean and variance? */
static bool batchnorm_own(const ds_layer *self, const ds_rows *rows)
{
    return rows->training && self->trainable;
}

/* y of all rows; `scale` and `bias` of channels. */
static void batchnorm_apply(const ds_layer *self, const ds_rows *rows, const float *mean,
                            const float *scale, const float *bias)
{
    size_t channels = batchnorm_channels(self);
    size_t positions = ds_shape_elements(&self->in) / channels;
    for (size_t r = 0; r < rows->n; r++) {
        const float *x = rows->x + r * rows->x_stride;
        float *y = rows->y + r * rows->y_stride;
        if (positions == 1)
            batchnorm_vector(channels, mean, scale, bias, x, y);
        for (size_t c = 0; c < channels && positions > 1; c++)
            batchnorm_plane(positions, mean[c], scale[c], bias[c], x + c * positions,
                            y + c * positions);
    }
}

static ds_status batchnorm_forward(const ds_layer *self, const ds_kernels *k, const float *params,
                                   const ds_rows *rows)
{
    (void)k;
    const batchnorm_options *o = self->options;
    size_t channels = batchnorm_channels(self);
    const float *weight = batchnorm_values(self, params, 0);
    const float *bias = batchnorm_values(self, params, 1);
    const float *mean = batchnorm_values(self, params, 2);
    const float *var = batchnorm_values(self, params, 3);
    const batchnorm_kept kept = batchnorm_keep(self, rows);
    float *scale = rows->scratch, *shift = scale + channels;
    if (batchnorm_own(self, rows)) {
        batchnorm_measure(self, rows, kept.mean, kept.var);
        mean = kept.mean;
        var = kept.var;
    }
    for (size_t c = 0; c < channels; c++) {
        kept.mean[c] = mean[c];
        kept.inverse[c] = (float)(1 / sqrt((double)var[c] + o->eps));
        scale[c] = weight != NULL ? kept.inverse[c] * weight[c] : kept.inverse[c];
        shift[c] = bias != NULL ? bias[c] : 0;
    }
    batchnorm_apply(self, rows, kept.mean, scale, shift);
    return DS_OK;
}

/* dx of all rows. */
static ds_status batchnorm_backward(const ds_layer *self, const ds_kernels *k, const float *params,
                                    const ds_rows *rows)
{
    (void)k;
    const batchnorm_kept kept = batchnorm_keep(self, rows);
    const float *weight = batchnorm_values(self, params, 0);
    size_t channels = batchnorm_channels(self);
    size_t positions = ds_shape_elements(&self->in) / channels;
    double n = (double)rows->n * (double)positions;
    bool own = batchnorm_own(self, rows);
    float *scale = rows->scratch, *sum = scale + channels, *dot = sum + channels;
    for (size_t c = 0; c < channels; c++) {
        sum[c] = own ? (float)((double)kept.sum[c] / n) : 0;
        dot[c] = own ? (float)((double)kept.dot[c] / n) * kept.inverse[c] : 0;
        scale[c] = weight != NULL ? kept.inverse[c] * weight[c] : kept.inverse[c];
    }
    for (size_t r = 0; r < rows->n; r++) {
        const float *x = rows->x + r * rows->x_stride, *dy = rows->dy + r * rows->y_stride;
        float *dx = rows->dx + r * rows->x_stride;
        if (positions == 1)
            batchnorm_vector_back(channels, kept.mean, sum, dot, scale, x, dy, dx);
        for (size_t c = 0; c < channels && positions > 1; c++)
            batchnorm_plane_back(positions,
                                 (batchnorm_slope){kept.mean[c], sum[c], dot[c], scale[c]},
                                 x + c * positions, dy + c * positions, dx + c * positions);
    }
    return DS_OK;
}

/* dweight = sum of dy h, dbias = sum of dy; a statistic's is samples times the shard's. */
static ds_status batchnorm_gradient(const ds_layer *self, const ds_kernels *k, size_t p,
                                    size_t from, size_t to, const ds_rows *rows, float *dst,
                                    bool add)
{
    (void)k, (void)from, (void)to;
    const batchnorm_kept kept = batchnorm_keep(self, rows);
    size_t channels = batchnorm_channels(self), which = p + (batchnorm_affine(self) ? 0 : 2);
    double n = (double)rows->n, all = n * (double)(ds_shape_elements(&self->in) / channels);
    double unbiased = all > 1 ? all / (all - 1) : 0;
    DS_ASSERT(!add);
    if (which < 2) {
        memcpy(dst, which == 0 ? kept.dot : kept.sum, channels * sizeof *dst);
        return DS_OK;
    }
    for (size_t c = 0; c < channels; c++)
        dst[c] = which == 2 ? (float)(n * (double)kept.mean[c])
                            : (float)(n * unbiased * (double)kept.var[c]);
    return DS_OK;
}

extern const ds_layer_ops ds_layer_batchnorm;
const ds_layer_ops ds_layer_batchnorm = {
    .name = "batchnorm",
    .help = "each channel's mean 0 and variance 1 in a shard (Ioffe, Szegedy 2015)",
    .options = options,
    .options_size = sizeof(batchnorm_options),
    .mixes = true,
    .prepare = batchnorm_prepare,
    .forward = batchnorm_forward,
    .before = batchnorm_before,
    .backward = batchnorm_backward,
    .gradient = batchnorm_gradient,
};
