/* A checkpoint's content for the tests: tensors whose element j of entry i is a pure function of
 * (i, j, salt), so that any reader can tell what must be there. */
#ifndef DS_TEST_SAMPLE_H
#define DS_TEST_SAMPLE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descent/checkpoint.h"

enum { SAMPLE_ENTRIES = 8 };

typedef struct sample {
    ds_entry entry[SAMPLE_ENTRIES];
    ds_attr attr[12];
    char *config; /* longer than HDF5's 64 KiB limit of attributes */
    void *data[SAMPLE_ENTRIES];
    ds_snapshot snapshot;
    int staged; /* how often stage() ran */
} sample;

static inline float sample_float(size_t i, size_t j, int salt)
{
    return (float)((j * 31 + i * 7 + (size_t)salt) % 1009) / 8.0f - 50.0f;
}

static inline ds_status sample_stage(void *context, size_t which, void *out)
{
    sample *self = context;
    const ds_entry *e = &self->entry[which];
    memcpy(out, self->data[which], ds_shape_elements(&e->shape) * 4);
    self->staged++;
    return DS_OK;
}

/* `rows` scales the big matrix: rows x 1000 floats. */
static inline void sample_make(sample *self, int64_t step, size_t rows, int salt)
{
    static const struct {
        const char *path;
        ds_dtype type;
        ds_shape shape;
    } spec[SAMPLE_ENTRIES] = {
        {"/parameters/dense1/weight", DS_F32, {2, {0, 1000}}},
        {"/parameters/dense1/bias", DS_F32, {1, {10}}},
        {"/optimizer/m/dense1/weight", DS_F32, {2, {0, 1000}}},
        {"/optimizer/m/dense1/bias", DS_F32, {1, {10}}},
        {"/input/mean", DS_F32, {1, {3}}},
        {"/history/steps", DS_I64, {1, {0}}},
        {"/history/loss", DS_F64, {1, {5}}},
        {"/sync/flags", DS_U8, {0, {0}}},
    };
    memset(self, 0, sizeof *self);
    for (size_t i = 0; i < SAMPLE_ENTRIES; i++) {
        ds_entry *e = &self->entry[i];
        *e = (ds_entry){.path = spec[i].path, .type = spec[i].type, .shape = spec[i].shape};
        if (e->shape.n == 2)
            e->shape.dim[0] = rows;
        size_t n = ds_shape_elements(&e->shape);
        self->data[i] = calloc(n + 1, 8);
        for (size_t j = 0; j < n; j++)
            if (e->type == DS_F32)
                ((float *)self->data[i])[j] = sample_float(i, j, salt);
            else if (e->type == DS_F64)
                ((double *)self->data[i])[j] = 1.0 / (double)(j + 1);
        if (i % 2 == 0 && e->type == DS_F32) { /* half of them staged */
            e->stage = sample_stage;
            e->context = self;
            e->which = i;
        } else {
            e->data = self->data[i];
        }
    }
    size_t n_config = 100000;
    self->config = malloc(n_config + 1);
    for (size_t i = 0; i < n_config; i++)
        self->config[i] = i % 80 == 79 ? '\n' : (char)('a' + i % 26);
    self->config[n_config] = '\0';
    size_t n = 0;
    self->attr[n++] = (ds_attr){.name = "config", .kind = DS_ATTR_TEXT, .text = self->config};
    self->attr[n++] = (ds_attr){.name = "step", .kind = DS_ATTR_INT, .integer = step};
    self->attr[n++] = (ds_attr){.name = "best_loss", .kind = DS_ATTR_REAL, .real = 0.1};
    self->attr[n++] = (ds_attr){.name = "lineage", .kind = DS_ATTR_TEXT, .text = ""};
    self->attr[n++] = (ds_attr){.name = "params_hash", .kind = DS_ATTR_TEXT, .text = "00ff"};
    static const char *const more[] = {"a1", "a2", "a3", "a4", "a5", "a6"};
    for (size_t i = 0; i < 6; i++)
        self->attr[n++] = (ds_attr){.name = more[i], .kind = DS_ATTR_INT, .integer = -(int64_t)i};
    self->snapshot = (ds_snapshot){.step = step,
                                   .n_entries = SAMPLE_ENTRIES,
                                   .entry = self->entry,
                                   .n_attrs = n,
                                   .attr = self->attr};
}

static inline void sample_free(sample *self)
{
    for (size_t i = 0; i < SAMPLE_ENTRIES; i++)
        free(self->data[i]);
    free(self->config);
}

#endif
