/* The table of losses, made from losses.list. */
#include "descent/loss.h"

#include <string.h>

#define X(name) extern const ds_loss_ops ds_loss_##name;
#include "losses.list"
#undef X

static const ds_loss_ops *const loss_table[] = {
#define X(name) &ds_loss_##name,
#include "losses.list"
#undef X
};

const ds_loss_ops *ds_loss_at(size_t i)
{
    return i < sizeof loss_table / sizeof *loss_table ? loss_table[i] : NULL;
}

const ds_loss_ops *ds_loss_find(const char *name)
{
    for (size_t i = 0; ds_loss_at(i); i++)
        if (strcmp(loss_table[i]->name, name) == 0)
            return loss_table[i];
    return NULL;
}
