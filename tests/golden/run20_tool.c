/* The two ends of steps20.sh:
 *   run20_tool start NUMBERS DIR           write PyTorch's starting weights as a checkpoint of DIR
 *   run20_tool compare NUMBERS DIR NAME    DIR's last checkpoint and losses against PyTorch's run
 *                                          NAME
 * NUMBERS is a file that make_golden.py or make_gpt.py wrote: shape/TENSOR, start/TENSOR,
 * NAME/TENSOR, NAME/loss. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descent/checkpoint.h"
#include "descent/session.h"

#include "golden.h"

enum { TENSORS = 64, ROOM = 1024, STEPS = 20 };

/* Shapes as PyTorch keeps them, in the file's order. */
typedef struct tensors {
    const char *numbers;
    size_t n;
    char path[TENSORS][80];
    ds_shape shape[TENSORS];
} tensors;

static const char *tensors_name(const tensors *self, size_t i)
{
    return self->path[i] + strlen("/parameters/");
}

static ds_status tensors_read(const char *numbers, tensors *out)
{
    char *line = NULL;
    size_t size = 0;
    FILE *file = fopen(numbers, "r");
    DS_CHECK(file, DS_ERR_DATA, "no %s", numbers);
    *out = (tensors){.numbers = numbers};
    while (out->n < TENSORS && getline(&line, &size, file) > 0) {
        ds_shape *shape = &out->shape[out->n];
        char name[64];
        if (sscanf(line, "shape/%63s %zu", name, &shape->n) != 2 || shape->n > DS_MAX_DIMS)
            continue;
        char *p = strchr(strchr(line, ' ') + 1, ' ');
        for (size_t d = 0; d < shape->n; d++)
            shape->dim[d] = strtoul(p, &p, 10);
        snprintf(out->path[out->n], sizeof out->path[0], "/parameters/%s", name);
        out->n++;
    }
    free(line);
    fclose(file);
    DS_CHECK(out->n > 0 && out->n < TENSORS, DS_ERR_DATA, "%s: %zu tensors", numbers, out->n);
    return DS_OK;
}

static size_t golden_of(const tensors *self, const char *run, const char *name, double out[ROOM])
{
    char key[128];
    snprintf(key, sizeof key, "%s/%s", run, name);
    return golden_read(self->numbers, key, ROOM, out);
}

static ds_status start(ds_world *world, const tensors *self, const char *dir)
{
    static float x[TENSORS][ROOM];
    ds_entry entry[TENSORS] = {{0}};
    for (size_t i = 0; i < self->n; i++) {
        double value[ROOM];
        const size_t n = golden_of(self, "start", tensors_name(self, i), value);
        DS_CHECK(n == ds_shape_elements(&self->shape[i]), DS_ERR_DATA, "%s has %zu numbers",
                 tensors_name(self, i), n);
        for (size_t j = 0; j < n; j++)
            x[i][j] = (float)value[j];
        entry[i] = (ds_entry){
            .path = self->path[i], .type = DS_F32, .shape = self->shape[i], .data = x[i]};
    }
    const ds_snapshot snapshot = {.n_entries = self->n, .entry = entry};
    return ds_checkpoint_write(world, dir, &snapshot, 0, NULL);
}

static ds_status compare_tensor(const ds_checkpoint *file, const tensors *self, size_t i,
                                const char *run)
{
    double want[ROOM];
    float got[ROOM];
    const size_t at = ds_checkpoint_find(file, self->path[i]);
    const size_t n = golden_of(self, run, tensors_name(self, i), want);
    DS_CHECK(at < ds_checkpoint_n(file), DS_ERR_DATA, "no %s", self->path[i]);
    const ds_tensor_info info = ds_checkpoint_tensor(file, at);
    DS_CHECK(ds_shape_equal(&info.shape, &self->shape[i]) && ds_shape_elements(&info.shape) <= ROOM,
             DS_ERR_DATA, "%s: shape", self->path[i]);
    DS_TRY(ds_checkpoint_read(file, at, got));
    const double off = golden_distance(n, got, want);
    printf("%s: %s off by %.2g from PyTorch (at most 1e-5)\n", run, tensors_name(self, i), off);
    DS_CHECK(n > 0 && off <= 1e-5, DS_NO, "%s: %s off by %g", run, tensors_name(self, i), off);
    return DS_OK;
}

/* The step lines of metrics.jsonl: the loss before each update. */
static ds_status compare_losses(const tensors *self, const char *dir, const char *run)
{
    char path[4096], line[4096];
    double want[ROOM], most = 0;
    size_t n = 0;
    const size_t n_want = golden_of(self, run, "loss", want);
    snprintf(path, sizeof path, "%s/metrics.jsonl", dir);
    FILE *file = fopen(path, "r");
    DS_CHECK(file, DS_ERR_DATA, "no %s", path);
    while (n < n_want && fgets(line, sizeof line, file)) {
        cJSON *json = cJSON_Parse(line);
        const cJSON *event = cJSON_GetObjectItem(json, "event");
        const cJSON *loss = cJSON_GetObjectItem(json, "loss");
        if (cJSON_IsString(event) && cJSON_IsNumber(loss) &&
            strcmp(event->valuestring, "step") == 0) {
            const double off = fabs(loss->valuedouble - want[n]) / want[n];
            most = off > most ? off : most;
            n++;
        }
        cJSON_Delete(json);
    }
    fclose(file);
    printf("%s: %zu losses off by %.2g from PyTorch (at most 1e-5)\n", run, n, most);
    DS_CHECK(n == STEPS && n_want == STEPS && most <= 1e-5, DS_NO, "%s: %zu losses off by %g", run,
             n, most);
    return DS_OK;
}

static ds_status compare(const tensors *self, const char *dir, const char *run)
{
    char path[4096];
    ds_auto(ds_checkpoint) file = NULL;
    DS_TRY(ds_checkpoint_resolve(dir, sizeof path, path));
    DS_TRY(ds_checkpoint_open(path, &file));
    for (size_t i = 0; i < self->n; i++)
        DS_TRY(compare_tensor(file, self, i, run));
    return compare_losses(self, dir, run);
}

static ds_status run_all(int argc, char **argv)
{
    static tensors known;
    const bool compares = argc == 5 && strcmp(argv[1], "compare") == 0;
    DS_CHECK(compares || (argc == 4 && strcmp(argv[1], "start") == 0), DS_ERR_USAGE,
             "start NUMBERS DIR | compare NUMBERS DIR RUN");
    DS_TRY(tensors_read(argv[2], &known));
    if (compares)
        return compare(&known, argv[3], argv[4]);
    ds_auto(ds_world) world = NULL;
    DS_TRY(ds_session_begin(&argc, &argv));
    DS_TRY(ds_session_world(&world));
    DS_TRY(start(world, &known, argv[3]));
    ds_world_destroy(&world);
    ds_session_end();
    return DS_OK;
}

int main(int argc, char **argv)
{
    const ds_status status = run_all(argc, argv);
    if (status != DS_OK)
        fprintf(stderr, "%s\n", ds_last_error());
    return ds_exit_code(status);
}
