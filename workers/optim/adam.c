/* Adam (Kingma & Ba, ICLR 2015; torch.optim.Adam): weight decay is an L2 penalty, added to the
 * gradient. See moments.c for the update and its cost. */
#include "moments.h"

static const ds_option adam_table[] = {
    DS_MOMENTS_OPTION_BETA1,
    DS_MOMENTS_OPTION_BETA2,
    DS_MOMENTS_OPTION_BETAS,
    DS_MOMENTS_OPTION_EPS,
    {.name = "weight_decay",
     .type = DS_OPTION_REAL,
     .offset = offsetof(ds_moments_options, weight_decay),
     .fallback = "0",
     .max = HUGE_VAL,
     .help = "L2 penalty: this times w is added to the gradient"},
    {0},
};

static void adam_step(const void *options, const ds_update *update)
{
    const ds_moments_options *o = options;
    ds_moments_step(o, update, o->weight_decay, 0);
}

extern const ds_optim_ops ds_optim_adam;
const ds_optim_ops ds_optim_adam = {
    .name = "adam",
    .help = "adaptive moments; weight decay as L2 penalty",
    .options = adam_table,
    .options_size = sizeof(ds_moments_options),
    .reach = DS_REACH_ELEMENT,
    .n_slots = 2,
    .slot_name = {"exp_avg", "exp_avg_sq"},
    .step = adam_step,
    .check = ds_moments_check,
};
