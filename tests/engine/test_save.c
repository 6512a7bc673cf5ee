/* ds_trainer_save: every rank knows the step that stands, before, after, and where a save fails.
 * Run it by mpiexec, the folder to write in as the argument. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descent/descent.h"
#include "descent/session.h"
#include "descent/trainer.h"

enum { SAMPLES = 16 };

static const char config[] = "name: save\n"
                             "model: {input: [1], layers: [{dense: {units: 1}}]}\n"
                             "loss: mse\n"
                             "batch: {size: 8}\n"
                             "optimizer: {name: adam, lr: 0.01}\n"
                             "train: {epochs: 4}\n";

static int failures;
static void stands(const ds_trainer *trainer, int rank, int64_t want, const char *when)
{
    int64_t got = ds_trainer_saved_step(trainer);
    if (got == want)
        return;
    fprintf(stderr, "FAILED: rank %d, %s: step %lld stands, expected %lld\n", rank, when,
            (long long)got, (long long)want);
    failures++;
}

static ds_status play(ds_world *world, const char *folder)
{
    static float x[SAMPLES], y[SAMPLES];
    for (int i = 0; i < SAMPLES; i++)
        y[i] = 2 * (x[i] = (float)i / SAMPLES);
    const ds_memory_data data = {.n = SAMPLES, .x = x, .value = y, .n_targets = 1};
    const ds_trainer_spec spec = {.config = config, .train = &data};
    ds_auto(ds_trainer) trainer = NULL;
    ds_outcome outcome;
    int rank = ds_world_rank(world);
    DS_TRY(ds_trainer_open(world, &spec, &trainer));
    stands(trainer, rank, -1, "nothing saved");
    for (int64_t step = 1; step <= 2; step++) {
        DS_TRY(ds_trainer_step(trainer, &outcome));
        stands(trainer, rank, step == 1 ? -1 : 1, "after a step");
        DS_TRY(ds_trainer_save(trainer, folder));
        stands(trainer, rank, step, "after a save");
    }
    DS_TRY(ds_trainer_step(trainer, &outcome));
    ds_status status = ds_trainer_save(trainer, "/dev/null/nowhere");
    DS_CHECK(status == DS_ERR_WRITE, DS_ERR_INTERNAL, "a save below /dev/null: %d", (int)status);
    stands(trainer, rank, 2, "after a save that failed");
    return DS_OK;
}

int main(int argc, char **argv)
{
    ds_world *world = NULL;
    if (ds_session_begin(&argc, &argv) != DS_OK || ds_session_world(&world) != DS_OK)
        return EXIT_FAILURE;
    ds_status status = play(world, argc > 1 ? argv[1] : ".");
    if (status != DS_OK)
        fprintf(stderr, "FAILED: %s\n", ds_last_error());
    int64_t all = failures + (status != DS_OK);
    if (ds_world_sum_int(world, &all, 1) != DS_OK)
        all++;
    if (ds_world_rank(world) == 0)
        printf("%d ranks: %lld failures\n", ds_world_size(world), (long long)all);
    ds_world_destroy(&world);
    ds_session_end();
    return all != 0;
}
