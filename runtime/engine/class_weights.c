/* What each class counts (loss.class_weights), as torch's `weight`: a sample's loss is multiplied
 * by its class's weight, and the step's sum is divided by what its samples count together instead
 * of their number. Every rank finds that divisor by itself: the batch is a function of seed and
 * step, and all ranks hold all labels, so nothing is sent and nothing can differ. Cost: a look-up a
 * label of the whole batch on every rank, about 40 ns. `balanced` is N / (K count), K the classes
 * that occur (King and Zeng, 2001; scikit-learn's rule); one that does not occur counts as if it
 * did once. The weights travel with the checkpoint: evaluation needs no training data for them. */
#include <string.h>

#include "trainer_parts.h"

static const char *const class_weights_path = "/loss/class_weights";

static ds_status class_weights_kept(ds_trainer *self, const ds_checkpoint *file, float *weight)
{
    size_t i = ds_checkpoint_find(file, class_weights_path);
    DS_CHECK(i < ds_checkpoint_n(file), DS_ERR_CHECKPOINT,
             "the checkpoint has no %s, and without training data loss.class_weights: balanced "
             "cannot be found; give numbers with --set",
             class_weights_path);
    ds_tensor_info info = ds_checkpoint_tensor(file, i);
    DS_CHECK(info.type == DS_F32 && ds_shape_elements(&info.shape) == self->n_class_weights,
             DS_ERR_CHECKPOINT, "%s holds %zu weight%s, the model has %zu class%s",
             class_weights_path, ds_shape_elements(&info.shape),
             ds_shape_elements(&info.shape) == 1 ? "" : "s", self->n_class_weights,
             self->n_class_weights == 1 ? "" : "es");
    return ds_checkpoint_read(file, i, weight);
}

static ds_status class_weights_balance(ds_trainer *self, const ds_dataset *data, float *weight)
{
    size_t *count = NULL, kinds = 0, n = data->n * data->n_labels;
    DS_TRY(ds_arena_take(self->arena, self->n_class_weights, sizeof *count, "classes", &count));
    for (size_t i = 0; i < n; i++)
        kinds += count[data->label[i]]++ == 0;
    for (size_t c = 0; c < self->n_class_weights; c++) {
        double samples = count[c] > 0 ? (double)count[c] : 1;
        weight[c] = (float)((double)n / ((double)kinds * samples));
    }
    return DS_OK;
}

static const ds_value *class_weights_at(const ds_trainer *self)
{
    return ds_value_find(ds_value_find(self->config->root, "loss"), "class_weights");
}

ds_status class_weights_create(ds_trainer *self, const ds_checkpoint *file)
{
    const ds_config *config = self->config;
    const ds_dataset *train = self->splits->train;
    float *weight = NULL;
    if (!config->balanced && config->n_class_weights == 0)
        return DS_OK;
    size_t n = ds_model_classes(self->model, DS_TARGET_CLASS);
    if (!config->balanced && config->n_class_weights != n)
        return ds_value_fail(class_weights_at(self),
                             "loss.class_weights has %zu number%s, the model gives %zu class%s: "
                             "expected one for each",
                             config->n_class_weights, config->n_class_weights == 1 ? "" : "s", n,
                             n == 1 ? "" : "es");
    if (self->plan != NULL)
        DS_TRY(ds_arena_take(self->arena, (size_t)self->plan->shards, sizeof *self->shard_weight,
                             "the shards", &self->shard_weight));
    self->n_class_weights = n;
    DS_TRY(ds_arena_take(self->arena, n, sizeof *weight, "class weights", &weight));
    self->class_weight = weight;
    if (!config->balanced) {
        memcpy(weight, config->class_weight, n * sizeof *weight);
        return DS_OK;
    }
    if (file != NULL && (self->inference || train == NULL))
        return class_weights_kept(self, file, weight);
    if (train == NULL)
        return ds_value_fail(class_weights_at(self),
                             "loss.class_weights: balanced needs training data; give numbers");
    return class_weights_balance(self, train, weight);
}

const float *ds_trainer_class_weights(const ds_trainer *self, size_t *n)
{
    *n = self->n_class_weights;
    return self->class_weight;
}

/* A sample of several positions counts as their mean, as its loss does. */
static double class_weights_of(const ds_trainer *self, const int32_t *label)
{
    double sum = 0;
    for (size_t p = 0; p < self->positions; p++)
        sum += (double)self->class_weight[label[p]];
    return sum / (double)self->positions;
}

const double *class_weights_of_batch(ds_trainer *self, const batch_source *batch)
{
    long b = (long)batch->n, V = self->plan->shards;
    if (self->class_weight == NULL)
        return NULL;
    for (int k = 0; k < self->plan->shards; k++) {
        double sum = 0;
        for (size_t i = (size_t)ds_shard_begin(k, b, V); i < (size_t)ds_shard_begin(k + 1, b, V);
             i++) {
            const int32_t *label =
                batch->x != NULL
                    ? batch->label + i * self->positions
                    : self->splits->train->label +
                          ds_order_at(&batch->order, batch->position + i) * self->positions;
            sum += class_weights_of(self, label);
        }
        self->shard_weight[k] = sum;
    }
    return self->shard_weight;
}

double class_weights_of_split(const ds_trainer *self, const ds_dataset *data)
{
    double sum = 0;
    if (self->class_weight == NULL)
        return (double)data->n;
    for (size_t i = 0; i < data->n; i++)
        sum += class_weights_of(self, data->label + i * self->positions);
    return sum > 0 ? sum : 1;
}
