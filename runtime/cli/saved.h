/* Commands on a checkpoint: its config is the run's, its weights the model's. */
#ifndef DS_SAVED_H
#define DS_SAVED_H

#include "descent/trainer.h"

#include "args.h"

/* Collective. A trainer for inference from CKPT (a file or a run directory) and --set edits;
 * `evaluate` reads the data splits too. */
ds_status saved_open(ds_world *world, const char *checkpoint, const arg_list *set, bool evaluate,
                     ds_trainer **out) DS_NODISCARD;

#endif
