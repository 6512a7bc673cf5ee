/* The gradient check must pass right layers at 1e-3 and must see one tensor's gradient being 1 %
 * off, be it a large weight or a small bias; what it cannot tell it must not judge. The wrong
 * gradients come from kernels that are wrong. */
#include <math.h>

#include "model_rig.h"

static const double TOLERANCE = 1e-3;

static const struct {
    const char *what, *model, *loss;
    size_t rows;
} net[] = {
    {"tanh",
     "model: {input: [20], layers: [{dense: {units: 30, activation: tanh}}, "
     "{dense: {units: 5}}]}",
     "cross_entropy", 16},
    {"relu",
     "model: {input: [50], layers: [{dense: {units: 128, activation: relu}}, "
     "{dense: {units: 128, activation: relu}}, {dense: {units: 10}}]}",
     "cross_entropy", 32},
    {"leaky",
     "model: {input: [12], layers: [{dense: {units: 40, activation: leaky_relu}}, "
     "{dense: {units: 3}}]}",
     "mse", 16},
    {"gelu",
     "model: {input: [12], layers: [{dense: {units: 40, activation: gelu}}, "
     "{dense: {units: 40, activation: sigmoid}}, {dense: {units: 3}}]}",
     "mse", 16},
    {"softmax",
     "model: {input: [2, 3, 4], layers: [flatten, {dense: {units: 16}}, tanh, "
     "{dense: {units: 6, activation: softmax}}]}",
     "mse", 24},
    {"tied",
     "model: {input: [10], layers: [{dense: {units: 14, activation: tanh}}, {dense: {units: 10, "
     "tied: dense1, activation: tanh}}, {dense: {units: 14, tied: dense2}}]}",
     "mse", 16},
    {"one layer", "model: {input: [300], layers: [{dense: {units: 10}}]}", "cross_entropy", 64},
    {"zeros",
     "model: {input: [20], layers: [{dense: {units: 16, activation: relu, init: zeros}}, "
     "{dense: {units: 4}}]}",
     "cross_entropy", 16},
    {"large",
     "model: {input: [784], layers: [{dense: {units: 256, activation: relu}}, "
     "{dense: {units: 256, activation: relu}}, {dense: {units: 10}}]}",
     "cross_entropy", 32},
};
enum { NETS = sizeof net / sizeof *net, DIRECTIONS = 16, WIDEST = 1024 };

/* ---- kernels with a fault ------------------------------------------------------------------- */

static const ds_kernels *sound;
static size_t wrong_cols; /* a bias this wide, or a weight, is 1 % off */

static void wrong_bias_gradient(size_t rows, size_t cols, const float *dy, size_t ldy, float *dst,
                                bool add)
{
    float before[WIDEST];
    ck_assert_uint_le(cols, WIDEST);
    for (size_t j = 0; j < cols; j++)
        before[j] = add ? dst[j] : 0;
    sound->bias_gradient(rows, cols, dy, ldy, dst, add);
    for (size_t j = 0; j < cols && cols == wrong_cols; j++)
        dst[j] += 0.01f * (dst[j] - before[j]);
}

static ds_status wrong_gemm(const ds_gemm *call)
{
    size_t n = call->ta == 'T' && call->n == wrong_cols ? call->m * call->n : 0;
    float *before = calloc(n + 1, sizeof *before);
    ck_assert_ptr_nonnull(before);
    for (size_t i = 0; i < n && call->beta != 0; i++)
        before[i] = call->beta * call->c[i / call->n * call->ldc + i % call->n];
    ds_status status = sound->gemm(call);
    for (size_t i = 0; i < n; i++) {
        float *c = &call->c[i / call->n * call->ldc + i % call->n];
        *c += 0.01f * (*c - before[i]);
    }
    free(before);
    return status;
}

enum { TENSORS = 96 };
typedef struct figures {
    size_t n[3];                     /* by verdict */
    double error, difference, doubt; /* the largest */
} figures;

static figures check_shard(const model_rig *rig, ds_shard *shard)
{
    double error[TENSORS], difference[TENSORS], doubt[TENSORS];
    size_t n = ds_model_layout(rig->model)->n_params + 1;
    ds_gradcheck out = {n, error, difference, doubt};
    figures f = {.error = 0};
    ck_assert_uint_le(n, TENSORS);
    RIG_OK(ds_model_gradcheck(rig->workspace, rig->params, shard, DIRECTIONS, 3, &out));
    for (size_t i = 0; i < n; i++) {
        f.n[ds_gradcheck_judge(&out, i, TOLERANCE)]++;
        f.error = fmax(f.error, error[i]);
        f.difference = fmax(f.difference, difference[i]);
        f.doubt = fmax(f.doubt, doubt[i]);
    }
    return f;
}

static void print_figures(const char *what, const char *how, const figures *f)
{
    printf("# %s, %s: %zu agree, %zu differ, %zu undecided; largest difference %.1e, doubt %.1e, "
           "error %.1e\n",
           what, how, f->n[DS_GRADCHECK_AGREES], f->n[DS_GRADCHECK_DIFFERS],
           f->n[DS_GRADCHECK_UNDECIDED], f->difference, f->doubt, f->error);
}

/* Figures of the net's tensors and of all together, printed. loss NULL: the net's own. */
static figures gradcheck_loss(int which, const char *loss, const char *how,
                              const ds_kernels *kernels)
{
    model_rig rig;
    rig_make(&rig, net[which].model, loss != NULL ? loss : net[which].loss, net[which].rows, 1,
             kernels);
    ds_shard shard = rig_shard(&rig, 0, rig.rows);
    figures f = check_shard(&rig, &shard);
    print_figures(net[which].what, how, &f);
    rig_free(&rig);
    return f;
}

static figures gradcheck_net(int which, const char *how, const ds_kernels *kernels)
{
    return gradcheck_loss(which, NULL, how, kernels);
}

START_TEST(sound_losses_pass)
{
    const ds_loss_ops *loss = ds_loss_at((size_t)_i);
    figures f = gradcheck_loss(0, loss->name, loss->name, ds_kernels_find("auto"));
    ck_assert_uint_eq(f.n[DS_GRADCHECK_DIFFERS] + f.n[DS_GRADCHECK_UNDECIDED], 0);
}
END_TEST

START_TEST(sound_layers_pass)
{
    figures f = gradcheck_net(_i, "sound", ds_kernels_find("auto"));
    ck_assert_uint_eq(f.n[DS_GRADCHECK_DIFFERS] + f.n[DS_GRADCHECK_UNDECIDED], 0);
}
END_TEST

START_TEST(one_percent_shows)
{
    static const size_t output_width[NETS] = {5, 10, 3, 3, 6, 14, 10, 4, 10};
    sound = ds_kernels_find("auto");
    ds_kernels bias = *sound, weight = *sound;
    bias.bias_gradient = wrong_bias_gradient;
    weight.gemm = wrong_gemm;
    wrong_cols = output_width[_i];
    ck_assert_double_gt(gradcheck_net(_i, "bias 1 % off", &bias).error, 3 * TOLERANCE);
    if (strcmp(net[_i].what, "zeros") == 0)
        return; /* its last weight meets zeros: no gradient to be wrong */
    ck_assert_double_gt(gradcheck_net(_i, "weight 1 % off", &weight).error, 3 * TOLERANCE);
}
END_TEST

/* ---- small gpts: their loss bends within a hundredth of a table's size ----------------------- */

static const struct {
    int layers, width, heads, seed;
} gpt[] = {{1, 8, 1, 1}, {1, 8, 1, 2}, {1, 4, 2, 2}, {1, 16, 4, 1}, {2, 12, 3, 1}, {1, 8, 1, 3},
           {1, 8, 1, 5}, {1, 4, 1, 1}, {2, 4, 2, 5}, {3, 8, 2, 3},  {1, 32, 4, 1}};
enum { GPTS = sizeof gpt / sizeof *gpt, WRONG_GPTS = 5, CONTEXT = 9, GPT_ROWS = 16 };

static figures gradcheck_gpt(int which, const char *how, const ds_kernels *kernels)
{
    char line[256], what[64];
    int32_t label[GPT_ROWS * CONTEXT];
    model_rig rig;
    snprintf(what, sizeof what, "gpt of %d layers, width %d, heads %d, seed %d", gpt[which].layers,
             gpt[which].width, gpt[which].heads, gpt[which].seed);
    snprintf(line, sizeof line,
             "model: {preset: gpt, layers: %d, width: %d, heads: %d, context: %d, vocab: %d, tied: "
             "false}",
             gpt[which].layers, gpt[which].width, gpt[which].heads, CONTEXT, RIG_TOKENS);
    rig_make(&rig, line, "cross_entropy", GPT_ROWS, 1, kernels);
    ds_model_init(rig.model, (uint64_t)gpt[which].seed, rig.params);
    for (int i = 0; i < GPT_ROWS * CONTEXT; i++)
        label[i] = (i * i + 3 * i) % RIG_TOKENS;
    ds_shard shard = {.rows = GPT_ROWS, .targets = {.label = label}};
    figures f = check_shard(&rig, &shard);
    print_figures(what, how, &f);
    rig_free(&rig);
    return f;
}

START_TEST(sound_gpts_pass)
{
    figures f = gradcheck_gpt(_i, "sound", ds_kernels_find("auto"));
    ck_assert_uint_eq(f.n[DS_GRADCHECK_DIFFERS] + f.n[DS_GRADCHECK_UNDECIDED], 0);
}
END_TEST

START_TEST(one_percent_shows_in_gpts)
{
    sound = ds_kernels_find("auto");
    ds_kernels bias = *sound, weight = *sound;
    bias.bias_gradient = wrong_bias_gradient;
    weight.gemm = wrong_gemm;
    wrong_cols = 3 * (size_t)gpt[_i].width; /* queries, keys and values */
    figures b = gradcheck_gpt(_i, "bias 1 % off", &bias);
    ck_assert_uint_gt(b.n[DS_GRADCHECK_DIFFERS], 0);
    figures w = gradcheck_gpt(_i, "weight 1 % off", &weight);
    ck_assert_uint_gt(w.n[DS_GRADCHECK_DIFFERS], 0);
}
END_TEST

/* The bias that batchnorm takes away again: its slope is rounding, which says nothing. */
START_TEST(no_slope_is_undecided)
{
    model_rig rig;
    rig_make(&rig,
             "model: {input: [20], layers: [{dense: {units: 16}}, batchnorm, tanh, "
             "{dense: {units: 4}}]}",
             "cross_entropy", 16, 1, ds_kernels_find("auto"));
    ds_shard shard = rig_shard(&rig, 0, rig.rows);
    figures f = check_shard(&rig, &shard);
    print_figures("bias before batchnorm", "sound", &f);
    ck_assert_uint_eq(f.n[DS_GRADCHECK_DIFFERS], 0);
    ck_assert_uint_eq(f.n[DS_GRADCHECK_UNDECIDED], 1);
    ck_assert_double_gt(f.doubt, 0.3);
    rig_free(&rig);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("gradcheck");
    TCase *t = tcase_create("gradcheck");
    tcase_set_timeout(t, 100);
    int losses = 0;
    while (ds_loss_at((size_t)losses) != NULL)
        losses++;
    printf("# %d nets, %d losses\n", (int)NETS, losses);
    tcase_add_loop_test(t, sound_losses_pass, 0, losses);
    tcase_add_loop_test(t, sound_layers_pass, 0, NETS);
    tcase_add_loop_test(t, one_percent_shows, 0, NETS);
    tcase_add_loop_test(t, sound_gpts_pass, 0, GPTS);
    tcase_add_loop_test(t, one_percent_shows_in_gpts, 0, WRONG_GPTS);
    tcase_add_test(t, no_slope_is_undecided);
    suite_add_tcase(s, t);
    return rig_run(s);
}
