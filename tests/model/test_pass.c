/* The sum over shards has the same bits however [0, V) is cut into passes (ranks) and partials,
 * with uneven and empty shards, fused or separate additions. The yardstick is one pass over all
 * shards; a plain sum of one-shard passes along the tree, done here, must agree with it too. Also:
 * nothing is allocated by a pass, frozen layers get no gradient, `ready` comes last layer first. */
#include <malloc.h>

#include "descent/tree.h"

#include "model_rig.h"

static const char *const NET =
    "model: {input: [19], layers: [{dense: {units: 33, activation: relu}}, {dense: {units: 300, "
    "activation: tanh, bias: false}}, gelu, {dense: {units: 10}}]}";
enum { MOST_SHARDS = 13, MOST_ROWS = 64 };

/* A batch of b samples in V shards. */
typedef struct batch {
    model_rig *rig;
    int V;
    size_t b, floats;
    float *node[MOST_SHARDS + 1][MOST_SHARDS + 1]; /* sums of the nodes passes were asked for */
} batch;

static size_t batch_begin(const batch *self, int k)
{
    return (size_t)ds_shard_begin(k, (long)self->b, self->V);
}

/* Shards [lo, hi) as a rank would compute them: its rows start at row 0 of a workspace of its own.
 */
static void batch_pass(batch *self, ds_workspace *w, int lo, int hi, size_t n,
                       const ds_partial *partial)
{
    model_rig *rig = self->rig;
    ds_shard shard[MOST_SHARDS];
    size_t from = batch_begin(self, lo), to = batch_begin(self, hi), stride = 0, source_stride = 0;
    float *x = ds_workspace_input(w, &stride),
          *source = ds_workspace_input(rig->workspace, &source_stride);
    ck_assert_uint_eq(stride, source_stride);
    if (x != source && to > from)
        memcpy(x, source + from * stride, (to - from) * stride * sizeof *x);
    size_t shift = x == source ? 0 : from;
    for (int k = lo; k < hi; k++) {
        size_t row = batch_begin(self, k);
        shard[k - lo] = rig_shard(rig, row, batch_begin(self, k + 1) - row);
        shard[k - lo].first_row = row - shift;
    }
    ds_pass pass = {.lo = lo, .hi = hi, .shard = shard, .n_partials = n, .partial = partial};
    RIG_OK(ds_model_gradient(w, rig->params, &pass));
    ck_assert(pass.finite);
}

/* The nodes of the tree over [0, V) that [a, b) covers whole, as large as possible. */
static size_t batch_nodes(int lo, int hi, int a, int b, ds_partial *out, size_t n)
{
    if (hi <= a || b <= lo)
        return n;
    if (a <= lo && hi <= b) {
        out[n] = (ds_partial){lo, hi, NULL};
        return n + 1;
    }
    int mid = ds_tree_split(lo, hi);
    n = batch_nodes(lo, mid, a, b, out, n);
    return batch_nodes(mid, hi, a, b, out, n);
}

/* What the owners of slices do: partials as they lie, other nodes added; empty sides drop out. */
static float *batch_combine(batch *self, int lo, int hi)
{
    if (batch_begin(self, lo) == batch_begin(self, hi))
        return NULL;
    if (self->node[lo][hi] != NULL)
        return self->node[lo][hi];
    int mid = ds_tree_split(lo, hi);
    float *a = batch_combine(self, lo, mid), *b = batch_combine(self, mid, hi);
    if (a == NULL || b == NULL)
        return a == NULL ? b : a;
    for (size_t i = 0; i < self->floats; i++)
        a[i] += b[i];
    return a;
}

static void batch_forget(batch *self)
{
    for (int i = 0; i <= MOST_SHARDS; i++)
        for (int j = 0; j <= MOST_SHARDS; j++) {
            free(self->node[i][j]);
            self->node[i][j] = NULL;
        }
}

/* Cut [0, V) into ranks at the set bits of `cuts`, combine, compare with `whole`. */
static void batch_cut(batch *self, unsigned cuts, bool own_workspace, const float *whole)
{
    for (int lo = 0, hi; lo < self->V; lo = hi) {
        hi = lo + 1;
        while (hi < self->V && !(cuts >> (hi - 1) & 1))
            hi++;
        ds_partial partial[2 * MOST_SHARDS];
        size_t n = batch_nodes(0, self->V, lo, hi, partial, 0);
        for (size_t i = 0; i < n; i++) {
            float *grad = malloc(self->floats * sizeof *grad);
            memset(grad, 0xff, self->floats * sizeof *grad); /* NaN: all must be written */
            self->node[partial[i].lo][partial[i].hi] = partial[i].grad = grad;
        }
        ds_workspace *w = self->rig->workspace, *own = NULL;
        size_t rows = batch_begin(self, hi) - batch_begin(self, lo);
        ds_workspace_spec spec = {.model = self->rig->model,
                                  .kernels = ds_kernels_find("auto"),
                                  .loss = self->rig->config->loss,
                                  .loss_options = self->rig->config->loss_options,
                                  .rows = rows,
                                  .shards = hi - lo,
                                  .training = true};
        if (own_workspace)
            RIG_OK(ds_workspace_create(&spec, &own));
        batch_pass(self, own_workspace ? own : w, lo, hi, n, partial);
        ds_workspace_destroy(&own);
    }
    const float *sum = batch_combine(self, 0, self->V);
    ck_assert_msg(memcmp(sum, whole, self->floats * sizeof *sum) == 0,
                  "V %d, b %zu, cuts %x: other bits", self->V, self->b, cuts);
    batch_forget(self);
}

START_TEST(same_bits_however_cut)
{
    model_rig rig;
    int V = _i + 1, checked = 0;
    const size_t sizes[] = {MOST_ROWS, 2 * (size_t)V + 1, (size_t)V, (size_t)(V + 1) / 2, 1};
    rig_make(&rig, NET, "cross_entropy", MOST_ROWS, V, ds_kernels_find("auto"));
    batch self = {.rig = &rig, .V = V, .floats = ds_model_layout(rig.model)->n_floats};
    float *whole = malloc(self.floats * sizeof *whole);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        self.b = sizes[s];
        memset(whole, 0xff, self.floats * sizeof *whole);
        batch_pass(&self, rig.workspace, 0, V, 1, &(ds_partial){0, V, whole});
        unsigned n = 1u << (V - 1),
                 stride = n > 64 ? n / 61 : 1; /* all up to 7 shards, then some */
        for (unsigned cuts = 0; cuts < n; cuts += stride, checked++)
            batch_cut(&self, cuts, checked % 16 == 0, whole);
        batch_cut(&self, n - 1, false, whole);
    }
    printf("# V %d: %d cuttings\n", V, checked);
    free(whole);
    rig_free(&rig);
}
END_TEST

START_TEST(all_empty_is_zero)
{
    model_rig rig;
    rig_make(&rig, NET, "cross_entropy", 4, 2, ds_kernels_find("ref"));
    size_t n = ds_model_layout(rig.model)->n_floats;
    float *grad = malloc(n * sizeof *grad);
    memset(grad, 0xff, n * sizeof *grad);
    ds_shard shard[2] = {rig_shard(&rig, 0, 0), rig_shard(&rig, 0, 0)};
    ds_partial partial = {4, 6, grad};
    ds_pass pass = {.lo = 4, .hi = 6, .shard = shard, .n_partials = 1, .partial = &partial};
    RIG_OK(ds_model_gradient(rig.workspace, rig.params, &pass));
    for (size_t i = 0; i < n; i++)
        ck_assert(grad[i] == 0.0f);
    ck_assert(pass.finite && shard[0].loss == 0 && shard[1].loss == 0);
    free(grad);
    rig_free(&rig);
}
END_TEST

static void count_ready(void *context, size_t param)
{
    size_t *seen = context;
    seen[++seen[0]] = param;
}

START_TEST(frozen_layers)
{
    model_rig rig;
    rig_make(&rig,
             "model: {input: [6], layers: [{dense: {units: 5, trainable: false}}, tanh, {dense: "
             "{units: 4}}, relu, {dense: {units: 4, trainable: false}}, {dense: {units: 3}}]}",
             "mse", 8, 1, ds_kernels_find("ref"));
    const ds_layout *layout = ds_model_layout(rig.model);
    float *grad = malloc(layout->n_floats * sizeof *grad);
    for (size_t i = 0; i < layout->n_floats; i++)
        grad[i] = 77;
    size_t seen[16] = {0};
    ds_shard shard = rig_shard(&rig, 0, 8);
    ds_partial partial = {0, 1, grad};
    ds_pass pass = {.lo = 0,
                    .hi = 1,
                    .shard = &shard,
                    .n_partials = 1,
                    .partial = &partial,
                    .ready = count_ready,
                    .context = seen};
    RIG_OK(ds_model_gradient(rig.workspace, rig.params, &pass));
    static const size_t expected[] = {4, 7, 6, 3, 2}; /* count, then last layer first */
    for (size_t i = 0; i < 5; i++)
        ck_assert_uint_eq(seen[i], expected[i]);
    for (size_t p = 0; p < layout->n_params; p++) {
        bool written = grad[layout->param[p].offset] != 77;
        ck_assert_msg(written == layout->param[p].trainable, "%s", layout->param[p].name);
    }
    free(grad);
    rig_free(&rig);
}
END_TEST

START_TEST(nothing_is_allocated)
{
    model_rig rig;
    rig_make(&rig, NET, "cross_entropy", 32, 4, ds_kernels_find("ref"));
    float *grad = calloc(ds_model_layout(rig.model)->n_floats, sizeof *grad);
    ds_shard shard[4];
    for (size_t s = 0; s < 4; s++)
        shard[s] = rig_shard(&rig, 8 * s, 8);
    ds_partial partial = {0, 4, grad};
    ds_pass pass = {.lo = 0, .hi = 4, .shard = shard, .n_partials = 1, .partial = &partial};
    struct mallinfo2 before = mallinfo2();
    RIG_OK(ds_model_gradient(rig.workspace, rig.params, &pass));
    struct mallinfo2 after = mallinfo2();
    printf("# heap in use before %zu, after %zu\n", before.uordblks, after.uordblks);
    ck_assert_uint_eq(before.uordblks, after.uordblks);
    ck_assert_uint_eq(before.hblkhd, after.hblkhd);
    free(grad);
    rig_free(&rig);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pass");
    TCase *t = tcase_create("pass");
    tcase_set_timeout(t, 100);
    tcase_add_loop_test(t, same_bits_however_cut, 0, MOST_SHARDS);
    tcase_add_test(t, all_empty_is_zero);
    tcase_add_test(t, frozen_layers);
    tcase_add_test(t, nothing_is_allocated);
    suite_add_tcase(s, t);
    return rig_run(s);
}
