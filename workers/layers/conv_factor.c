/* k-fac's factors of a convolution (Grosse, Martens 2016: Omega and Gamma): for each group the sums
 * over samples and output points of c c^T, c the column of inputs (channel, tap) that a point sees,
 * and of g g^T, g its outputs' gradients. As dW's products: columns are packed from the planes
 * where kernels have a product of their own, else written sample by sample. 2 n points taps^2
 * flops, taps / group_out times those of dW. */
#include "conv.h"
#include "conv_image.h"

/* Rows of an operand from `first` on. */
typedef struct factor_rows {
    const ds_operand *of;
    size_t first;
} factor_rows;

static void factor_pack_rows(const ds_operand *operand, size_t row, size_t rows, size_t depth,
                             size_t n, size_t width, float *dst)
{
    const factor_rows *self = operand->source;
    self->of->pack(self->of, self->first + row, rows, depth, n, width, dst);
}

/* Rows [from, to) of all (n, n), of which `all` is one side over k points. */
static ds_status factor_product(const ds_kernels *k, const ds_operand *all,
                                const ds_conv_part *part, size_t n, size_t points, bool add)
{
    factor_rows rows = {all, part->from - part->group * n};
    ds_operand a = {factor_pack_rows, &rows};
    return k->product(&(ds_product){.m = part->to - part->from,
                                    .n = n,
                                    .k = points,
                                    .a = &a,
                                    .b = all,
                                    .beta = add ? 1.0f : 0.0f,
                                    .c = part->dst,
                                    .ldc = part->stride});
}

/* Points of planes: those of dy, and of x under a 1 x 1 window. */
static ds_status factor_planes(const ds_conv *self, const ds_kernels *k, const ds_rows *rows,
                               const ds_conv_part *part, bool input)
{
    size_t n = input ? self->taps : self->group_out;
    ds_conv_planes planes = {(input ? rows->x : rows->dy) + part->group * n * self->points,
                             self->points, input ? rows->x_stride : rows->y_stride};
    ds_operand all = {ds_conv_pack_planes, &planes};
    return factor_product(k, &all, part, n, rows->n * self->points, false);
}

static ds_status factor_windows(const ds_conv *self, const ds_kernels *k, const ds_rows *rows,
                                const ds_conv_part *part)
{
    const ds_window *w = &self->window;
    size_t most = ds_conv_image_samples(w, self->group_in);
    const float *x = rows->x + part->group * self->group_in * w->h * w->w;
    ds_conv_image image = ds_conv_image_create(w, self->group_in, false, rows->scratch);
    ds_operand all = {ds_conv_pack_taps, &image};
    for (size_t s = 0, n; s < rows->n; s += n) {
        n = rows->n - s < most ? rows->n - s : most;
        ds_conv_image_fill(&image, n, x + s * rows->x_stride, rows->x_stride, rows->scratch);
        DS_TRY(factor_product(k, &all, part, self->taps, n * self->points, s > 0));
    }
    return DS_OK;
}

static ds_status factor_written(const ds_conv *self, const ds_kernels *k, const ds_rows *rows,
                                const ds_conv_part *part, bool input)
{
    size_t n = input ? self->taps : self->group_out, first = part->from - part->group * n;
    for (size_t r = 0; r < rows->n; r++) {
        const float *x = rows->x + r * rows->x_stride, *dy = rows->dy + r * rows->y_stride;
        const float *columns = input ? ds_conv_columns(self, part->group, x, rows->scratch)
                                     : dy + part->group * n * self->points;
        DS_TRY(k->gemm(&(ds_gemm){.ta = 'N',
                                  .tb = 'T',
                                  .m = part->to - part->from,
                                  .n = n,
                                  .k = self->points,
                                  .a = columns + first * self->points,
                                  .lda = self->points,
                                  .b = columns,
                                  .ldb = self->points,
                                  .beta = r > 0 ? 1 : 0,
                                  .c = part->dst,
                                  .ldc = part->stride}));
    }
    return DS_OK;
}

ds_status ds_conv_factor(const ds_conv *self, const ds_kernels *k, const ds_rows *rows,
                         const ds_conv_part *part, bool input)
{
    if (k->product == NULL)
        return factor_written(self, k, rows, part, input);
    if (input && !ds_window_plain(&self->window))
        return factor_windows(self, k, rows, part);
    return factor_planes(self, k, rows, part, input);
}
