/* Windows of a token sequence, one behind the other: sample i is tokens [i T, (i + 1) T), its
 * labels the same one further. 5 bytes a byte of text, 8 a numbered token. */
#include "sequence.h"

static size_t sequence_token(const ds_sequence *self, size_t i)
{
    return self->bytes != NULL ? self->bytes[i] : self->numbers[i];
}

static ds_status sequence_check(const ds_read_request *request, const char *where,
                                const ds_sequence *self)
{
    size_t length = ds_shape_elements(request->input);
    DS_CHECK(request->kind == DS_TARGET_CLASS, DS_ERR_USAGE,
             "%s: the target of a token is the next one: expected a loss of classes such as "
             "cross_entropy",
             where);
    DS_CHECK(self->n_tokens > length || request->targets_optional, DS_ERR_DATA,
             "%s: holds %zu tokens, a window of model.input takes %zu and one more", where,
             self->n_tokens, length);
    DS_CHECK(self->n_tokens > 0, DS_ERR_DATA, "%s: holds no tokens", where);
    for (size_t i = 0; i < self->n_tokens; i++)
        DS_CHECK(sequence_token(self, i) < self->vocab, DS_ERR_DATA,
                 "%s: token %zu is %zu, expected 0 to %zu (vocab %zu)", where, i,
                 sequence_token(self, i), self->vocab - 1, self->vocab);
    return DS_OK;
}

/* Leaves only the part. */
static ds_status sequence_take(const char *where, const ds_sequence_part *part, ds_sequence *self)
{
    DS_CHECK(part->from < part->to, DS_ERR_USAGE, "%s: `from: %g` is not before `to: %g`", where,
             part->from, part->to);
    size_t from = (size_t)(part->from * (double)self->n_tokens),
           to = (size_t)(part->to * (double)self->n_tokens);
    if (self->bytes != NULL)
        self->bytes += from;
    else
        self->numbers += from;
    self->n_tokens = to - from;
    return DS_OK;
}

ds_status ds_sequence_cut(const ds_read_request *request, const char *where, const ds_sequence *all,
                          const ds_sequence_part *part, ds_dataset *out)
{
    ds_sequence mine = *all;
    const ds_sequence *tokens = &mine;
    DS_CHECK(request->input != NULL, DS_ERR_USAGE,
             "%s: tokens are cut into windows of model.input's length: give a config with one",
             where);
    DS_TRY(sequence_take(where, part, &mine));
    DS_TRY(sequence_check(request, where, tokens));
    size_t length = ds_shape_elements(request->input), n = (tokens->n_tokens - 1) / length;
    if (request->targets_optional)
        n = (tokens->n_tokens - 1) / length + 1;
    uint8_t *bytes = NULL;
    float *values = NULL;
    int32_t *label = NULL;
    if (tokens->bytes != NULL)
        DS_TRY(ds_arena_take(out->arena, n, length, "tokens", &bytes));
    else
        DS_TRY(ds_arena_take(out->arena, n, length * sizeof *values, "tokens", &values));
    DS_TRY(ds_arena_take(out->arena, n, length * sizeof *label, "labels", &label));
    for (size_t i = 0; i < n * length && i < tokens->n_tokens; i++) {
        if (bytes != NULL)
            bytes[i] = tokens->bytes[i];
        else
            values[i] = (float)tokens->numbers[i];
        if (i + 1 < tokens->n_tokens)
            label[i] = (int32_t)sequence_token(tokens, i + 1);
    }
    out->padded = n * length > tokens->n_tokens ? n * length - tokens->n_tokens : 0;
    out->n = n;
    out->input = *request->input;
    out->bytes = bytes;
    out->values = values;
    out->kind = DS_TARGET_CLASS;
    out->label = label;
    out->n_labels = length;
    out->n_classes = tokens->vocab;
    return DS_OK;
}
