/* The table of optimizers, made from optim.list. */
#include "descent/optim.h"

#include <string.h>

#define X(name) extern const ds_optim_ops ds_optim_##name;
#include "optim.list"
#undef X

static const ds_optim_ops *const optim_table[] = {
#define X(name) &ds_optim_##name,
#include "optim.list"
#undef X
};

const ds_optim_ops *ds_optim_at(size_t i)
{
    return i < sizeof optim_table / sizeof *optim_table ? optim_table[i] : NULL;
}

const ds_optim_ops *ds_optim_find(const char *name)
{
    for (size_t i = 0; ds_optim_at(i); i++)
        if (strcmp(optim_table[i]->name, name) == 0)
            return optim_table[i];
    return NULL;
}
