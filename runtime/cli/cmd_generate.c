/* descent generate: a language model's checkpoint goes on with a text. The model sees the last
 * tokens that its context holds, padded behind, which a causal model does not see; one forward a
 * token. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "descent/log.h"

#include "command.h"
#include "sampling.h"
#include "saved.h"

typedef struct generate {
    const char *prompt, *tokens, *temperature, *top, *seed;
    arg_list set, positional;
    ds_trainer *trainer;
    bool numbers;    /* tokens are written as numbers, not as bytes */
    size_t context;  /* T */
    size_t most;     /* tokens to draw */
    size_t n, room;  /* of text */
    uint32_t *text;  /* the prompt and what was drawn */
    float *x, *z;    /* (T), (T, vocab) */
    sampling sample; /* has vocab */
} generate;

static ds_status generate_whole(const char *name, const char *text, int64_t least, int64_t *out)
{
    char *end = NULL;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    DS_CHECK(text[0] != '\0' && *end == '\0' && errno == 0 && n >= least, DS_ERR_USAGE,
             "generate: %s '%.40s'; expected an integer >= %lld", name, text, (long long)least);
    *out = n;
    return DS_OK;
}

static ds_status generate_parse(generate *self, int argc, char **argv)
{
    int64_t most = 256, top = 0;
    char *end = NULL;
    const arg table[] = {{"--prompt", ARG_VALUE, &self->prompt},
                         {"--tokens", ARG_VALUE, &self->tokens},
                         {"--temperature", ARG_VALUE, &self->temperature},
                         {"--top-k", ARG_VALUE, &self->top},
                         {"--seed", ARG_VALUE, &self->seed},
                         {"--set", ARG_LIST, &self->set},
                         {NULL, ARG_FLAG, NULL}};
    DS_TRY(args_parse(argc, argv, table, &self->positional));
    DS_TRY(args_expect("generate", &self->positional, 1, 1, "one checkpoint or run directory"));
    DS_CHECK(self->prompt == NULL || self->prompt[0] != '\0', DS_ERR_USAGE,
             "generate: the prompt is empty; expected a text, or no --prompt at all");
    if (self->tokens != NULL)
        DS_TRY(generate_whole("--tokens", self->tokens, 0, &most));
    if (self->top != NULL)
        DS_TRY(generate_whole("--top-k", self->top, 1, &top));
    self->most = (size_t)most;
    self->sample.top = (size_t)top;
    const char *t = self->temperature != NULL ? self->temperature : "1";
    self->sample.temperature = strtod(t, &end);
    DS_CHECK(end != t && *end == '\0' && isfinite(self->sample.temperature) &&
                 self->sample.temperature >= 0,
             DS_ERR_USAGE, "generate: --temperature '%.40s'; expected a number >= 0", t);
    return DS_OK;
}

/* ---- the model ------------------------------------------------------------------------------ */

/* Token ids in, a score of each token at each position out. */
static ds_status generate_check_model(generate *self)
{
    const ds_model *model = ds_trainer_model(self->trainer);
    const ds_shape *in = ds_model_input(model), *out = ds_model_output(model);
    DS_CHECK(ds_model_problem(model) == NULL, DS_ERR_USAGE,
             "generate: %s is no language model: it trains problem '%s'; expected token ids, an "
             "embedding and a score of each token at each position",
             self->positional.item[0], ds_model_problem(model)->name);
    const ds_layer *first = ds_model_layer(model, 0);
    for (size_t i = 1; first->ops->view && i < ds_model_n_layers(model); i++)
        first = ds_model_layer(model, i);
    char a[DS_SHAPE_TEXT], b[DS_SHAPE_TEXT];
    self->context = ds_shape_elements(in);
    DS_CHECK(
        first->ops->reads_ids && out->n == 2 && out->dim[0] == self->context &&
            ds_trainer_config(self->trainer)->loss->target == DS_TARGET_CLASS,
        DS_ERR_USAGE,
        "generate: %s is no language model: its input has shape %s, its first layer is %s, its "
        "output has shape %s; expected token ids, an embedding and a score of each token at "
        "each position",
        self->positional.item[0], ds_shape_text(in, a), first->ops->name, ds_shape_text(out, b));
    self->sample.vocab = out->dim[1];
    DS_CHECK(self->sample.vocab <= first->param[0]->shape.dim[0], DS_ERR_USAGE,
             "generate: %s scores %zu tokens, its embedding has %zu: what it draws it could not "
             "read",
             self->positional.item[0], self->sample.vocab, first->param[0]->shape.dim[0]);
    const ds_value *format = ds_value_find(ds_trainer_config(self->trainer)->data.train, "format");
    self->numbers = format != NULL && format->text != NULL && strcmp(format->text, "tokens") == 0;
    self->numbers = self->numbers || self->sample.vocab > 256;
    return DS_OK;
}

/* Scores at all positions of the window that ends with the text's last token; its place in it. */
static ds_status generate_scores(generate *self, size_t *at)
{
    size_t n = self->n < self->context ? self->n : self->context;
    for (size_t i = 0; i < self->context; i++)
        self->x[i] = i < n ? (float)self->text[self->n - n + i] : 0;
    *at = n - 1;
    return ds_trainer_predict(self->trainer, 1, self->x, self->z);
}

/* Another last token must leave the scores before it alone. */
static ds_status generate_check_causal(generate *self)
{
    size_t vocab = self->sample.vocab, n = (self->context - 1) * vocab;
    if (self->context < 2 || vocab < 2)
        return DS_OK;
    float *before = calloc(n, sizeof *before);
    DS_CHECK(before != NULL, DS_ERR_NOMEM, "out of memory for %zu scores", n);
    ds_status status = ds_trainer_predict(self->trainer, 1, self->x, self->z);
    double size = 0, off = 0;
    memcpy(before, self->z, n * sizeof *before);
    self->x[self->context - 1] = self->x[self->context - 1] > 0 ? 0 : 1;
    if (status == DS_OK)
        status = ds_trainer_predict(self->trainer, 1, self->x, self->z);
    for (size_t i = 0; i < n; i++) {
        size = fmax(size, fabs((double)before[i]));
        off = fmax(off, fabs((double)before[i] - (double)self->z[i]));
    }
    free(before);
    DS_TRY(status);
    DS_CHECK(!(off > 1e-4 * size), DS_ERR_USAGE,
             "generate: %s sees tokens behind the one it predicts: it cannot go on with a text; "
             "expected a causal model",
             self->positional.item[0]);
    return DS_OK;
}

/* ---- the text ------------------------------------------------------------------------------- */

static ds_status generate_token(const generate *self, const char *what, size_t place,
                                unsigned long token)
{
    DS_CHECK(token < self->sample.vocab, DS_ERR_USAGE,
             "generate: %s %lu at place %zu of the prompt is outside the model's vocabulary; "
             "expected 0 to %zu",
             what, token, place, self->sample.vocab - 1);
    return DS_OK;
}

/* "17 4 250": numbers with blanks or commas between them. */
static ds_status generate_read_numbers(generate *self)
{
    for (const char *p = self->prompt; p[strspn(p, " ,\n\t")] != '\0';) {
        char *end = NULL;
        p += strspn(p, " ,\n\t");
        unsigned long token = strtoul(p, &end, 10);
        DS_CHECK(*p >= '0' && *p <= '9' && strspn(end, " ,\n\t") + (*end == '\0') > 0, DS_ERR_USAGE,
                 "generate: '%.20s' in the prompt; expected token numbers from 0 to %zu with "
                 "blanks between them (the model was trained on numbered tokens)",
                 p, self->sample.vocab - 1);
        DS_TRY(generate_token(self, "token", self->n, token));
        self->text[self->n++] = (uint32_t)token;
        p = end;
    }
    DS_CHECK(self->n > 0, DS_ERR_USAGE, "generate: the prompt is empty; expected token numbers");
    return DS_OK;
}

static ds_status generate_read(generate *self)
{
    if (self->prompt == NULL) { /* as after a line's end */
        self->text[self->n++] = !self->numbers && self->sample.vocab > '\n' ? '\n' : 0;
        return DS_OK;
    }
    if (self->numbers)
        return generate_read_numbers(self);
    for (const char *p = self->prompt; *p != '\0'; p++) {
        DS_TRY(generate_token(self, "byte", self->n, (unsigned char)*p));
        self->text[self->n++] = (unsigned char)*p;
    }
    return DS_OK;
}

static ds_status generate_write(const generate *self, size_t from)
{
    for (size_t i = from; i < self->n; i++) {
        if (self->numbers)
            printf("%s%u", i > (self->prompt == NULL) ? " " : "", self->text[i]);
        else
            putchar((int)self->text[i]);
    }
    DS_CHECK(fflush(stdout) == 0 && !ferror(stdout), DS_ERR_WRITE,
             "cannot write standard output: %s", strerror(errno));
    return DS_OK;
}

static ds_status generate_draw(generate *self)
{
    size_t given = self->n, at = 0, token = 0;
    if (given > self->context)
        ds_log(DS_LOG_WARN, "the prompt has %zu tokens, the model sees the last %zu", given,
               self->context);
    DS_TRY(generate_write(self, self->prompt == NULL ? given : 0)); /* what was given */
    for (size_t i = 0; i < self->most; i++) {
        DS_TRY(generate_scores(self, &at));
        DS_TRY(sampling_pick(&self->sample, self->z + at * self->sample.vocab, i, &token));
        self->text[self->n++] = (uint32_t)token;
        DS_TRY(generate_write(self, self->n - 1));
    }
    if (self->numbers)
        putchar('\n');
    else if (isatty(STDOUT_FILENO) && isatty(STDERR_FILENO)) /* a text ends where it ends */
        fputc('\n', stderr);
    return DS_OK;
}

static ds_status generate_room(generate *self)
{
    size_t prompt = self->prompt == NULL ? 1 : strlen(self->prompt), scores = 0;
    DS_CHECK(!__builtin_add_overflow(prompt, self->most, &self->room) &&
                 !__builtin_mul_overflow(self->context, self->sample.vocab, &scores),
             DS_ERR_NOMEM, "generate: --tokens %zu is more than memory can be", self->most);
    self->text = calloc(self->room + 1, sizeof *self->text);
    self->x = calloc(self->context, sizeof *self->x);
    self->z = calloc(scores, sizeof *self->z);
    DS_CHECK(self->text != NULL && self->x != NULL && self->z != NULL, DS_ERR_NOMEM,
             "out of memory for %zu tokens and %zu scores", self->room, scores);
    return DS_OK;
}

static ds_status generate_all(generate *self)
{
    int64_t seed = 1;
    DS_TRY(generate_check_model(self));
    if (self->seed != NULL)
        DS_TRY(generate_whole("--seed", self->seed, 0, &seed));
    DS_TRY(generate_room(self));
    DS_TRY(sampling_create(&self->sample, (uint64_t)seed));
    DS_TRY(generate_read(self));
    DS_TRY(generate_check_causal(self));
    return generate_draw(self);
}

static ds_status generate_run(ds_world *world, int argc, char **argv)
{
    generate self = {0};
    DS_TRY(generate_parse(&self, argc, argv));
    arg_list set = {.n = 1, .item = {"eval.batch=1"}};
    for (size_t i = 0; i < self.set.n && set.n < DS_ARGS_MAX; i++)
        set.item[set.n++] = self.set.item[i];
    DS_TRY(saved_open(world, self.positional.item[0], &set, false, &self.trainer));
    ds_status status = generate_all(&self);
    sampling_destroy(&self.sample);
    free(self.text);
    free(self.x);
    free(self.z);
    ds_trainer_destroy(&self.trainer);
    return status;
}

extern const ds_command ds_command_generate;
const ds_command ds_command_generate = {
    .name = "generate",
    .usage = "generate CKPT [--prompt TEXT] [--tokens N] [--temperature T] [--top-k K] [--seed S]\n"
             "         [--set KEY=VALUE]...",
    .help = "A language model's checkpoint goes on with a text: the prompt, then N tokens (256), "
            "written as they are drawn. Without a\n"
            "prompt it begins as after a line's end. A model trained on numbered tokens "
            "(data.train.format: tokens) takes and gives\n"
            "numbers. The model sees the last tokens that its context holds, of a longer prompt "
            "too.\n"
            "\n"
            "  --temperature T   1; lower: more likely tokens; 0: always the most likely one\n"
            "  --top-k K         draw among the K most likely tokens only\n"
            "  --seed S          1; the same checkpoint, prompt, settings and seed give the same "
            "text, on any CPU\n"
            "  --set KEY=VALUE   changes the checkpoint's config, such as compute.kernels=ref\n",
    .run = generate_run,
};
