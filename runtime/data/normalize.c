/* Mean and population deviation over the training split, by column (tables) or channel (images).
 * The samples are cut into at most 64 blocks whatever the ranks; block i is summed in double by
 * rank i mod ranks, and block sums are added in block order. Two passes: mean, then squared
 * deviations. Sums of bytes are exact. */
#include <math.h>
#include <stdlib.h>

#include "splits.h"

enum { NORMALIZE_BLOCKS = 64 };

/* Channels of a sample: a table's columns, an image's planes; bytes of one dimension are one plane.
 */
static size_t normalize_channels(const ds_dataset *data)
{
    const ds_shape *input = &data->input;
    if (input->n >= 3)
        return input->dim[0];
    return data->bytes != NULL || input->n == 2 ? 1 : ds_shape_elements(input);
}

static double normalize_value(const ds_dataset *data, size_t i)
{
    return data->bytes != NULL ? (double)data->bytes[i] : (double)data->values[i];
}

/* Add to sum (channels) the values of samples [from, to), or their squared distance from `mean`
 * (channels). */
static void normalize_block(const ds_dataset *data, size_t channels, size_t from, size_t to,
                            const double *mean, double *sum)
{
    size_t elements = ds_shape_elements(&data->input), area = elements / channels;
    for (size_t s = from; s < to; s++)
        for (size_t c = 0; c < channels; c++) {
            double part = 0, center = mean == NULL ? 0 : mean[c];
            for (size_t j = 0; j < area; j++) {
                double x = normalize_value(data, s * elements + c * area + j) - center;
                part += mean == NULL ? x : x * x;
            }
            sum[c] += part;
        }
}

/* out (channels): the mean over samples and area of values, or of squared distances from `mean`.
 * `sums` has room for all blocks. */
static ds_status normalize_pass(ds_world *world, const ds_dataset *data, size_t channels,
                                const double *mean, double *sums, double *out)
{
    size_t blocks = data->n < NORMALIZE_BLOCKS ? data->n : NORMALIZE_BLOCKS;
    size_t area = ds_shape_elements(&data->input) / channels, ranks = (size_t)ds_world_size(world);
    for (size_t i = 0; i < blocks * channels; i++)
        sums[i] = 0;
    for (size_t b = 0; b < blocks; b++)
        if (b % ranks == (size_t)ds_world_rank(world))
            normalize_block(data, channels, b * data->n / blocks, (b + 1) * data->n / blocks, mean,
                            sums + b * channels);
    DS_TRY(ds_world_sum(world, sums, blocks * channels));
    for (size_t c = 0; c < channels; c++) {
        double total = 0;
        for (size_t b = 0; b < blocks; b++)
            total += sums[b * channels + c];
        out[c] = total / ((double)data->n * (double)area);
    }
    return DS_OK;
}

static ds_status normalize_standard(ds_world *world, const ds_dataset *data, size_t channels,
                                    float *mean, float *std)
{
    double *room = malloc((NORMALIZE_BLOCKS + 2) * channels * sizeof *room);
    ds_status status =
        room != NULL ? DS_OK : DS_FAIL(DS_ERR_NOMEM, "out of memory for the normalisation");
    DS_TRY(ds_agree(world, status));
    double *m = room, *v = room + channels, *sums = room + 2 * channels;
    status = normalize_pass(world, data, channels, NULL, sums, m);
    if (status == DS_OK)
        status = normalize_pass(world, data, channels, m, sums, v);
    for (size_t c = 0; status == DS_OK && c < channels; c++) {
        mean[c] = (float)m[c];
        std[c] = v[c] > 0 && (float)sqrt(v[c]) > 0 ? (float)sqrt(v[c]) : 1;
    }
    free(room);
    return status;
}

ds_status splits_normalize(ds_world *world, ds_normalize how, const ds_dataset *data,
                           ds_arena *arena, ds_normalizer *out)
{
    size_t channels = normalize_channels(data);
    float *mean = NULL, *std = NULL;
    *out = (ds_normalizer){.scale = 1};
    if (how == DS_NORMALIZE_NONE || (how == DS_NORMALIZE_UNIT && data->bytes == NULL))
        return DS_OK;
    ds_status status = ds_arena_take(arena, channels, sizeof *mean, "the normalisation", &mean);
    if (status == DS_OK)
        status = ds_arena_take(arena, channels, sizeof *std, "the normalisation", &std);
    DS_TRY(ds_agree(world, status));
    for (size_t c = 0; c < channels; c++)
        std[c] = 255;
    if (how == DS_NORMALIZE_STANDARD)
        DS_TRY(normalize_standard(world, data, channels, mean, std));
    out->n = channels;
    out->mean = mean;
    out->std = std;
    return DS_OK;
}
