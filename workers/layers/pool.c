/* Options and geometry of pooling. */
#include "pool.h"

const ds_option ds_pool_options[] = {
    {.name = "kernel",
     .type = DS_OPTION_VALUE,
     .offset = offsetof(ds_window_options, kernel),
     .choices = "a number or [height, width]",
     .flags = DS_OPTION_REQUIRED,
     .help = "size of the window"},
    {.name = "stride",
     .type = DS_OPTION_VALUE,
     .offset = offsetof(ds_window_options, stride),
     .choices = "a number or [vertical, horizontal]",
     .help = "from window to window; default: the kernel"},
    {.name = "padding",
     .type = DS_OPTION_VALUE,
     .offset = offsetof(ds_window_options, padding),
     .choices = "a number or [vertical, horizontal]",
     .help = "around the planes, at most half the kernel; default: 0"},
    {.name = NULL},
};

ds_status ds_pool_prepare(ds_layer *self, ds_layer_builder *builder)
{
    ds_window *w = NULL;
    DS_TRY(ds_arena_take(ds_layer_arena(builder), 1, sizeof *w, "a pooling layer", &w));
    DS_TRY(ds_window_prepare(self, self->options, 0, w));
    DS_CHECK(w->ph <= w->kh / 2 && w->pw <= w->kw / 2, DS_ERR_USAGE,
             "layer '%s': padding %zu x %zu is more than half the kernel %zu x %zu", self->name,
             w->ph, w->pw, w->kh, w->kw);
    self->plan = w;
    self->out = (ds_shape){.n = 3, .dim = {w->c, w->oh, w->ow}};
    return DS_OK;
}
