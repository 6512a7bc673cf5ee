/* Training with replicas against the textbook: a double-precision MLP trained by plain loops, with
 * local SGD (Stich, ICLR 2019), post-local SGD (Lin et al., ICLR 2020) and DiLoCo (Douillard et
 * al. 2023, outer step as torch.optim.SGD(nesterov=True)) written down as the papers have them.
 * And the promise: with the number of replicas fixed, this many ranks give the bits of one rank.
 * Run it by mpiexec on 1 to 4 ranks. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descent/descent.h"
#include "descent/plan.h"
#include "descent/session.h"
#include "descent/trainer.h"

enum { IN = 6, HID = 9, OUT = 3, MAX_N = 16, MAX_R = 7, STEPS = 23 };
enum { W1 = 0, B1 = HID * IN, W2 = B1 + HID, B2 = W2 + OUT * HID, N_P = B2 + OUT };

static int failures;
static void expect(bool good, const char *what, const char *where)
{
    if (!good && failures++ < 10)
        fprintf(stderr, "FAILED: %s (%s); last error: %s\n", what, where, ds_last_error());
}

typedef struct way {
    const char *strategy, *optimizer, *state, *transport;
    int R, V, H, after;
    double clip;
    bool gaps; /* every fourth batch is too small for all replicas */
} way;

static const way methods[] = {
    {"local-sgd", "sgd", "keep", "auto", 4, 8, 4, 0, 0, true},
    {"local-sgd", "sgd", "keep", "direct", 7, 7, 5, 0, 0, true},
    {"local-sgd", "momentum", "keep", "auto", 4, 7, 4, 0, 0, true},
    {"local-sgd", "momentum", "average", "direct", 4, 7, 4, 0, 0, false},
    {"local-sgd", "momentum", "reset", "auto", 4, 9, 4, 0, 0.05, false},
    {"local-sgd", "adam", "average", "auto", 4, 8, 4, 0, 0, false},
    {"local-sgd", "adam", "reset", "auto", 5, 11, 3, 0, 0, false},
    {"post-local", "adam", "keep", "auto", 4, 7, 4, 6, 0, false},
    {"post-local", "adam", "reset", "direct", 4, 8, 4, 6, 0.1, false},
    {"post-local", "sgd", "keep", "auto", 4, 8, 4, 100, 0, true},
    {"diloco", "adam", "keep", "auto", 4, 7, 5, 0, 0, false},
    {"diloco", "sgd", "average", "direct", 4, 8, 5, 0, 0.1, true},
    {"diloco", "momentum", "reset", "auto", 6, 7, 5, 0, 0, false},
    {"exact", "adam", "", "auto", 4, 7, 1, 100, 0.1, true},
};

/* Optimizers that the textbook here does not know: the bits of one rank alone. */
static const way others[] = {
    {"local-sgd", "adamw", "average", "direct", 4, 7, 4, 0, 0.1, true},
    {"local-sgd", "lamb", "keep", "auto", 5, 7, 4, 0, 0, true},
    {"post-local", "muon", "keep", "direct", 4, 7, 3, 5, 0, false},
    {"diloco", "lars", "reset", "auto", 4, 8, 5, 0, 0, false},
};

static const double RATE = 0.05, OUTER_RATE = 0.7, OUTER_MOMENTUM = 0.9;

/* Samples of step t: three noisy centres. */
static size_t batch(const way *m, int t, float *x, int32_t *label)
{
    unsigned state = 12345u + 977u * (unsigned)t;
    for (int i = 0; i < MAX_N; i++) {
        label[i] = (i * 7 + t) % OUT;
        for (int j = 0; j < IN; j++) {
            state = state * 1664525u + 1013904223u;
            x[i * IN + j] =
                (float)((j * 5 + label[i] * 3) % 7) / 4 - 1 + (float)(state >> 8) / 16777216.0f;
        }
    }
    return m->gaps && t % 4 == 2 ? 3 : 13;
}

/* Mean gradient over samples [from, to); the sum of losses. tanh, then softmax and cross entropy.
 */
static double gradient(const double *p, const float *x, const int32_t *label, size_t from,
                       size_t to, double *g)
{
    double loss = 0;
    memset(g, 0, N_P * sizeof *g);
    for (size_t i = from; i < to; i++) {
        double h[HID], y[OUT], d[OUT], sum = 0, share = 1.0 / (double)(to - from);
        for (int a = 0; a < HID; a++) {
            double z = p[B1 + a];
            for (int j = 0; j < IN; j++)
                z += p[W1 + a * IN + j] * (double)x[i * IN + (size_t)j];
            h[a] = tanh(z);
        }
        for (int o = 0; o < OUT; o++) {
            y[o] = p[B2 + o];
            for (int a = 0; a < HID; a++)
                y[o] += p[W2 + o * HID + a] * h[a];
            sum += exp(y[o]);
        }
        loss += log(sum) - y[label[i]];
        for (int o = 0; o < OUT; o++) {
            d[o] = (exp(y[o]) / sum - (o == label[i])) * share;
            g[B2 + o] += d[o];
            for (int a = 0; a < HID; a++)
                g[W2 + o * HID + a] += d[o] * h[a];
        }
        for (int a = 0; a < HID; a++) {
            double e = 0;
            for (int o = 0; o < OUT; o++)
                e += d[o] * p[W2 + o * HID + a];
            e *= 1 - h[a] * h[a];
            g[B1 + a] += e;
            for (int j = 0; j < IN; j++)
                g[W1 + a * IN + j] += e * (double)x[i * IN + (size_t)j];
        }
    }
    return loss;
}

typedef struct learner {
    double p[N_P], m[N_P], v[N_P];
} learner;

static void update(learner *l, const way *m, const double *g, int t)
{
    double norm = 0, factor = 1;
    for (int i = 0; i < N_P; i++)
        norm += g[i] * g[i];
    norm = sqrt(norm);
    if (m->clip > 0 && m->clip / (norm + 1e-6) < 1)
        factor = m->clip / (norm + 1e-6);
    for (int i = 0; i < N_P; i++) {
        double d = g[i] * factor;
        if (strcmp(m->optimizer, "sgd") == 0) {
            l->p[i] -= RATE * d;
        } else if (strcmp(m->optimizer, "momentum") == 0) {
            l->m[i] = 0.9 * l->m[i] + d;
            l->p[i] -= RATE * l->m[i];
        } else {
            l->m[i] = 0.9 * l->m[i] + 0.1 * d;
            l->v[i] = 0.999 * l->v[i] + 0.001 * d * d;
            double mean = l->m[i] / (1 - pow(0.9, t)), square = l->v[i] / (1 - pow(0.999, t));
            l->p[i] -= RATE * mean / (sqrt(square) + 1e-4);
        }
    }
}

typedef struct textbook {
    learner own[MAX_R];
    double theta[N_P], outer[N_P];
    int since; /* updates of the inner state since it was reset */
} textbook;

static void share(const way *m, int i, size_t n, size_t *from, size_t *to)
{
    size_t lo = (size_t)((i * m->V + m->R - 1) / m->R);
    size_t hi = (size_t)(((i + 1) * m->V + m->R - 1) / m->R);
    *from = lo * n / (size_t)m->V;
    *to = hi * n / (size_t)m->V;
}

static void meet(textbook *b, const way *m)
{
    bool average = strcmp(m->state, "average") == 0, reset = strcmp(m->state, "reset") == 0;
    for (int k = 0; k < N_P; k++) {
        double p = 0, first = 0, second = 0;
        for (int i = 0; i < m->R; i++) {
            p += b->own[i].p[k] / m->R;
            first += b->own[i].m[k] / m->R;
            second += b->own[i].v[k] / m->R;
        }
        if (strcmp(m->strategy, "diloco") == 0) {
            double g = b->theta[k] - p;
            b->outer[k] = OUTER_MOMENTUM * b->outer[k] + g;
            b->theta[k] -= OUTER_RATE * (g + OUTER_MOMENTUM * b->outer[k]);
        } else {
            b->theta[k] = p;
        }
        for (int i = 0; i < m->R; i++) {
            b->own[i].p[k] = b->theta[k];
            b->own[i].m[k] = reset ? 0 : average ? first : b->own[i].m[k];
            b->own[i].v[k] = reset ? 0 : average ? second : b->own[i].v[k];
        }
    }
    b->since = reset ? 0 : b->since;
}

static double textbook_step(textbook *b, const way *m, int t)
{
    float x[MAX_N * IN];
    int32_t label[MAX_N];
    size_t n = batch(m, t, x, label), from, to;
    double g[N_P], loss = 0;
    b->since++;
    bool together = t < m->after;
    if (together) {
        loss = gradient(b->theta, x, label, 0, n, g);
        update(&b->own[0], m, g, t + 1);
        for (int i = 1; i < m->R; i++)
            b->own[i] = b->own[0];
        memcpy(b->theta, b->own[0].p, sizeof b->theta);
    }
    for (int i = 0; i < m->R && !together; i++) {
        share(m, i, n, &from, &to);
        if (from == to)
            continue;
        loss += gradient(b->own[i].p, x, label, from, to, g);
        update(&b->own[i], m, g, b->since);
    }
    if (!together && ((t + 1 - m->after) % m->H == 0 || t + 1 == STEPS))
        meet(b, m);
    return loss / (double)n;
}

static const char config[] = "name: local\n"
                             "model:\n"
                             "  input: [6]\n"
                             "  layers:\n"
                             "    - dense: {units: 9, activation: tanh}\n"
                             "    - dense: {units: 3}\n"
                             "loss: cross_entropy\n"
                             "lr: constant\n"
                             "train: {max_steps: 23}\n";

static ds_status open_trainer(ds_world *world, const way *m, ds_trainer **out)
{
    char set[8][96];
    const char *list[8];
    size_t n = 0;
    snprintf(set[n++], 96, "batch={size: 16, shards: %d}", m->V);
    snprintf(set[n++], 96, "optimizer={name: %s, lr: 0.05, clip_norm: %g%s}", m->optimizer, m->clip,
             strcmp(m->optimizer, "adam") == 0 ? ", eps: 0.0001" : "");
    snprintf(set[n++], 96, "sync.strategy=%s", m->strategy);
    snprintf(set[n++], 96, "sync.transport=%s",
             ds_world_size(world) > 1 || strcmp(m->transport, "direct") == 0 ? m->transport
                                                                             : "auto");
    snprintf(set[n++], 96, "sync.replicas=%d", m->R);
    if (strcmp(m->strategy, "exact") != 0) {
        snprintf(set[n++], 96, "sync.local_steps=%d", m->H);
        snprintf(set[n++], 96, "sync.optimizer_state=%s", m->state);
    }
    if (strcmp(m->strategy, "post-local") == 0)
        snprintf(set[n++], 96, "sync.local_after=%d", m->after);
    if (strcmp(m->strategy, "diloco") == 0)
        snprintf(set[n++], 96, "sync.compress=none");
    for (size_t i = 0; i < n; i++)
        list[i] = set[i];
    const ds_trainer_spec spec = {.config = config, .n_set = n, .set = list};
    return ds_trainer_open(world, &spec, out);
}

static void read_params(const ds_trainer *trainer, float *flat)
{
    const ds_layout *layout = ds_model_layout(ds_trainer_model(trainer));
    for (size_t p = 0; p < layout->n_params; p++) {
        ds_param_export(&layout->param[p], ds_trainer_params(trainer), flat);
        flat += ds_shape_elements(&layout->param[p].shape);
    }
}

static ds_status train(ds_trainer *trainer, const way *m, textbook *b, double *worst_loss)
{
    for (int t = 0; t < STEPS; t++) {
        float x[MAX_N * IN];
        int32_t label[MAX_N];
        size_t n = batch(m, t, x, label);
        ds_outcome outcome;
        DS_TRY(ds_trainer_step_on(trainer, n, x, label, NULL, &outcome));
        if (b == NULL)
            continue;
        double off = fabs(textbook_step(b, m, t) - outcome.loss);
        *worst_loss = off > *worst_loss ? off : *worst_loss;
    }
    return DS_OK;
}

/* How far the run's parameters are from the textbook's. */
static double distance(const ds_trainer *trainer, const double *theta)
{
    float p[N_P];
    double error = 0, size = 0;
    read_params(trainer, p);
    for (int k = 0; k < N_P; k++) {
        double d = (double)p[k] - theta[k];
        error += d * d;
        size += theta[k] * theta[k];
    }
    return sqrt(error / size);
}

static void begin(textbook *b, const ds_trainer *trainer, const way *m)
{
    float p[N_P];
    read_params(trainer, p);
    memset(b, 0, sizeof *b);
    for (int k = 0; k < N_P; k++) {
        b->theta[k] = (double)p[k];
        for (int i = 0; i < m->R; i++)
            b->own[i].p[k] = (double)p[k];
    }
}

static uint64_t hash_of(const ds_trainer *trainer)
{
    uint64_t hash = 0;
    expect(ds_trainer_hash(trainer, &hash) == DS_OK, "hash", "");
    return hash;
}

/* One method on all ranks, on this rank alone, and by the textbook if it is one of its. */
static void run(ds_world *world, ds_world *self, const way *m, bool known)
{
    char where[128];
    static textbook b;
    snprintf(where, sizeof where, "%s, %s, state %s, %s, R %d, V %d, H %d, after %d, clip %g",
             m->strategy, m->optimizer, m->state, m->transport, m->R, m->V, m->H, m->after,
             m->clip);
    ds_auto(ds_trainer) together = NULL;
    ds_auto(ds_trainer) alone = NULL;
    if (open_trainer(world, m, &together) != DS_OK || open_trainer(self, m, &alone) != DS_OK) {
        expect(false, "open", where);
        return;
    }
    double loss = 0, error = 0;
    begin(&b, together, m);
    expect(train(together, m, known ? &b : NULL, &loss) == DS_OK, "train", where);
    expect(train(alone, m, NULL, NULL) == DS_OK, "train alone", where);
    if (known)
        error = distance(together, b.theta);
    uint64_t hash = hash_of(together), other = hash_of(alone);
    if (ds_world_rank(world) == 0)
        printf("%s: %.2g from the textbook, losses %.2g, hash %016llx, alone %016llx\n", where,
               error, loss, (unsigned long long)hash, (unsigned long long)other);
    expect(error < 1e-5 && loss < 1e-5, "textbook", where);
    expect(hash == other, "same bits as alone", where);
}

/* Two runs that must come to the same: to the bit, or within `bound` of each other. */
static void same(ds_world *world, const way *a, const way *b, double bound)
{
    ds_auto(ds_trainer) one = NULL;
    ds_auto(ds_trainer) two = NULL;
    if (open_trainer(world, a, &one) != DS_OK || open_trainer(world, b, &two) != DS_OK) {
        expect(false, "open", a->strategy);
        return;
    }
    float p[N_P];
    double theta[N_P];
    expect(train(one, a, NULL, NULL) == DS_OK, "train", a->strategy);
    expect(train(two, b, NULL, NULL) == DS_OK, "train", b->strategy);
    read_params(two, p);
    for (int k = 0; k < N_P; k++)
        theta[k] = (double)p[k];
    double off = distance(one, theta);
    if (ds_world_rank(world) == 0)
        printf("%s and %s with %s, R %d, H %d: %.2g apart, at most %g\n", a->strategy, b->strategy,
               a->optimizer, a->R, a->H, off, bound);
    expect(off <= bound, "the same", a->strategy);
    expect(bound > 0 || hash_of(one) == hash_of(two), "the same bits", a->strategy);
}

/* Before local_after post-local is exact; one replica that meets itself has nothing to average. */
static void equalities(ds_world *world)
{
    const way exact = {"exact", "adam", "", "auto", 4, 7, 1, 0, 0.1, true};
    const way post = {"post-local", "adam", "keep", "auto", 4, 7, 3, STEPS, 0.1, true};
    same(world, &post, &exact, 0);
    const way plain = {"exact", "sgd", "", "auto", 1, 7, 1, 0, 0, true};
    const way one = {"local-sgd", "sgd", "keep", "auto", 1, 7, 1, 0, 0, true};
    if (ds_world_size(world) == 1)
        same(world, &one, &plain, 1e-6);
}

int main(int argc, char **argv)
{
    ds_world *world = NULL, *self = NULL;
    if (ds_session_begin(&argc, &argv) != DS_OK || ds_session_world(&world) != DS_OK ||
        ds_world_self(&self) != DS_OK)
        return EXIT_FAILURE;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        run(world, self, &methods[i], true);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        run(world, self, &others[i], false);
    equalities(world);
    int64_t all = failures;
    if (ds_world_sum_int(world, &all, 1) != DS_OK)
        all++;
    if (ds_world_rank(world) == 0)
        printf("%d ranks: %zu methods, %lld failures\n", ds_world_size(world),
               sizeof methods / sizeof *methods, (long long)all);
    ds_world_destroy(&self);
    ds_world_destroy(&world);
    ds_session_end();
    return all != 0;
}
