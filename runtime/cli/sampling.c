/* One uniform number a token, keyed by seed and the token's place: it falls into one of the slices
 * of [0, sum of the weights exp((z - max) / temperature)), added in double in the order of tokens.
 * Of equal scores the lower token is the higher. */
#include "sampling.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "descent/option.h"

ds_status sampling_create(sampling *self, uint64_t seed)
{
    self->rng = ds_rng_for(seed, "generate");
    self->kernels = ds_kernels_find("auto");
    self->weight = calloc(self->vocab, sizeof *self->weight);
    self->order = calloc(self->vocab, sizeof *self->order);
    if (self->top == 0 || self->top > self->vocab)
        self->top = self->vocab;
    DS_CHECK(self->weight != NULL && self->order != NULL, DS_ERR_NOMEM,
             "out of memory for the scores of %zu tokens", self->vocab);
    return DS_OK;
}

void sampling_destroy(sampling *self)
{
    free(self->weight);
    free(self->order);
}

static size_t sampling_best(size_t n, const float *z)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        best = z[i] > z[best] ? i : best;
    return best;
}

static int sampling_compare(const void *a, const void *b, void *scores)
{
    const float *z = scores;
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    if (z[i] < z[j] || z[i] > z[j])
        return z[i] > z[j] ? -1 : 1;
    return i < j ? -1 : i > j;
}

/* Scores in weight; those beyond the first `top` out of reach. */
static void sampling_cut(sampling *self)
{
    if (self->top == self->vocab)
        return;
    for (size_t i = 0; i < self->vocab; i++)
        self->order[i] = (uint32_t)i;
    qsort_r(self->order, self->vocab, sizeof *self->order, sampling_compare, self->weight);
    for (size_t i = self->top; i < self->vocab; i++)
        self->weight[self->order[i]] = -INFINITY;
}

ds_status sampling_pick(sampling *self, const float *z, uint64_t index, size_t *token)
{
    size_t n = self->vocab, best = sampling_best(n, z), last = best;
    for (size_t i = 0; i < n; i++)
        DS_CHECK(isfinite(z[i]), DS_ERR_DIVERGED,
                 "generate: the model's score of token %zu is %g; train with a smaller rate", i,
                 ds_shown((double)z[i]));
    *token = best;
    if (!(self->temperature > 0))
        return DS_OK;
    memcpy(self->weight, z, n * sizeof *z);
    sampling_cut(self);
    for (size_t i = 0; i < n; i++) { /* e^-100 is nothing */
        double d = ((double)self->weight[i] - (double)z[best]) / self->temperature;
        self->weight[i] = d > -100 ? (float)d : -100;
    }
    self->kernels->softmax(1, n, self->weight, n, self->weight, n);
    double sum = 0, at = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)self->weight[i];
    double drawn = ds_rng_uniform(&self->rng, index) * sum;
    for (size_t i = 0; i < n; i++) {
        at += (double)self->weight[i];
        last = self->weight[i] > 1e-30f ? i : last;
        if (at > drawn && self->weight[i] > 1e-30f)
            break;
    }
    *token = last;
    return DS_OK;
}
