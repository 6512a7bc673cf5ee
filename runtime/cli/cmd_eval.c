/* descent eval: scores of a checkpoint on the splits of its config. */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>

#include "command.h"
#include "saved.h"

static const char *eval_name(const char *const *names, size_t c, size_t room, char *text)
{
    if (names != NULL)
        return names[c];
    snprintf(text, room, "%zu", c);
    return text;
}

static int64_t eval_sum(const ds_scores *s, size_t c, bool row)
{
    int64_t sum = 0;
    for (size_t j = 0; j < s->n_classes; j++)
        sum += s->confusion[row ? c * s->n_classes + j : j * s->n_classes + c];
    return sum;
}

/* 0 where nothing was predicted, or nothing was there. */
static double eval_ratio(int64_t part, int64_t whole)
{
    return whole == 0 ? 0 : (double)part / (double)whole;
}

static void eval_print_classes(const ds_scores *s, const char *const *names)
{
    printf("  %-16s %9s %9s %9s\n", "class", "precision", "recall", "samples");
    for (size_t c = 0; c < s->n_classes; c++) {
        char number[24];
        int64_t right = s->confusion[c * s->n_classes + c], there = eval_sum(s, c, true),
                said = eval_sum(s, c, false);
        printf("  %-16s %9.4f %9.4f %9" PRId64 "\n", eval_name(names, c, sizeof number, number),
               eval_ratio(right, said), eval_ratio(right, there), there);
    }
    if (s->n_classes > 16)
        return;
    printf("  confusion (rows true, columns predicted)\n");
    for (size_t c = 0; c < s->n_classes; c++) {
        printf(" ");
        for (size_t j = 0; j < s->n_classes; j++)
            printf(" %6" PRId64, s->confusion[c * s->n_classes + j]);
        printf("\n");
    }
}

static void eval_print(const char *split, const ds_scores *s, const char *const *names)
{
    if (s->loss_only) {
        printf("%s: %zu samples, loss %.8g\n", split, s->samples, ds_shown(s->loss));
        return;
    }
    if (!s->classes) {
        printf("%s: %zu samples, loss %.8g, MAE %.8g, R2 %.6f\n", split, s->samples,
               ds_shown(s->loss), ds_shown(s->mae), ds_shown(s->r2));
        return;
    }
    printf("%s: %zu samples, loss %.6f", split, s->samples, ds_shown(s->loss));
    if (s->bits > 0)
        printf(", %.4f bits a token", s->bits);
    printf(", accuracy %.4f\n", s->accuracy);
    eval_print_classes(s, names);
}

static cJSON *eval_json_classes(const ds_scores *s, const char *const *names)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t c = 0; c < s->n_classes; c++) {
        char number[24];
        cJSON *item = cJSON_CreateObject(), *row = cJSON_CreateArray();
        int64_t right = s->confusion[c * s->n_classes + c];
        cJSON_AddStringToObject(item, "class", eval_name(names, c, sizeof number, number));
        cJSON_AddNumberToObject(item, "precision", eval_ratio(right, eval_sum(s, c, false)));
        cJSON_AddNumberToObject(item, "recall", eval_ratio(right, eval_sum(s, c, true)));
        for (size_t j = 0; j < s->n_classes; j++)
            cJSON_AddItemToArray(row,
                                 cJSON_CreateNumber((double)s->confusion[c * s->n_classes + j]));
        cJSON_AddItemToObject(item, "confusion", row);
        cJSON_AddItemToArray(list, item);
    }
    return list;
}

static ds_status eval_print_json(const char *split, const ds_scores *s, const char *const *names)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "split", split);
    cJSON_AddNumberToObject(o, "samples", (double)s->samples);
    cJSON_AddNumberToObject(o, "loss", s->loss);
    if (s->loss_only) {
        ; /* no more to say */
    } else if (s->classes) {
        cJSON_AddNumberToObject(o, "accuracy", s->accuracy);
        if (s->bits > 0)
            cJSON_AddNumberToObject(o, "bits", s->bits);
        cJSON_AddItemToObject(o, "classes", eval_json_classes(s, names));
    } else {
        cJSON_AddNumberToObject(o, "mae", s->mae);
        cJSON_AddNumberToObject(o, "r2", s->r2);
    }
    char *text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    DS_CHECK(text != NULL, DS_ERR_NOMEM, "out of memory for the scores");
    printf("%s\n", text);
    cJSON_free(text);
    return DS_OK;
}

static ds_status eval_splits(ds_world *world, ds_trainer *trainer, bool json)
{
    const ds_splits *splits = ds_trainer_splits(trainer);
    const struct {
        const char *name;
        const ds_dataset *data;
    } split[] = {
        {"train", splits->train}, {"validation", splits->validation}, {"test", splits->test}};
    size_t n_names, met = 0;
    const char *const *names = ds_trainer_names(trainer, DS_NAMES_CLASSES, &n_names);
    for (size_t i = 0; i < sizeof split / sizeof *split; i++) {
        if (split[i].data == NULL)
            continue;
        ds_scores scores;
        DS_TRY(ds_trainer_evaluate(trainer, split[i].name, &scores));
        met++;
        if (ds_world_rank(world) != 0)
            continue;
        if (json)
            DS_TRY(eval_print_json(split[i].name, &scores, names));
        else
            eval_print(split[i].name, &scores, names);
    }
    DS_CHECK(met > 0, DS_ERR_USAGE,
             "eval: the checkpoint's config names no data; add --set data.test=...");
    return DS_OK;
}

static ds_status eval_run(ds_world *world, int argc, char **argv)
{
    arg_list set = {0}, positional;
    bool json = false;
    const arg table[] = {
        {"--set", ARG_LIST, &set}, {"--json", ARG_FLAG, &json}, {NULL, ARG_FLAG, NULL}};
    DS_TRY(args_parse(argc, argv, table, &positional));
    DS_TRY(args_expect("eval", &positional, 1, 1, "one checkpoint or run directory"));
    ds_auto(ds_trainer) trainer = NULL;
    DS_TRY(saved_open(world, positional.item[0], &set, true, &trainer));
    return eval_splits(world, trainer, json);
}

extern const ds_command ds_command_eval;
const ds_command ds_command_eval = {
    .name = "eval",
    .usage = "eval CKPT [--set KEY=VALUE]... [--json]",
    .help = "Scores a checkpoint (a file, or a run directory: its latest) on the splits of its "
            "config: loss, accuracy, precision\n"
            "and recall by class and the confusion table; or loss, MAE and R2. --set "
            "data.test.images=... brings other data.\n"
            "Runs under mpirun too, with the same result.\n",
    .computes = true,
    .run = eval_run,
};
