/* Every optimizer of the table: its slices, its bits, its slots; and PyTorch's numbers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "descent/optim.h"
#include "descent/rng.h"

#include "../golden/golden.h"
#include "with_options.h"

/* The same sources, compiled otherwise (meson.build): scalar, and avx2 with fma allowed. */
const ds_optim_ops *ds_scalar_optim_at(size_t i);
const ds_optim_ops *ds_avx2_optim_at(size_t i);

enum { N = 1037, STEPS = 20, WIDTH = 37, ROOM = 64 };

typedef struct state {
    float w[N], slot[DS_OPTIM_MAX_SLOTS][N];
} state;

static double options_room[ROOM];
static float scratch[1 << 14];
static ds_arena *arena;

static void set_up(void)
{
    ck_assert_int_eq(ds_arena_create("test", &arena), DS_OK);
}

static void tear_down(void)
{
    ds_arena_destroy(&arena);
}

static const void *options_of(const ds_optim_ops *o, const char *text)
{
    ck_assert_uint_le(o->options_size, sizeof options_room);
    ck_assert_msg(with_options(o->options, text, arena, options_room) == DS_OK, "%s: %s", o->name,
                  ds_last_error());
    if (o->check)
        ck_assert_int_eq(o->check(options_room), DS_OK);
    return options_room;
}

static void fill(float *x, size_t n, const char *purpose, uint64_t from)
{
    const ds_rng rng = ds_rng_for(1, purpose);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)ds_rng_normal(&rng, from + i);
}

/* What reach TENSOR adds to an update. */
static void see_matrix(const ds_optim_ops *o, const void *options, const ds_matrix *m, ds_update *u)
{
    u->matrix = *m;
    u->kernels = ds_kernels_find("auto");
    u->scratch = scratch;
    if (o->scratch)
        ck_assert_uint_le(o->scratch(options, m), sizeof scratch / sizeof *scratch);
}

/* Three updates, each in slices that start at cut[0..n_cuts]. */
static void run(const ds_optim_ops *o, const void *options, size_t n_cuts, const size_t *cut,
                state *s)
{
    static float g[N];
    fill(s->w, N, "w", 0);
    memset(s->slot, 0, sizeof s->slot);
    for (int64_t t = 1; t <= 3; t++) {
        fill(g, N, "g", (uint64_t)t * N);
        for (size_t c = 0; c < n_cuts; c++) {
            ds_update u = {.n = cut[c + 1] - cut[c], .w = s->w + cut[c], .g = g + cut[c]};
            for (size_t k = 0; k < o->n_slots; k++)
                u.slot[k] = s->slot[k] + cut[c];
            u.scale = 1.0f / 3.0f;
            u.lr = 0.01;
            u.t = t;
            see_matrix(o, options, &(ds_matrix){17, 61, 61, true, 2}, &u);
            o->step(options, &u);
        }
    }
}

static const size_t whole[] = {0, N};

START_TEST(slices_make_the_whole)
{
    static const size_t cuts[][8] = {
        {0, 1, N}, {0, 16, 64, N}, {0, 3, 20, 37, 500, 501, N}, {0, 0, 512, N}};
    static const size_t n_cuts[] = {2, 3, 6, 3};
    static state a, b;
    const ds_optim_ops *o = ds_optim_at((size_t)_i);
    if (o->reach != DS_REACH_ELEMENT)
        return;
    const void *options = options_of(o, "weight_decay=0.1");
    run(o, options, 1, whole, &a);
    for (size_t k = 0; k < 4; k++) {
        run(o, options, n_cuts[k], cuts[k], &b);
        ck_assert_msg(memcmp(&a, &b, sizeof a) == 0, "%s: cut %zu changes bits", o->name, k);
    }
    printf("# %s: 4 ways to cut %d elements, same bits\n", o->name, N);
}
END_TEST

START_TEST(instruction_sets_agree)
{
    static state a, b;
    const ds_optim_ops *o = ds_optim_at((size_t)_i), *p = ds_scalar_optim_at((size_t)_i);
    ck_assert_str_eq(o->name, p->name);
    if (o->reach == DS_REACH_MODEL)
        return;
    const void *options = options_of(o, "weight_decay=0.1");
    run(o, options, 1, whole, &a);
    run(p, options, 1, whole, &b);
    ck_assert_msg(memcmp(&a, &b, sizeof a) == 0, "%s: scalar code gives other bits", o->name);
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        run(ds_avx2_optim_at((size_t)_i), options, 1, whole, &b);
        ck_assert_msg(memcmp(&a, &b, sizeof a) == 0, "%s: avx2 gives other bits", o->name);
    }
    printf("# %s: same bits by clone, scalar and avx2 code\n", o->name);
}
END_TEST

START_TEST(slots_have_names)
{
    const ds_optim_ops *o = ds_optim_at((size_t)_i);
    ck_assert_uint_le(o->n_slots, DS_OPTIM_MAX_SLOTS);
    for (size_t k = 0; k < DS_OPTIM_MAX_SLOTS; k++) {
        ck_assert_int_eq(o->slot_name[k] != NULL, k < o->n_slots);
        for (size_t j = 0; j < k && k < o->n_slots; j++)
            ck_assert_str_ne(o->slot_name[k], o->slot_name[j]);
    }
    ck_assert_ptr_eq(ds_optim_find(o->name), o);
    ck_assert(o->help && o->help[0]);
    printf("# %s: %zu slots\n", o->name, o->n_slots);
}
END_TEST

/* Padding has weight 0 and gradient 0 for ever. */
START_TEST(nothing_stays_nothing)
{
    const ds_optim_ops *o = ds_optim_at((size_t)_i);
    if (o->reach == DS_REACH_MODEL)
        return;
    float w[5] = {0}, g[5] = {0}, slot[DS_OPTIM_MAX_SLOTS][5] = {{0}};
    ds_update u = {.n = 5, .w = w, .g = g, .scale = 1, .lr = 0.1};
    for (size_t k = 0; k < o->n_slots; k++)
        u.slot[k] = slot[k];
    const void *options = options_of(o, "weight_decay=0.1");
    for (size_t dims = 1; dims <= 2; dims++) {
        see_matrix(o, options, &(ds_matrix){1, 5, 5, false, dims}, &u);
        for (u.t = 1; u.t <= 5; u.t++)
            o->step(options, &u);
        for (size_t i = 0; i < 5; i++)
            ck_assert_msg(w[i] == 0, "%s: a weight of 0 became %g", o->name, (double)w[i]);
    }
}
END_TEST

/* The cases of make_golden.py. */
static const struct {
    const char *name, *optimizer, *options;
    double lr;
} golden[] = {
    {"sgd", "sgd", "", 0.1},
    {"sgd_decay", "sgd", "weight_decay=0.05", 0.1},
    {"momentum", "momentum", "", 0.05},
    {"momentum_decay", "momentum", "momentum=0.8 weight_decay=0.02", 0.05},
    {"momentum_decay", "kfac", "momentum=0.8 weight_decay=0.02",
     0.05}, /* a tensor without factors */
    {"momentum_dampened", "momentum", "dampening=0.3", 0.05},
    {"momentum_0_dampened", "momentum", "momentum=0 dampening=0.3 weight_decay=0.02", 0.05},
    {"nesterov", "nesterov", "", 0.05},
    {"nesterov_decay", "nesterov", "momentum=0.8 weight_decay=0.02", 0.05},
    {"adam", "adam", "", 0.01},
    {"adam_decay", "adam", "weight_decay=0.1", 0.01},
    {"adam_betas", "adam", "betas=0.8,0.95 eps=1e-4", 0.02},
    {"adam_betas", "adam", "beta1=0.8 beta2=0.95 eps=1e-4", 0.02},
    {"adamw", "adamw", "", 0.01},
    {"adamw_decay", "adamw", "weight_decay=0.3", 0.01},
    {"rmsprop", "rmsprop", "", 0.01},
    {"rmsprop_decay", "rmsprop", "alpha=0.9 eps=1e-5 weight_decay=0.1", 0.01},
    {"rmsprop_momentum", "rmsprop", "momentum=0.8", 0.01},
    {"rmsprop_centered", "rmsprop", "centered=true", 0.01},
    {"rmsprop_all", "rmsprop", "alpha=0.95 momentum=0.9 centered=true weight_decay=0.05", 0.01},
    {"adagrad", "adagrad", "", 0.05},
    {"adagrad_all", "adagrad", "lr_decay=0.1 initial=0.2 weight_decay=0.1", 0.05},
};

/* Its cases from the papers' formulas, in double; `what` is a vector or a matrix (out, in). */
static const struct {
    const char *name, *optimizer, *options;
    double lr;
    const char *what;
} formula[] = {
    {"lion", "lion", "", 1e-3, "vector"},
    {"lion_decay", "lion", "betas=0.8,0.9 weight_decay=0.5", 3e-3, "vector"},
    {"lars", "lars", "", 0.1, "vector"},
    {"lars", "lars", "", 0.1, "tall"},
    {"lars", "lars", "", 0.1, "wide"},
    {"lars_all", "lars", "momentum=0.5 trust=0.01 weight_decay=0.1 adapt_bias=true", 2, "vector"},
    {"lars_all", "lars", "momentum=0.5 trust=0.01 weight_decay=0.1 adapt_bias=true", 2, "tall"},
    {"lamb", "lamb", "", 0.01, "vector"},
    {"lamb", "lamb", "", 0.01, "tall"},
    {"lamb", "lamb", "", 0.01, "wide"},
    {"lamb_all", "lamb", "betas=0.8,0.95 eps=1e-4 weight_decay=0", 0.03, "tall"},
    {"muon", "muon", "", 0.02, "vector"},
    {"muon", "muon", "", 0.02, "tall"},
    {"muon", "muon", "", 0.02, "wide"},
    {"muon_all", "muon", "momentum=0.8 nesterov=false weight_decay=0.2", 0.05, "vector"},
    {"muon_all", "muon", "momentum=0.8 nesterov=false weight_decay=0.2", 0.05, "tall"},
    {"muon_all", "muon", "momentum=0.8 nesterov=false weight_decay=0.2", 0.05, "wide"},
};

START_TEST(has_a_golden_case)
{
    const ds_optim_ops *o = ds_optim_at((size_t)_i);
    size_t n = 0;
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++)
        n += strcmp(golden[i].optimizer, o->name) == 0;
    for (size_t i = 0; i < sizeof formula / sizeof *formula; i++)
        n += strcmp(formula[i].optimizer, o->name) == 0;
    ck_assert_int_eq(o->step != NULL, o->reach != DS_REACH_MODEL);
    ck_assert_int_eq(o->drive != NULL, o->reach == DS_REACH_MODEL); /* judged in test_drive.c */
    ck_assert_msg(n > 0 || o->drive, "%s has no golden case", o->name);
}
END_TEST

enum { MOST = 12 * 16 };

/* Numbers (out, in) of the file to where the matrix has them, times factor; and back. */
static void lay(const ds_matrix *m, const double *x, float factor, float *flat)
{
    size_t in = m->transposed ? m->rows : m->cols;
    for (size_t r = 0; r < m->rows; r++)
        for (size_t c = 0; c < m->cols; c++)
            flat[r * m->stride + c] = factor * (float)x[m->transposed ? c * in + r : r * in + c];
}

static double off_from(const ds_matrix *m, const float *flat, const double *want)
{
    size_t in = m->transposed ? m->rows : m->cols;
    float got[MOST];
    for (size_t r = 0; r < m->rows; r++)
        for (size_t c = 0; c < m->cols; c++)
            got[m->transposed ? c * in + r : r * in + c] = flat[r * m->stride + c];
    for (size_t r = 0; r < m->rows; r++)
        for (size_t c = m->cols; c < m->stride; c++)
            ck_assert_msg(flat[r * m->stride + c] == 0, "padding moved");
    return golden_distance(m->rows * m->cols, got, want);
}

static size_t read_matrix(const char *prefix, const char *what, int64_t t, double *x)
{
    char name[128];
    if (t == 0)
        snprintf(name, sizeof name, "%s%s", prefix, what);
    else
        snprintf(name, sizeof name, "%s%s/%d", prefix, what, (int)t);
    return golden_read(GOLDEN "/optim.txt", name, MOST, x);
}

static void follow(size_t c, const ds_matrix *m)
{
    const ds_optim_ops *o = ds_optim_find(formula[c].optimizer);
    const void *options = options_of(o, formula[c].options);
    const char *prefix = m->dims < 2 ? "" : "matrix/";
    static float w[MOST], g[MOST], slot[DS_OPTIM_MAX_SLOTS][MOST];
    double x[MOST];
    memset(w, 0, sizeof w);
    memset(g, 0, sizeof g);
    memset(slot, 0, sizeof slot);
    ck_assert_uint_eq(read_matrix(prefix, "start", 0, x), m->rows * m->cols);
    lay(m, x, 1, w);
    ds_update u = {.n = m->rows * m->stride, .w = w, .g = g, .scale = 0.25f, .lr = formula[c].lr};
    for (size_t k = 0; k < o->n_slots; k++)
        u.slot[k] = o->uses == NULL || o->uses(options, k, m) ? slot[k] : NULL;
    see_matrix(o, options, m, &u);
    int judged = 0;
    double most = 0;
    for (u.t = 1; u.t <= STEPS; u.t++) {
        ck_assert_uint_eq(read_matrix(prefix, "gradient", u.t, x), m->rows * m->cols);
        lay(m, x, 4, g);
        o->step(options, &u);
        char name[64];
        snprintf(name, sizeof name, "%s/%s", formula[c].name, formula[c].what);
        if (read_matrix("", name, u.t, x) == 0)
            continue;
        const double off = off_from(m, w, x);
        most = off > most ? off : most;
        judged++;
    }
    printf("# %s, %s, lies (%zu, %zu): off by %.2g from the formula (at most 1e-5)\n",
           formula[c].name, formula[c].what, m->rows, m->cols, most);
    ck_assert(judged == 3 && most <= 1e-5);
}

START_TEST(as_the_formula)
{
    const char *what = formula[_i].what;
    if (strcmp(what, "vector") == 0) {
        follow((size_t)_i, &(ds_matrix){1, WIDTH, 48, false, 1});
        return;
    }
    const bool tall = strcmp(what, "tall") == 0;
    const size_t out = tall ? 12 : 7, in = tall ? 7 : 12;
    follow((size_t)_i, &(ds_matrix){out, in, 16, false, 2});
    follow((size_t)_i, &(ds_matrix){in, out, 16, true, 2});
}
END_TEST

/* muon's direction has singular values near 1: 0.68 to 1.13 by the paper's figure. */
START_TEST(muon_is_orthogonal)
{
    enum { ROWS = 5, COLS = 48 };
    float w[ROWS * COLS] = {0}, g[ROWS * COLS], b[ROWS * COLS] = {0};
    const ds_optim_ops *o = ds_optim_find("muon");
    const void *options = options_of(o, "");
    ds_update u = {.n = ROWS * COLS, .w = w, .g = g, .slot = {b}, .scale = 1, .lr = 1, .t = 1};
    see_matrix(o, options, &(ds_matrix){ROWS, COLS, COLS, false, 2}, &u);
    fill(g, ROWS * COLS, "orthogonal", 0);
    o->step(options, &u);
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j <= i; j++) {
            double dot = 0;
            for (size_t k = 0; k < COLS; k++)
                dot += (double)w[i * COLS + k] * (double)w[j * COLS + k];
            printf("# row %zu by row %zu: %.3f\n", i, j, dot);
            ck_assert(i == j ? dot > 0.4 && dot < 1.5 : fabs(dot) < 0.3);
        }
}
END_TEST

/* Gradients come as sums of 4 samples. */
START_TEST(as_pytorch)
{
    const ds_optim_ops *o = ds_optim_find(golden[_i].optimizer);
    ck_assert_ptr_nonnull(o);
    const void *options = options_of(o, golden[_i].options);
    double x[WIDTH];
    float w[WIDTH], g[WIDTH], slot[DS_OPTIM_MAX_SLOTS][WIDTH] = {{0}};
    ck_assert_uint_eq(golden_read(GOLDEN "/optim.txt", "start", WIDTH, x), WIDTH);
    for (size_t i = 0; i < WIDTH; i++)
        w[i] = (float)x[i];
    ds_update u = {.n = WIDTH, .w = w, .g = g, .scale = 0.25f, .lr = golden[_i].lr};
    for (size_t k = 0; k < o->n_slots; k++)
        u.slot[k] = slot[k];
    u.scratch = scratch;
    int judged = 0;
    for (u.t = 1; u.t <= STEPS; u.t++) {
        char name[64];
        snprintf(name, sizeof name, "gradient/%d", (int)u.t);
        ck_assert_uint_eq(golden_read(GOLDEN "/optim.txt", name, WIDTH, x), WIDTH);
        for (size_t i = 0; i < WIDTH; i++)
            g[i] = 4 * (float)x[i];
        o->step(options, &u);
        snprintf(name, sizeof name, "%s/%d", golden[_i].name, (int)u.t);
        if (golden_read(GOLDEN "/optim.txt", name, WIDTH, x) == 0)
            continue;
        const double off = golden_distance(WIDTH, w, x);
        printf("# %s: off by %.2g from PyTorch (at most 1e-6)\n", name, off);
        ck_assert(off <= 1e-6);
        judged++;
    }
    ck_assert_int_eq(judged, 3);
}
END_TEST

START_TEST(impossible_options)
{
    static const char *const wrong[][2] = {
        {"adam", "betas=0.9,1"},      {"adam", "betas=0.9,0.99,0.999"},
        {"adamw", "betas=0.9"},       {"adamw", "betas=0.9,x"},
        {"adam", "beta1=1"},          {"adam", "eps=0"},
        {"sgd", "weight_decay=-0.1"}, {"momentum", "momentum=1.5"},
        {"sgd", "momentum=0.9"},      {"rmsprop", "alpha=1"},
        {"lion", "betas=0.9"},        {"lars", "trust=0"},
        {"muon", "newton_schulz=0"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const ds_optim_ops *o = ds_optim_find(wrong[i][0]);
        ds_status status = with_options(o->options, wrong[i][1], arena, options_room);
        if (status == DS_OK && o->check)
            status = o->check(options_room);
        ck_assert_msg(status == DS_ERR_USAGE, "%s took %s", wrong[i][0], wrong[i][1]);
        printf("# %s\n", ds_last_error());
    }
}
END_TEST

int main(void)
{
    int n = 0;
    while (ds_optim_at((size_t)n))
        n++;
    printf("# %d optimizers\n", n);
    if (n == 0)
        return EXIT_FAILURE;
    Suite *s = suite_create("optim");
    TCase *t = tcase_create("every optimizer");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, slices_make_the_whole, 0, n);
    tcase_add_loop_test(t, instruction_sets_agree, 0, n);
    tcase_add_loop_test(t, slots_have_names, 0, n);
    tcase_add_loop_test(t, nothing_stays_nothing, 0, n);
    tcase_add_loop_test(t, has_a_golden_case, 0, n);
    tcase_add_loop_test(t, as_pytorch, 0, (int)(sizeof golden / sizeof *golden));
    tcase_add_loop_test(t, as_the_formula, 0, (int)(sizeof formula / sizeof *formula));
    tcase_add_test(t, muon_is_orthogonal);
    tcase_add_test(t, impossible_options);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_tap(r, "-");
    srunner_run_all(r, CK_SILENT);
    int bad = srunner_ntests_failed(r);
    srunner_free(r);
    return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
