/* Rows of a table by number: (T) token ids become (T, width), as torch.nn.Embedding. Ids come as
 * floats (exact up to 2^24) and have no gradient; one outside the table is an error of the data.
 * Writes T x width floats a sample; dW adds a row a token, in the order of samples and positions.
 */
#include <string.h>

#include "descent/layer.h"

typedef struct embedding_options {
    int64_t vocab, width;
    int init;
} embedding_options;

static const ds_option options[] = {
    {.name = "vocab",
     .type = DS_OPTION_INT,
     .offset = offsetof(embedding_options, vocab),
     .min = 1,
     .max = 16777216,
     .flags = DS_OPTION_REQUIRED,
     .help = "how many tokens there are; ids are 0 to vocab - 1"},
    {.name = "width",
     .type = DS_OPTION_INT,
     .offset = offsetof(embedding_options, width),
     .min = 1,
     .max = 1048576,
     .flags = DS_OPTION_REQUIRED,
     .help = "numbers that stand for a token"},
    {.name = "init",
     .type = DS_OPTION_CHOICE,
     .offset = offsetof(embedding_options, init),
     .fallback = "normal",
     .choices = DS_INIT_CHOICES,
     .help = "initial table"},
    {.name = NULL},
};

static ds_status embedding_prepare(ds_layer *self, ds_layer_builder *builder)
{
    const embedding_options *o = self->options;
    char text[DS_SHAPE_TEXT];
    DS_CHECK(self->in.n == 1, DS_ERR_USAGE,
             "layer '%s': its input has shape %s, expected [positions]: one token id each",
             self->name, ds_shape_text(&self->in, text));
    size_t vocab = (size_t)o->vocab, width = (size_t)o->width;
    self->out = (ds_shape){.n = 2, .dim = {self->in.dim[0], width}};
    return ds_layer_add_param(builder, self,
                              &(ds_param_spec){.suffix = "weight",
                                               .shape = {.n = 2, .dim = {vocab, width}},
                                               .init = (ds_init_kind)o->init,
                                               .fan_in = vocab,
                                               .fan_out = width});
}

static ds_status embedding_forward(const ds_layer *self, const ds_kernels *k, const float *params,
                                   const ds_rows *rows)
{
    (void)k;
    const ds_param *w = self->param[0];
    for (size_t r = 0; r < rows->n; r++)
        for (size_t t = 0; t < self->in.dim[0]; t++) {
            float id = rows->x[r * rows->x_stride + t];
            DS_CHECK(id >= 0 && id < (float)w->rows && id == (float)(size_t)id, DS_ERR_DATA,
                     "layer '%s': found token %g at position %zu, expected a whole number from 0 "
                     "to %zu",
                     self->name, ds_shown((double)id), t, w->rows - 1);
            memcpy(rows->y + r * rows->y_stride + t * w->cols,
                   params + w->offset + (size_t)id * w->stride, w->cols * sizeof(float));
        }
    return DS_OK;
}

static ds_status embedding_backward(const ds_layer *self, const ds_kernels *k, const float *params,
                                    const ds_rows *rows)
{
    (void)k, (void)params;
    for (size_t r = 0; r < rows->n; r++)
        memset(rows->dx + r * rows->x_stride, 0, self->in.dim[0] * sizeof(float));
    return DS_OK;
}

static ds_status embedding_gradient(const ds_layer *self, const ds_kernels *k, size_t p,
                                    size_t from, size_t to, const ds_rows *rows, float *dst,
                                    bool add)
{
    const ds_param *w = self->param[p];
    DS_ASSERT(!add);
    memset(dst, 0, (to - from) * w->stride * sizeof *dst);
    for (size_t r = 0; r < rows->n; r++)
        for (size_t t = 0; t < self->in.dim[0]; t++) {
            size_t id = (size_t)rows->x[r * rows->x_stride + t];
            if (id >= from && id < to)
                k->add(w->cols, dst + (id - from) * w->stride,
                       rows->dy + r * rows->y_stride + t * w->cols);
        }
    return DS_OK;
}

extern const ds_layer_ops ds_layer_embedding;
const ds_layer_ops ds_layer_embedding = {
    .name = "embedding",
    .help = "token ids to rows of a table, as torch.nn.Embedding",
    .options = options,
    .options_size = sizeof(embedding_options),
    .reads_ids = true,
    .prepare = embedding_prepare,
    .forward = embedding_forward,
    .backward = embedding_backward,
    .gradient = embedding_gradient,
};
