/* The two ends of tests/golden/mlp20.sh:
 *   mlp20_tool start DIR           write PyTorch's starting weights as a checkpoint of DIR
 *   mlp20_tool compare DIR NAME    DIR's last checkpoint and losses against PyTorch's run NAME */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descent/checkpoint.h"
#include "descent/session.h"

#include "golden.h"

enum { TENSORS = 6, ROOM = 64, STEPS = 20 };

/* 5 -> 8 relu -> 6 tanh -> 3, shapes as PyTorch keeps them. */
static const struct {
    const char *name;
    ds_shape shape;
} tensor[TENSORS] = {
    {"dense1/weight", {2, {8, 5}}}, {"dense1/bias", {1, {8}}},      {"dense2/weight", {2, {6, 8}}},
    {"dense2/bias", {1, {6}}},      {"dense3/weight", {2, {3, 6}}}, {"dense3/bias", {1, {3}}},
};

static size_t golden_of(const char *run, const char *name, double out[ROOM])
{
    char key[128];
    snprintf(key, sizeof key, "%s/%s", run, name);
    return golden_read(GOLDEN "/mlp20.txt", key, ROOM, out);
}

static ds_status start(ds_world *world, const char *dir)
{
    static float x[TENSORS][ROOM];
    static char path[TENSORS][64];
    ds_entry entry[TENSORS] = {{0}};
    for (size_t i = 0; i < TENSORS; i++) {
        double value[ROOM];
        const size_t n = golden_of("start", tensor[i].name, value);
        DS_CHECK(n == ds_shape_elements(&tensor[i].shape), DS_ERR_DATA, "%s has %zu numbers",
                 tensor[i].name, n);
        for (size_t j = 0; j < n; j++)
            x[i][j] = (float)value[j];
        snprintf(path[i], sizeof path[i], "/parameters/%s", tensor[i].name);
        entry[i].path = path[i];
        entry[i].type = DS_F32;
        entry[i].shape = tensor[i].shape;
        entry[i].data = x[i];
    }
    const ds_snapshot snapshot = {.n_entries = TENSORS, .entry = entry};
    return ds_checkpoint_write(world, dir, &snapshot, 0, NULL);
}

static ds_status compare_tensor(const ds_checkpoint *file, size_t i, const char *run)
{
    char path[64];
    double want[ROOM];
    float got[ROOM];
    snprintf(path, sizeof path, "/parameters/%s", tensor[i].name);
    const size_t at = ds_checkpoint_find(file, path), n = golden_of(run, tensor[i].name, want);
    DS_CHECK(at < ds_checkpoint_n(file), DS_ERR_DATA, "no %s", path);
    const ds_tensor_info info = ds_checkpoint_tensor(file, at);
    DS_CHECK(ds_shape_equal(&info.shape, &tensor[i].shape), DS_ERR_DATA, "%s: shape", path);
    DS_TRY(ds_checkpoint_read(file, at, got));
    const double off = golden_distance(n, got, want);
    printf("%s: %s off by %.2g from PyTorch (at most 1e-5)\n", run, tensor[i].name, off);
    DS_CHECK(n > 0 && off <= 1e-5, DS_NO, "%s: %s off by %g", run, tensor[i].name, off);
    return DS_OK;
}

/* The step lines of metrics.jsonl: the loss before each update. */
static ds_status compare_losses(const char *dir, const char *run)
{
    char path[4096], line[4096];
    double want[ROOM], most = 0;
    size_t n = 0;
    const size_t n_want = golden_of(run, "loss", want);
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

static ds_status compare(const char *dir, const char *run)
{
    char path[4096];
    ds_auto(ds_checkpoint) file = NULL;
    DS_TRY(ds_checkpoint_resolve(dir, sizeof path, path));
    DS_TRY(ds_checkpoint_open(path, &file));
    for (size_t i = 0; i < TENSORS; i++)
        DS_TRY(compare_tensor(file, i, run));
    return compare_losses(dir, run);
}

static ds_status run_all(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "compare") == 0)
        return compare(argv[2], argv[3]);
    DS_CHECK(argc == 3 && strcmp(argv[1], "start") == 0, DS_ERR_USAGE,
             "start DIR | compare DIR RUN");
    ds_auto(ds_world) world = NULL;
    DS_TRY(ds_session_begin(&argc, &argv));
    DS_TRY(ds_session_world(&world));
    DS_TRY(start(world, argv[2]));
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
