/* Writers: csv (RFC 4180), npy (numpy's format 1.0: a text header padded to 64 bytes, then the
 * array), jsonl. */
#include "predictions.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* p->cols where there is none: scores that are no numbers. */
static size_t predictions_best(const predictions *p, size_t row)
{
    const float *v = p->value + row * p->cols;
    size_t best = 0;
    for (size_t j = 1; j < p->cols; j++)
        if (v[j] > v[best])
            best = j;
    return isnan(v[best]) ? p->cols : best;
}

static const char *predictions_label(const predictions *p, size_t j, size_t room, char *text)
{
    if (p->class_name != NULL && j < p->n_names)
        return p->class_name[j];
    snprintf(text, room, "%zu", j);
    return text;
}

static void predictions_csv_field(const char *text, FILE *file)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        fputs(text, file);
        return;
    }
    fputc('"', file);
    for (; *text != '\0'; text++) {
        if (*text == '"')
            fputc('"', file);
        fputc(*text, file);
    }
    fputc('"', file);
}

static void predictions_csv_header(const predictions *p, FILE *file)
{
    char number[32];
    if (p->classes)
        fputs("class", file);
    for (size_t j = 0; j < p->cols; j++) {
        if (j > 0 || p->classes)
            fputc(',', file);
        if (p->classes) {
            predictions_csv_field(predictions_label(p, j, sizeof number, number), file);
        } else {
            fprintf(file, p->cols == 1 ? "prediction" : "prediction%zu", j + 1);
        }
    }
    fputc('\n', file);
}

static void predictions_csv(const predictions *p, FILE *file)
{
    char number[32];
    predictions_csv_header(p, file);
    for (size_t i = 0; i < p->rows; i++) {
        size_t best = p->classes ? predictions_best(p, i) : p->cols;
        if (best < p->cols)
            predictions_csv_field(predictions_label(p, best, sizeof number, number), file);
        for (size_t j = 0; j < p->cols; j++)
            fprintf(file, "%s%.9g", j > 0 || p->classes ? "," : "",
                    ds_shown((double)p->value[i * p->cols + j]));
        fputc('\n', file);
    }
}

static void predictions_npy(const predictions *p, FILE *file)
{
    char header[118];
    int n = snprintf(header, sizeof header,
                     "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", p->rows,
                     p->cols);
    memset(header + n, ' ', sizeof header - (size_t)n - 1);
    header[sizeof header - 1] = '\n';
    fwrite("\x93NUMPY\x01\x00\x76\x00", 1, 10, file);
    fwrite(header, 1, sizeof header, file);
    fwrite(p->value, sizeof *p->value, p->rows * p->cols, file);
}

static cJSON *predictions_json_row(const predictions *p, size_t i)
{
    char number[32];
    cJSON *o = cJSON_CreateObject();
    const float *v = p->value + i * p->cols;
    if (!p->classes) {
        cJSON_AddItemToObject(o, "prediction", cJSON_CreateFloatArray(v, (int)p->cols));
        return o;
    }
    size_t best = predictions_best(p, i);
    if (best < p->cols) {
        cJSON_AddStringToObject(o, "class", predictions_label(p, best, sizeof number, number));
        cJSON_AddNumberToObject(o, "probability", (double)v[best]);
    } else {
        cJSON_AddNullToObject(o, "class");
        cJSON_AddNullToObject(o, "probability");
    }
    cJSON *all = cJSON_AddObjectToObject(o, "probabilities");
    for (size_t j = 0; j < p->cols; j++)
        cJSON_AddNumberToObject(all, predictions_label(p, j, sizeof number, number), (double)v[j]);
    return o;
}

static void predictions_jsonl(const predictions *p, FILE *file)
{
    for (size_t i = 0; i < p->rows; i++) {
        cJSON *o = predictions_json_row(p, i);
        char *text = cJSON_PrintUnformatted(o);
        cJSON_Delete(o);
        fprintf(file, "%s\n", text == NULL ? "null" : text);
        cJSON_free(text);
    }
}

static const predictions_writer predictions_table[] = {
    {"csv", predictions_csv}, {"npy", predictions_npy}, {"jsonl", predictions_jsonl}};

const predictions_writer *predictions_writer_find(const char *name)
{
    for (size_t i = 0; i < sizeof predictions_table / sizeof *predictions_table; i++)
        if (strcmp(predictions_table[i].name, name) == 0)
            return &predictions_table[i];
    return NULL;
}

static ds_status predictions_read_first(const char *path, const ds_trainer *trainer,
                                        ds_dataset **out)
{
    ds_read_request request = {.source = ds_trainer_config(trainer)->data.train, /* its options */
                               .kind = ds_trainer_config(trainer)->loss->target,
                               .input = ds_model_input(ds_trainer_model(trainer)),
                               .targets_optional = true,
                               .split = "predict"};
    request.column = ds_trainer_names(trainer, DS_NAMES_INPUTS, &request.n_columns);
    request.target_column = ds_trainer_names(trainer, DS_NAMES_TARGETS, &request.n_target_columns);
    return ds_dataset_read_file(path, &request, out);
}

/* Room on the other ranks for what rank 0 has read. */
static ds_status predictions_room(const int64_t head[3], const ds_shape *input, ds_dataset **out)
{
    ds_auto(ds_dataset) data = NULL;
    size_t elements = ds_shape_elements(input), n = (size_t)head[0];
    uint8_t *bytes = NULL;
    float *values = NULL;
    DS_TRY(ds_dataset_create(&data));
    if (head[1] != 0)
        DS_TRY(ds_arena_take(data->arena, n, elements, "samples", &bytes));
    else
        DS_TRY(ds_arena_take(data->arena, n, elements * sizeof *values, "samples", &values));
    data->n = n;
    data->padded = (size_t)head[2];
    data->input = *input;
    data->bytes = bytes;
    data->values = values;
    *out = ds_steal(data);
    return DS_OK;
}

ds_status predictions_read(ds_world *world, const char *path, const ds_trainer *trainer,
                           ds_dataset **out)
{
    bool first = ds_world_rank(world) == 0;
    const ds_shape *input = ds_model_input(ds_trainer_model(trainer));
    DS_TRY(ds_follow(world, first ? predictions_read_first(path, trainer, out) : DS_OK));
    int64_t head[3] = {0, 0, 0};
    if (first) {
        head[0] = (int64_t)(*out)->n;
        head[1] = (*out)->bytes != NULL;
        head[2] = (int64_t)(*out)->padded;
    }
    DS_TRY(ds_world_broadcast(world, head, sizeof head, 0));
    DS_TRY(ds_agree(world, first ? DS_OK : predictions_room(head, input, out)));
    size_t count = (*out)->n * ds_shape_elements(input);
    void *block = NULL;
    memcpy(&block, head[1] != 0 ? (void *)&(*out)->bytes : (void *)&(*out)->values, sizeof block);
    return ds_world_broadcast(world, block, head[1] != 0 ? count : count * sizeof(float), 0);
}
