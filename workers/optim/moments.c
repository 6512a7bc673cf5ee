/* The update of Adam (Kingma & Ba, ICLR 2015) as torch.optim writes it:
 *   w <- (1 - lr decoupled) w,  d = g + l2 w,
 *   m <- beta1 m + (1 - beta1) d,  v <- beta2 v + (1 - beta2) d^2,
 *   w <- w - lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps).
 * The corrections are computed once a call, in double. sqrt and division round correctly, so any
 * instruction set gives the same bits. Cost: reads w, g, m, v, writes w, m, v once. */
#include "moments.h"

#include "descent/power.h"
#include "descent/simd.h"

typedef struct moments_rates {
    float keep, l2, beta1, take1, beta2, take2, step, root, eps;
} moments_rates;

DS_SIMD static void moments_loop(const ds_update *u, const moments_rates *rates)
{
    float *restrict w = u->w;
    float *restrict m = u->slot[0];
    float *restrict v = u->slot[1];
    const float *restrict g = u->g;
    const moments_rates r = *rates;
    const float scale = u->scale;
    const size_t n = u->n;
    for (size_t i = 0; i < n; i++) {
        const float kept = w[i] * r.keep;
        const float d = g[i] * scale + r.l2 * w[i];
        m[i] = r.beta1 * m[i] + r.take1 * d;
        v[i] = r.beta2 * v[i] + r.take2 * (d * d);
        w[i] = kept - r.step * (m[i] / (sqrtf(v[i]) * r.root + r.eps));
    }
}

void ds_moments_step(const ds_moments_options *options, const ds_update *update, double l2,
                     double decoupled)
{
    const ds_moments_options *o = options;
    const moments_rates rates = {
        .keep = (float)(1 - update->lr * decoupled),
        .l2 = (float)l2,
        .beta1 = (float)o->beta1,
        .take1 = (float)(1 - o->beta1),
        .beta2 = (float)o->beta2,
        .take2 = (float)(1 - o->beta2),
        .step = (float)(update->lr / (1 - ds_power(o->beta1, update->t))),
        .root = (float)(1 / sqrt(1 - ds_power(o->beta2, update->t))),
        .eps = (float)o->eps,
    };
    moments_loop(update, &rates);
}

static ds_status moments_beta(const ds_value *at, double *out)
{
    double x = 0;
    DS_TRY(ds_value_real(at, "optimizer", "betas", &x));
    if (!(x >= 0 && x <= DS_BELOW_1))
        return ds_value_fail(at, "optimizer: betas has %s, expected numbers from 0 to below 1",
                             at->text);
    *out = x;
    return DS_OK;
}

ds_status ds_moments_check(void *options)
{
    ds_moments_options *o = options;
    const ds_value *pair = o->betas;
    if (!pair)
        return DS_OK;
    if (pair->kind != DS_VALUE_LIST || pair->n != 2)
        return ds_value_fail(
            pair, "optimizer: betas is not a list of two, expected one like [0.9, 0.999]");
    DS_TRY(moments_beta(pair->child[0], &o->beta1));
    DS_TRY(moments_beta(pair->child[1], &o->beta2));
    o->betas = NULL;
    return DS_OK;
}
