/* Tensors between their inside and outside forms. A transposed one is copied in square blocks, so
 * that both sides stay in cache. */
#include "descent/param.h"

#include <stdlib.h>
#include <string.h>

#include "descent/hash.h"
#include "descent/simd.h"

enum { TILE = 32 };

/* to (cols, rows; to_stride) = from (rows, cols; from_stride), transposed. */
static void param_transpose(size_t rows, size_t cols, const float *from, size_t from_stride,
                            float *to, size_t to_stride)
{
    for (size_t i = 0; i < rows; i += TILE)
        for (size_t j = 0; j < cols; j += TILE) {
            size_t i_end = i + TILE < rows ? i + TILE : rows;
            size_t j_end = j + TILE < cols ? j + TILE : cols;
            for (size_t c = j; c < j_end; c++)
                for (size_t r = i; r < i_end; r++)
                    to[c * to_stride + r] = from[r * from_stride + c];
        }
}

void ds_param_export(const ds_param *self, const float *flat, float *outside)
{
    const float *inside = flat + self->offset;
    if (self->transposed) {
        param_transpose(self->rows, self->cols, inside, self->stride, outside, self->rows);
        return;
    }
    for (size_t r = 0; r < self->rows; r++)
        memcpy(outside + r * self->cols, inside + r * self->stride, self->cols * sizeof *outside);
}

void ds_param_import(const ds_param *self, const float *outside, float *flat)
{
    float *inside = flat + self->offset;
    if (self->transposed) {
        param_transpose(self->cols, self->rows, outside, self->rows, inside, self->stride);
        return;
    }
    for (size_t r = 0; r < self->rows; r++)
        memcpy(inside + r * self->stride, outside + r * self->cols, self->cols * sizeof *inside);
}

DS_SIMD static void param_move(size_t n, float keep, float take, const float *restrict sums,
                               float *restrict w)
{
    for (size_t i = 0; i < n; i++)
        w[i] = keep * w[i] + take * sums[i];
}

void ds_param_move(const ds_param *self, size_t n, float share, const float *sums, float *w)
{
    param_move(n, (float)(1 - self->pace), (float)(self->pace * (double)share), sums, w);
}

void ds_param_move_factor(const ds_param *self, size_t n, float share, double keep,
                          const float *sums, float *w)
{
    param_move(n, (float)keep, (float)((1 - keep) * self->pace * (double)share), sums, w);
}

size_t ds_layout_elements(const ds_layout *self)
{
    size_t n = 0;
    for (size_t p = 0; p < self->n_params; p++)
        if (self->param[p].kind != DS_PARAM_FACTOR)
            n += self->param[p].rows * self->param[p].cols;
    return n;
}

ds_status ds_layout_hash(const ds_layout *self, const float *flat, uint64_t *out)
{
    size_t largest = 0;
    for (size_t p = 0; p < self->n_params; p++) {
        size_t n = self->param[p].rows * self->param[p].cols;
        largest = n > largest ? n : largest;
    }
    ds_auto(ds_hash) hash = NULL;
    DS_TRY(ds_hash_create(&hash));
    float *outside = malloc((largest > 0 ? largest : 1) * sizeof *outside);
    DS_CHECK(outside != NULL, DS_ERR_NOMEM, "out of memory: params_hash needs %zu bytes of scratch",
             largest * sizeof *outside);
    for (size_t p = 0; p < self->n_params; p++) {
        if (self->param[p].kind == DS_PARAM_FACTOR)
            continue;
        ds_param_export(&self->param[p], flat, outside);
        ds_hash_add(hash, outside, self->param[p].rows * self->param[p].cols * sizeof *outside);
    }
    free(outside);
    *out = ds_hash_value(hash);
    return DS_OK;
}
