/* The gradient check must pass right layers at 1e-3 and must see one tensor's gradient being 1 %
 * off, be it a large weight or a small bias. The wrong gradients come from kernels that are wrong.
 */
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
enum { NETS = sizeof net / sizeof *net, DIRECTIONS = 16 };

/* ---- kernels with a fault ------------------------------------------------------------------- */

static const ds_kernels *sound;
static size_t wrong_cols; /* a bias this wide, or a weight, is 1 % off */

static void wrong_bias_gradient(size_t rows, size_t cols, const float *dy, size_t ldy, float *dst,
                                bool add)
{
    sound->bias_gradient(rows, cols, dy, ldy, dst, add);
    for (size_t j = 0; j < cols && cols == wrong_cols; j++)
        dst[j] *= 1.01f;
}

static ds_status wrong_gemm(const ds_gemm *call)
{
    DS_TRY(sound->gemm(call));
    for (size_t i = 0; i < call->m && call->ta == 'T' && call->n == wrong_cols; i++)
        for (size_t j = 0; j < call->n; j++)
            call->c[i * call->ldc + j] *= 1.01f;
    return DS_OK;
}

static double largest(const double *error, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = error[i] > most ? error[i] : most;
    return most;
}

/* Errors of the net's tensors and of all together, printed. loss NULL: the net's own. */
static double gradcheck_loss(int which, const char *loss, const char *how,
                             const ds_kernels *kernels)
{
    model_rig rig;
    rig_make(&rig, net[which].model, loss != NULL ? loss : net[which].loss, net[which].rows, 1,
             kernels);
    size_t n = ds_model_layout(rig.model)->n_params + 1;
    double error[16], most = 0;
    ds_gradcheck out = {n, error};
    ds_shard shard = rig_shard(&rig, 0, rig.rows);
    RIG_OK(ds_model_gradcheck(rig.workspace, rig.params, &shard, DIRECTIONS, 3, &out));
    most = largest(error, n);
    printf("# %s, %s:", net[which].what, how);
    for (size_t i = 0; i < n; i++)
        printf(" %.1e", error[i]);
    printf("\n");
    rig_free(&rig);
    return most;
}

static double gradcheck_net(int which, const char *how, const ds_kernels *kernels)
{
    return gradcheck_loss(which, NULL, how, kernels);
}

START_TEST(sound_losses_pass)
{
    const ds_loss_ops *loss = ds_loss_at((size_t)_i);
    double most = gradcheck_loss(0, loss->name, loss->name, ds_kernels_find("auto"));
    ck_assert_double_lt(most, TOLERANCE);
}
END_TEST

START_TEST(sound_layers_pass)
{
    double most = gradcheck_net(_i, "sound", ds_kernels_find("auto"));
    ck_assert_double_lt(most, TOLERANCE);
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
    double b = gradcheck_net(_i, "bias 1 % off", &bias);
    ck_assert_double_gt(b, 3 * TOLERANCE);
    if (strcmp(net[_i].what, "zeros") == 0)
        return; /* its last weight meets zeros: no gradient to be wrong */
    double w = gradcheck_net(_i, "weight 1 % off", &weight);
    ck_assert_double_gt(w, 3 * TOLERANCE);
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
    suite_add_tcase(s, t);
    return rig_run(s);
}
