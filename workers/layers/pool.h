/* What the pooling layers share. */
#ifndef DS_POOL_H
#define DS_POOL_H

#include "window.h"

extern const ds_option ds_pool_options[]; /* of ds_window_options */

/* Local. plan becomes the ds_window; out (C, oh, ow). USAGE where padding is more than half the
 * kernel: windows without a pixel. */
ds_status ds_pool_prepare(ds_layer *self, ds_layer_builder *builder) DS_NODISCARD;

/* Rows [r0, r1) and columns [c0, c1) of the plane in the window of output (i, j); never empty. */
static inline void ds_pool_cell(const ds_window *w, size_t i, size_t j, size_t *r0, size_t *r1,
                                size_t *c0, size_t *c1)
{
    size_t top = i * w->sh, left = j * w->sw;
    *r0 = top > w->ph ? top - w->ph : 0;
    *c0 = left > w->pw ? left - w->pw : 0;
    *r1 = top + w->kh - w->ph < w->h ? top + w->kh - w->ph : w->h;
    *c1 = left + w->kw - w->pw < w->w ? left + w->kw - w->pw : w->w;
}

/* Max pooling by 2 x 2 windows side by side over even widths: does it fit; y of one sample; dx. */
bool ds_pool_pairs_fit(const ds_window *w);
void ds_pool_pairs_forward(const ds_window *w, const float *x, float *y);
void ds_pool_pairs_backward(const ds_window *w, const float *x, const float *y, const float *dy,
                            float *dx);

#endif
