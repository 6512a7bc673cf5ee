/* The rate stays what optimizer.lr says. */
#include "descent/lr.h"

typedef struct constant_options {
    char none;
} constant_options;

static const ds_option constant_table[] = {{0}};

static double constant_rate(const void *options, double base, int64_t t, int64_t total)
{
    (void)options, (void)t, (void)total;
    return base;
}

extern const ds_lr_ops ds_lr_constant;
const ds_lr_ops ds_lr_constant = {
    .name = "constant",
    .help = "the same rate for every update",
    .options = constant_table,
    .options_size = sizeof(constant_options),
    .rate = constant_rate,
};
