/* descent in a C program: fit y = sin(x) inside our own communicator, from samples in memory.
 *   cc embed.c $(pkg-config --cflags --libs descent) -lm -o embed && mpirun -n 2 ./embed */
#include <descent/descent.h>
#include <math.h>
#include <stdio.h>

enum { SAMPLES = 512 };
static float x[SAMPLES], y[SAMPLES];

static const char config[] = "name: sine\n"
                             "seed: 7\n"
                             "model:\n"
                             "  input: [1]\n"
                             "  layers:\n"
                             "    - dense: {units: 32, activation: tanh}\n"
                             "    - dense: {units: 1}\n"
                             "loss: mse\n"
                             "batch: {size: 64, shards: 8}\n"
                             "optimizer: {name: adam, lr: 0.01}\n"
                             "train: {epochs: 200}\n";

static ds_status train(ds_world *world, int rank)
{
    const ds_memory_data data = {.n = SAMPLES, .x = x, .value = y, .n_targets = 1};
    const ds_trainer_spec spec = {.config = config, .train = &data};
    ds_auto(ds_trainer) trainer = NULL;
    DS_TRY(ds_trainer_open(world, &spec, &trainer));
    ds_outcome outcome = {0};
    while (!ds_trainer_finished(trainer))
        DS_TRY(ds_trainer_step(trainer, &outcome));
    ds_scores scores;
    DS_TRY(ds_trainer_evaluate(trainer, "train", &scores));
    const float at[2] = {0.5f, -1.25f};
    float out[2];
    DS_TRY(ds_trainer_predict(trainer, 2, at, out));
    uint64_t hash;
    DS_TRY(ds_trainer_hash(trainer, &hash));
    if (rank == 0)
        printf("R2 %.4f, sin(0.5) = %.3f (%.3f), sin(-1.25) = %.3f (%.3f), params_hash %016llx\n",
               scores.r2, (double)out[0], sin(0.5), (double)out[1], sin(-1.25),
               (unsigned long long)hash);
    DS_CHECK(scores.r2 > 0.99, DS_NO, "R2 is %.4f, expected more than 0.99", scores.r2);
    return DS_OK;
}

int main(int argc, char **argv)
{
    int rank;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    for (int i = 0; i < SAMPLES; i++) {
        x[i] = -3.0f + 6.0f * (float)i / SAMPLES;
        y[i] = sinf(x[i]);
    }
    ds_world *world = NULL;
    ds_status status = ds_world_create(MPI_COMM_WORLD, &world);
    if (status == DS_OK)
        status = train(world, rank);
    if (status != DS_OK && rank == 0)
        fprintf(stderr, "embed: %s\n", ds_last_error());
    ds_world_destroy(&world);
    MPI_Finalize();
    return ds_exit_code(status);
}
