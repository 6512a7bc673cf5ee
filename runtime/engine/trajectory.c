/* Where the parameters of a small problem without data go: rank 0 writes each point with the loss
 * there, without noise. Costs one evaluation of the problem a step. */
#include <string.h>

#include "trainer_parts.h"

enum { TRAJECTORY_MOST = 64, TRAJECTORY_NAME = 64 };

static bool trajectory_due(const ds_trainer *self)
{
    const ds_problem *problem = ds_model_problem(self->model);
    return problem != NULL && !problem->reads_data && problem->record_every > 0 &&
           self->step % problem->record_every == 0 &&
           ds_layout_elements(&problem->layout) <= TRAJECTORY_MOST;
}

/* "w0", "w1", ... of tensor NAME/w; a tensor of one element has no number. */
static void trajectory_column(const ds_param *param, size_t i, char *name)
{
    const char *slash = strrchr(param->name, '/'), *own = slash == NULL ? param->name : slash + 1;
    if (param->rows * param->cols > 1)
        snprintf(name, TRAJECTORY_NAME, "%.30s%zu", own, i);
    else
        snprintf(name, TRAJECTORY_NAME, "%.40s", own);
}

ds_status trajectory_add(ds_trainer *self, ds_report *report)
{
    if (report == NULL || !trajectory_due(self))
        return DS_OK;
    const ds_layout *layout = ds_model_layout(self->model);
    const float *params = ds_trainer_params(self);
    char name[TRAJECTORY_MOST][TRAJECTORY_NAME];
    const char *column[TRAJECTORY_MOST];
    float w[TRAJECTORY_MOST];
    ds_trajectory point = {.column = column, .w = w};
    for (size_t p = 0; p < layout->n_params; p++) {
        const ds_param *param = &layout->param[p];
        ds_param_export(param, params, w + point.n);
        for (size_t i = 0; i < param->rows * param->cols; i++, point.n++) {
            trajectory_column(param, i, name[point.n]);
            column[point.n] = name[point.n];
        }
    }
    const ds_targets none = {0};
    DS_TRY(ds_model_forward(self->evaluating, params, 1, &none, &point.loss));
    return ds_report_point(report, self->step, &point);
}
