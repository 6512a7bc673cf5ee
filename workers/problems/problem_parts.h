/* What the files of this folder share. */
#ifndef DS_PROBLEM_PARTS_H
#define DS_PROBLEM_PARTS_H

#include "descent/plugin.h"
#include "descent/problem.h"

/* Local. Room for n tensors; then each, as NAME/suffix, its rows without padding where they can be.
 * USAGE where a tensor is larger than one can be. */
ds_status ds_problem_room(ds_problem *self, size_t n) DS_NODISCARD;
ds_status ds_problem_add(ds_problem *self, const char *suffix, const ds_shape *shape) DS_NODISCARD;
/* Local. After the last tensor: the block of initial values, zeros. */
ds_status ds_problem_settle(ds_problem *self) DS_NODISCARD;

/* analytic.c: open and value of every function. */
ds_status ds_analytic_open(ds_problem *self, const ds_value *map) DS_NODISCARD;
ds_status ds_analytic_value(const ds_problem *self, const float *params,
                            const ds_problem_rows *rows, double *loss,
                            float *gradient) DS_NODISCARD;

/* plugin_file.c. Local. Load a plug-in's file: its object, and a hash of its bytes. Errors: USAGE:
 * no such file, not a shared object, no symbol, another version, incomplete. */
ds_status ds_plugin_load(const char *path, void **handle, const ds_plugin **out,
                         uint64_t *identity) DS_NODISCARD;
void ds_plugin_unload(void *handle);

#endif
