/* AdamW (Loshchilov & Hutter, ICLR 2019; torch.optim.AdamW): weight decay shrinks the weights
 * themselves, beside the gradient. See moments.c for the update and its cost. */
#include "moments.h"

static const ds_option adamw_table[] = {
    DS_MOMENTS_OPTION_BETA1,
    DS_MOMENTS_OPTION_BETA2,
    DS_MOMENTS_OPTION_BETAS,
    DS_MOMENTS_OPTION_EPS,
    {.name = "weight_decay",
     .type = DS_OPTION_REAL,
     .offset = offsetof(ds_moments_options, weight_decay),
     .fallback = "0.01",
     .max = HUGE_VAL,
     .help = "decoupled: w shrinks by lr times this in each update"},
    {0},
};

static void adamw_step(const void *options, const ds_update *update)
{
    const ds_moments_options *o = options;
    ds_moments_step(o, update, 0, o->weight_decay);
}

extern const ds_optim_ops ds_optim_adamw;
const ds_optim_ops ds_optim_adamw = {
    .name = "adamw",
    .help = "adaptive moments; decoupled weight decay",
    .options = adamw_table,
    .options_size = sizeof(ds_moments_options),
    .reach = DS_REACH_ELEMENT,
    .n_slots = 2,
    .slot_name = {"exp_avg", "exp_avg_sq"},
    .step = adamw_step,
    .check = ds_moments_check,
};
