/* Splits and normalisation, by whatever number of ranks starts this: means and deviations as a
 * closed form says, the same bits on every rank count (rank 0 prints them; split_ranks.sh
 * compares), the validation fraction disjoint and complete. */
#include <inttypes.h>
#include <math.h>

#include "descent/hash.h"
#include "descent/session.h"

#include "datafiles.h"

enum { SAMPLES = 1000 };

static ds_world *world;
static int n_bad;

static void judge(bool good, const char *what, double found, double expected)
{
    if (!good)
        n_bad++;
    if (ds_world_rank(world) == 0)
        printf("# %s%s: %.9g, expected %.9g\n", good ? "" : "WRONG ", what, found, expected);
}

/* Column a is 0..999 (mean 499.5, deviation sqrt((1000^2 - 1) / 12)), b is 3 throughout, y = a. */
static ds_status read_table(const char *path, const char *data, ds_splits **out)
{
    char text[1024];
    ds_auto(ds_config) config = NULL;
    snprintf(text, sizeof text,
             "name: t\nseed: 4\ndata: {train: {format: csv, path: %s}, normalize: standard%s}\n"
             "model: {input: [2], layers: [dense: {units: 1}]}\nloss: mse\n"
             "batch: {size: 32, shards: 8}\noptimizer: {name: sgd, lr: 0.1}\ntrain: {epochs: 1}\n",
             path, data);
    DS_TRY(ds_config_create(text, "test", 0, NULL, &config));
    return ds_splits_read(world, config, NULL, NULL, out);
}

static void check_normalizer(const char *path)
{
    ds_auto(ds_splits) splits = NULL;
    ds_auto(ds_hash) hash = NULL;
    if (read_table(path, "", &splits) != DS_OK || ds_hash_create(&hash) != DS_OK) {
        judge(false, ds_last_error(), 0, 0);
        return;
    }
    const ds_normalizer *by = &splits->normalizer;
    double deviation = sqrt((SAMPLES * (double)SAMPLES - 1) / 12);
    judge(by->n == 2, "channels", (double)by->n, 2);
    judge((double)by->mean[0] == 499.5, "mean of a", (double)by->mean[0], 499.5);
    judge(by->std[0] == (float)deviation, "deviation of a", (double)by->std[0], deviation);
    judge(by->mean[1] == 3.0f, "mean of b", (double)by->mean[1], 3);
    judge(by->std[1] == 1.0f, "deviation of b, which is 0", (double)by->std[1], 1);
    float x[2];
    uint64_t last = SAMPLES - 1;
    ds_dataset_fetch(splits->train, by, 1, &last, x, 2, NULL, NULL);
    judge(fabs((double)x[0] - 499.5 / deviation) < 1e-6, "a, fetched", (double)x[0],
          499.5 / deviation);
    judge(x[1] == 0, "b, fetched", (double)x[1], 0);
}

static void check_cut(const char *path)
{
    ds_auto(ds_splits) splits = NULL;
    if (read_table(path, ", validation: {fraction: 0.2}", &splits) != DS_OK) {
        judge(false, ds_last_error(), 0, 0);
        return;
    }
    const ds_dataset *part[] = {splits->train, splits->validation};
    int seen[SAMPLES] = {0}, once = 0;
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < part[k]->n; i++)
            seen[(int)part[k]->values[2 * i]]++;
    for (size_t i = 0; i < SAMPLES; i++)
        once += seen[i] == 1;
    judge(part[1]->n == SAMPLES / 5, "held for validation", (double)part[1]->n, SAMPLES / 5);
    judge(once == SAMPLES, "samples in one part only", once, SAMPLES);
    double sum = 0;
    for (size_t i = 0; i < part[0]->n; i++)
        sum += (double)part[0]->values[2 * i];
    float mean = (float)(sum / (double)part[0]->n);
    judge(splits->normalizer.mean[0] == mean, "mean of the training part only",
          (double)splits->normalizer.mean[0], (double)mean);
}

/* The folds are disjoint and together all; each split has every sample once. */
static void check_folds(const char *path)
{
    int held[SAMPLES] = {0}, once = 0, least = SAMPLES, most = 0, whole = 0;
    for (int fold = 1; fold <= 7; fold++) {
        ds_auto(ds_splits) splits = NULL;
        char data[64];
        int seen[SAMPLES] = {0}, all = 0;
        snprintf(data, sizeof data, ", validation: {fold: %d, of: 7}", fold);
        if (read_table(path, data, &splits) != DS_OK) {
            judge(false, ds_last_error(), 0, 0);
            return;
        }
        const ds_dataset *train = splits->train, *validation = splits->validation;
        for (size_t i = 0; i < train->n; i++)
            seen[(int)train->values[2 * i]]++;
        for (size_t i = 0; i < validation->n; i++) {
            seen[(int)validation->values[2 * i]]++;
            held[(int)validation->values[2 * i]]++;
        }
        for (size_t i = 0; i < SAMPLES; i++)
            all += seen[i] == 1;
        whole += all == SAMPLES;
        least = (int)validation->n < least ? (int)validation->n : least;
        most = (int)validation->n > most ? (int)validation->n : most;
    }
    for (size_t i = 0; i < SAMPLES; i++)
        once += held[i] == 1;
    judge(once == SAMPLES, "samples held once in 7 folds", once, SAMPLES);
    judge(whole == 7, "folds with every sample in one part", whole, 7);
    judge(least == 142 && most == 143, "least in a fold", least, 142);
}

/* Values that do not add exactly: the bits show the order of additions. */
static void check_bits(const char *path)
{
    uint32_t bits[4];
    ds_auto(ds_splits) splits = NULL;
    if (read_table(path, "", &splits) != DS_OK) {
        judge(false, ds_last_error(), 0, 0);
        return;
    }
    memcpy(bits, splits->normalizer.mean, 8);
    memcpy(bits + 2, splits->normalizer.std, 8);
    judge(ds_world_same(world, bits, sizeof bits, "normaliser") == DS_OK, "the ranks agree", 1, 1);
    if (ds_world_rank(world) == 0)
        printf("bits %08" PRIx32 " %08" PRIx32 " %08" PRIx32 " %08" PRIx32 "\n", bits[0], bits[1],
               bits[2], bits[3]);
}

static void write_tables(const char *plain, const char *rough)
{
    FILE *a = fopen(plain, "w"), *b = fopen(rough, "w");
    fputs("a,b,y\n", a);
    fputs("a,b,y\n", b);
    for (int i = 0; i < SAMPLES; i++) {
        fprintf(a, "%d,3,%d\n", i, i);
        fprintf(b, "%.9g,%.9g,0\n", 1e3 * sin(i * 1.7), exp(sin(i * 0.3) * 9));
    }
    fclose(a);
    fclose(b);
}

int main(int argc, char **argv)
{
    char plain[96], rough[96];
    if (ds_session_begin(&argc, &argv) != DS_OK || ds_session_world(&world) != DS_OK)
        return EXIT_FAILURE;
    snprintf(plain, sizeof plain, "/tmp/descent-splits-%d-plain.csv", ds_world_size(world));
    snprintf(rough, sizeof rough, "/tmp/descent-splits-%d-rough.csv", ds_world_size(world));
    if (ds_world_rank(world) == 0)
        write_tables(plain, rough);
    if (ds_agree(world, DS_OK) != DS_OK)
        return EXIT_FAILURE;
    check_normalizer(plain);
    check_cut(plain);
    check_folds(plain);
    check_bits(rough);
    if (ds_agree(world, n_bad == 0 ? DS_OK : DS_FAIL(DS_NO, "%d wrong", n_bad)) != DS_OK)
        n_bad++;
    if (ds_world_rank(world) == 0) {
        unlink(plain);
        unlink(rough);
    }
    ds_world_destroy(&world);
    ds_session_end();
    return n_bad == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
