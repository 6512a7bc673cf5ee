/* safetensors (https://github.com/huggingface/safetensors, "Format"): the header's length in 8
 * little-endian bytes, a JSON header padded by spaces to a multiple of 8, then the data without
 * gaps. Wide types come first, so that each tensor is aligned. One pass over the data. */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "exports.h"

static const char *safetensors_dtype(ds_dtype type)
{
    switch (type) {
    case DS_F32:
        return "F32";
    case DS_F64:
        return "F64";
    case DS_I64:
        return "I64";
    case DS_U8:
        break;
    }
    return "U8";
}

static void safetensors_metadata(const export_set *set, cJSON *header)
{
    static const char *const name[] = {"params_hash", "input_scale", "config"};
    char number[32];
    cJSON *meta = cJSON_AddObjectToObject(header, "__metadata__"); /* texts only */
    cJSON_AddStringToObject(meta, "format", "pt"); /* the layout of weights is PyTorch's */
    snprintf(number, sizeof number, "%lld", (long long)ds_checkpoint_step(set->from));
    cJSON_AddStringToObject(meta, "step", number);
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        const ds_attr *attr = ds_checkpoint_attr(set->from, name[i]);
        if (attr == NULL || attr->kind == DS_ATTR_INT)
            continue;
        snprintf(number, sizeof number, "%.17g", attr->real);
        cJSON_AddStringToObject(meta, name[i], attr->kind == DS_ATTR_TEXT ? attr->text : number);
    }
}

/* Offsets as text: cJSON's numbers are doubles. */
static void safetensors_entry(const export_item *item, uint64_t at, cJSON *header)
{
    char number[32];
    cJSON *entry = cJSON_AddObjectToObject(header, item->name);
    cJSON_AddStringToObject(entry, "dtype", safetensors_dtype(item->info.type));
    cJSON *shape = cJSON_AddArrayToObject(entry, "shape");
    for (size_t d = 0; d < item->info.shape.n; d++) {
        snprintf(number, sizeof number, "%zu", item->info.shape.dim[d]);
        cJSON_AddItemToArray(shape, cJSON_CreateRaw(number));
    }
    cJSON *place = cJSON_AddArrayToObject(entry, "data_offsets");
    for (int k = 0; k < 2; k++) {
        snprintf(number, sizeof number, "%llu",
                 (unsigned long long)(at + (k == 0 ? 0 : item->bytes)));
        cJSON_AddItemToArray(place, cJSON_CreateRaw(number));
    }
}

static char *safetensors_header(const export_set *set)
{
    cJSON *header = cJSON_CreateObject();
    uint64_t at = 0;
    safetensors_metadata(set, header);
    for (size_t width = 8; width > 0; width /= 2) {
        for (size_t i = 0; i < set->n; i++) {
            if (ds_dtype_bytes(set->item[i].info.type) != width)
                continue;
            safetensors_entry(&set->item[i], at, header);
            at += set->item[i].bytes;
        }
    }
    char *text = cJSON_PrintUnformatted(header);
    cJSON_Delete(header);
    return text;
}

static ds_status safetensors_write(const export_set *set, FILE *file)
{
    char *text = safetensors_header(set);
    DS_CHECK(text != NULL, DS_ERR_NOMEM, "out of memory for the header of %zu tensors", set->n);
    size_t n = strlen(text), padded = (n + 7) / 8 * 8;
    for (int shift = 0; shift < 64; shift += 8)
        fputc((int)((uint64_t)padded >> shift & 0xff), file);
    fprintf(file, "%s%*s", text, (int)(padded - n), "");
    free(text);
    for (size_t width = 8; width > 0; width /= 2)
        for (size_t i = 0; i < set->n; i++)
            if (ds_dtype_bytes(set->item[i].info.type) == width)
                DS_TRY(export_copy(set, i, file, NULL));
    return DS_OK;
}

const export_writer export_safetensors = {.extension = "safetensors", .write = safetensors_write};
