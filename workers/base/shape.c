#include "descent/shape.h"

#include <stdio.h>

size_t ds_shape_elements(const ds_shape *self)
{
    size_t n = 1;
    for (size_t i = 0; i < self->n; i++)
        n *= self->dim[i];
    return n;
}

bool ds_shape_equal(const ds_shape *a, const ds_shape *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (a->dim[i] != b->dim[i])
            return false;
    return true;
}

const char *ds_shape_text(const ds_shape *self, char text[DS_SHAPE_TEXT])
{
    size_t used = (size_t)snprintf(text, DS_SHAPE_TEXT, "[");
    for (size_t i = 0; i < self->n && used < DS_SHAPE_TEXT - 2; i++)
        used += (size_t)snprintf(text + used, DS_SHAPE_TEXT - used, "%s%zu", i == 0 ? "" : ", ",
                                 self->dim[i]);
    if (used < DS_SHAPE_TEXT - 1)
        snprintf(text + used, DS_SHAPE_TEXT - used, "]");
    return text;
}

size_t ds_stride_for(size_t width)
{
    size_t stride = width == 0 ? 16 : (width + 15) / 16 * 16;
    return stride % 256 == 0 ? stride + 16 : stride;
}

size_t ds_shape_stride(const ds_shape *self)
{
    size_t n = ds_shape_elements(self);
    return self->n < 2 ? ds_stride_for(n) : (n + 15) / 16 * 16;
}
