/* The specification of everything but gemm: plain loops, libm in double rounded once to float32. */
#include <math.h>
#include <string.h>

#include "parts.h"

void ds_ref_transpose(size_t rows, size_t cols, const float *a, size_t lda, float *b, size_t ldb)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++)
            b[j * ldb + i] = a[i * lda + j];
}

void ds_ref_add(size_t n, float *restrict dst, const float *restrict src)
{
    for (size_t i = 0; i < n; i++)
        dst[i] += src[i];
}

void ds_ref_sum(size_t n, float *restrict dst, const float *restrict a, const float *restrict b)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = a[i] + b[i];
}

double ds_ref_squares(size_t n, const float *x)
{
    double lane[16] = {0}, sum = 0.0;
    for (size_t i = 0; i < n; i++)
        lane[i % 16] += (double)x[i] * (double)x[i];
    for (size_t l = 0; l < 16; l++)
        sum += lane[l];
    return sum;
}

bool ds_ref_finite(size_t n, const float *x)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

void ds_ref_bias(size_t rows, size_t cols, const float *bias, float *y, size_t ldy)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            y[r * ldy + c] += bias[c];
}

void ds_ref_bias_gradient(size_t rows, size_t cols, const float *dy, size_t ldy, float *dst,
                          bool add)
{
    if (rows == 0 && add)
        return;
    for (size_t c = 0; c < cols; c++) {
        float sum = rows == 0 ? 0.0f : dy[c];
        for (size_t r = 1; r < rows; r++)
            sum += dy[r * ldy + c];
        dst[c] = add ? dst[c] + sum : sum;
    }
}

/* Comparisons are written so that NaN passes through. */
static float ref_vector_value(ds_activation f, float x)
{
    double d = (double)x;
    switch (f) {
    case DS_ACT_RELU:
        return x <= 0.0f ? 0.0f : x;
    case DS_ACT_LEAKY_RELU:
        return x < 0.0f ? 0.01f * x : x;
    case DS_ACT_SIGMOID:
        return (float)(1.0 / (1.0 + exp(-d)));
    case DS_ACT_TANH:
        return (float)tanh(d);
    case DS_ACT_GELU:
        return (float)(d * 0.5 * erfc(-d * 0.70710678118654752440));
    case DS_ACT_NONE:
        break;
    }
    return x;
}

/* f'(x), from y but for gelu. */
static float ref_vector_slope(ds_activation f, float x, float y)
{
    double d = (double)x;
    switch (f) {
    case DS_ACT_RELU:
        return y <= 0.0f ? 0.0f : 1.0f;
    case DS_ACT_LEAKY_RELU:
        return y > 0.0f ? 1.0f : 0.01f;
    case DS_ACT_SIGMOID:
        return (1.0f - y) * y;
    case DS_ACT_TANH:
        return 1.0f - y * y;
    case DS_ACT_GELU:
        return (float)(0.5 * erfc(-d * 0.70710678118654752440) +
                       d * 0.39894228040143267794 * exp(-0.5 * d * d));
    case DS_ACT_NONE:
        break;
    }
    return 1.0f;
}

void ds_ref_activate(ds_activation f, size_t rows, size_t cols, const float *x, size_t ldx,
                     float *y, size_t ldy)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            y[r * ldy + c] = ref_vector_value(f, x[r * ldx + c]);
}

void ds_ref_activate_gradient(ds_activation f, size_t rows, size_t cols, const float *x, size_t ldx,
                              const float *y, size_t ldy, const float *dy, size_t lddy, float *dx,
                              size_t lddx)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++) {
            float at = f == DS_ACT_GELU ? x[r * ldx + c] : 0.0f;
            float slope = ref_vector_slope(f, at, f == DS_ACT_GELU ? 0.0f : y[r * ldy + c]);
            /* A closed gate gives 0 even for an infinite dy. */
            dx[r * lddx + c] = slope == 0.0f && f == DS_ACT_RELU ? 0.0f : dy[r * lddy + c] * slope;
        }
}

void ds_ref_softmax(size_t rows, size_t cols, const float *x, size_t ldx, float *y, size_t ldy)
{
    for (size_t r = 0; r < rows; r++) {
        const float *in = x + r * ldx;
        double sum = 0.0;
        float top = -INFINITY;
        for (size_t c = 0; c < cols; c++)
            top = in[c] > top ? in[c] : top;
        for (size_t c = 0; c < cols; c++)
            sum += exp((double)in[c] - (double)top);
        for (size_t c = 0; c < cols; c++)
            y[r * ldy + c] = (float)(exp((double)in[c] - (double)top) / sum);
    }
}
