/* Writers: csv (RFC 4180), npy (numpy's format 1.0: a text header padded to 64 bytes, then the array), jsonl. */
#include "predictions.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static size_t predictions_best(const predictions *p, size_t row)
{
    const float *v = p->value + row * p->cols;
    size_t best = 0;
    for (size_t j = 1; j < p->cols; j++)
        if (v[j] > v[best])
            best = j;
    return best;
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
        if (p->classes)
            predictions_csv_field(predictions_label(p, predictions_best(p, i), sizeof number, number), file);
        for (size_t j = 0; j < p->cols; j++)
            fprintf(file, "%s%.9g", j > 0 || p->classes ? "," : "", (double)p->value[i * p->cols + j]);
        fputc('\n', file);
    }
}

static void predictions_npy(const predictions *p, FILE *file)
{
    char header[118];
    int n = snprintf(header, sizeof header, "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", p->rows, p->cols);
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
    cJSON_AddStringToObject(o, "class", predictions_label(p, best, sizeof number, number));
    cJSON_AddNumberToObject(o, "probability", (double)v[best]);
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
