/* The loss of samples, position by position where the model's output has them. */
#include "rank.h"

/* One sample: the mean over its T positions, each a row of logits. */
static double score_sequence(const ds_workspace *self, size_t positions, const float *z,
                             const int32_t *label, float *dz)
{
    const ds_workspace_spec *spec = &self->spec;
    size_t classes = ds_shape_elements(ds_model_output(spec->model)) / positions;
    ds_targets targets = {.label = label, .weight = spec->class_weight};
    double sum = 0;
    spec->loss->value(spec->loss_options, positions, classes, z, classes, &targets, &sum, dz);
    float share = 1.0f / (float)positions;
    for (size_t i = 0; dz != NULL && i < positions * classes; i++)
        dz[i] *= share;
    return sum / (double)positions;
}

void ds_workspace_loss(const ds_workspace *self, size_t n, const float *z, size_t stride,
                       const ds_targets *targets, double *sum, float *dz)
{
    const ds_workspace_spec *spec = &self->spec;
    size_t positions = ds_model_positions(spec->model, spec->loss->target);
    if (positions == 1) {
        ds_targets weighted = *targets;
        weighted.weight = spec->class_weight;
        spec->loss->value(spec->loss_options, n, ds_shape_elements(ds_model_output(spec->model)), z,
                          stride, &weighted, sum, dz);
        return;
    }
    *sum = 0;
    for (size_t r = 0; r < n; r++)
        *sum += score_sequence(self, positions, z + r * stride, targets->label + r * positions,
                               dz == NULL ? NULL : dz + r * stride);
}
