/* The plan: every shard and every trainable float has one owner, borders lie where they may, ranks
 * are balanced, powers of two move exactly the ring's bytes, batches end with the epoch. */
#include <check.h>

#include "rig.h"

static ds_plan *make(const test_case *c, size_t samples, int ranks)
{
    ds_plan *plan = NULL;
    ds_status st = ds_plan_create(&c->config, &test_layout, samples, ranks, &plan);
    ck_assert_msg(st == DS_OK, "%s", ds_last_error());
    return plan;
}

START_TEST(shards_have_one_owner)
{
    test_case c;
    size_t widest = 0;
    for (int V = 1; V <= 40; V++)
        for (int ranks = 1; ranks <= V; ranks++) {
            case_open(&c, ds_optim_find("sgd"), V, 0);
            ds_plan *plan = make(&c, 1000, ranks);
            int at = 0;
            for (size_t j = 0; j < plan->n_nodes; at = plan->node[j++].hi) {
                ck_assert_int_eq(plan->node[j].lo, at);
                int r = plan->node[j].rank;
                ck_assert_int_ge(plan->node[j].lo, ds_plan_shard_begin(plan, r));
                ck_assert_int_le(plan->node[j].hi, ds_plan_shard_begin(plan, r + 1));
                ck_assert_uint_ge(j, plan->node_begin[r]);
                ck_assert_uint_lt(j, plan->node_begin[r + 1]);
            }
            ck_assert_int_eq(at, V);
            ck_assert_uint_gt(plan->n_nodes, (size_t)ranks - 1);
            if (V % ranks == 0 && (V & (V - 1)) == 0)
                ck_assert_uint_eq(plan->n_nodes, (size_t)ranks);
            ds_plan_destroy(&plan);
            ds_arena_destroy(&c.arena);
        }
    for (int V = 1; V <= 5000; V += V / 7 + 1)
        for (int ranks = 1; ranks <= V && ranks < 70; ranks += 1 + ranks / 5) {
            case_open(&c, ds_optim_find("sgd"), V, 0);
            ds_plan *plan = make(&c, 1000, ranks);
            ck_assert_int_eq(ds_plan_shard_begin(plan, 0), 0);
            ck_assert_int_eq(ds_plan_shard_begin(plan, ranks), V);
            for (int r = 0; r < ranks; r++) {
                double share = ds_plan_shard_begin(plan, r + 1) - ds_plan_shard_begin(plan, r);
                ck_assert(share >= 1 && share < 1 + 1.04 * V / ranks);
            }
            size_t most = plan->n_nodes / (size_t)ranks;
            widest = most > widest ? most : widest;
            ds_plan_destroy(&plan);
            ds_arena_destroy(&c.arena);
        }
    printf("# at most %zu subtrees a rank on average\n", widest);
    ck_assert_uint_lt(widest, 10);
    case_open(&c, ds_optim_find("sgd"), 8, 0);
    ds_plan *plan = make(&c, 1000, 3);
    ck_assert_int_eq(ds_plan_shard_begin(plan, 1), 3); /* DESIGN: 3, 3, 2 */
    ck_assert_int_eq(ds_plan_shard_begin(plan, 2), 6);
    ds_plan_destroy(&plan);
    ds_arena_destroy(&c.arena);
}
END_TEST

/* Nodes lie within replicas, replicas within ranks; nodes by shard do not depend on the ranks. */
static void check_replicas(const ds_plan *plan, const ds_plan *most)
{
    ck_assert_int_eq(plan->replicas, most->replicas);
    ck_assert_uint_eq(plan->n_nodes, most->n_nodes);
    for (size_t j = 0; j < plan->n_nodes; j++) {
        const ds_node *node = &plan->node[j];
        ck_assert(node->lo == most->node[j].lo && node->hi == most->node[j].hi);
        ck_assert_int_eq(node->replica, most->node[j].replica);
        ck_assert_int_ge(node->lo, ds_plan_replica_shard(plan, node->replica));
        ck_assert_int_le(node->hi, ds_plan_replica_shard(plan, node->replica + 1));
        ck_assert_int_ge(node->replica, ds_plan_replica_begin(plan, node->rank));
        ck_assert_int_lt(node->replica, ds_plan_replica_begin(plan, node->rank + 1));
        ck_assert_uint_ge(j, plan->node_begin[node->rank]);
        ck_assert_uint_lt(j, plan->node_begin[node->rank + 1]);
    }
    ck_assert_int_eq(ds_plan_shard_begin(plan, plan->ranks), plan->shards);
}

START_TEST(replicas_fix_the_nodes)
{
    int n = 0;
    for (int V = 1; V <= 40; V += 1 + V / 9)
        for (int R = 1; R <= V; R += 1 + R / 6) {
            test_case c;
            case_open(&c, ds_optim_find("sgd"), V, 0);
            ds_plan *exact = make(&c, 1000, R); /* nodes as exact's on R ranks */
            c.config.sync.compress = "fp16";
            c.config.sync.replicas = R;
            ds_plan *most = make(&c, 1000, R);
            ck_assert_int_eq(exact->replicas, R);
            check_replicas(exact, most);
            for (int ranks = 1; ranks <= R; ranks++, n++) {
                ds_plan *plan = make(&c, 1000, ranks);
                check_replicas(plan, most);
                ds_plan_destroy(&plan);
            }
            ds_plan *none = NULL;
            ck_assert_int_eq(ds_plan_create(&c.config, &test_layout, 1000, R + 1, &none),
                             DS_ERR_USAGE);
            c.config.sync.replicas = V + 1;
            ck_assert_int_eq(ds_plan_create(&c.config, &test_layout, 1000, 1, &none), DS_ERR_USAGE);
            c.config.sync.compress = "none"; /* exact alone: replicas shape nothing */
            ds_plan *alone = make(&c, 1000, 1);
            ck_assert_int_eq(alone->replicas, 1);
            ds_plan_destroy(&alone);
            ds_plan_destroy(&most);
            ds_plan_destroy(&exact);
            ds_arena_destroy(&c.arena);
        }
    printf("# %d plans with replicas\n", n);
}
END_TEST

static void check_slices(const ds_plan *plan, const ds_layout *layout, bool whole)
{
    unsigned char *seen = calloc(layout->n_floats, 1);
    size_t twice = 0, wrong = 0;
    for (size_t i = 0; i < plan->n_slices; i++) {
        const ds_slice *s = &plan->slice[i];
        const ds_param *p = &layout->param[s->param];
        size_t n = ds_param_floats(p), end = s->first + s->count;
        ck_assert(p->trainable && s->count > 0 && end <= n);
        ck_assert(s->first % 4096 == 0 && (end % 4096 == 0 || end == n));
        ck_assert(!whole || s->count == n);
        for (size_t k = s->first; k < end; k++)
            twice += seen[p->offset + k]++ != 0;
    }
    for (size_t p = 0; p < layout->n_params; p++)
        for (size_t k = 0; k < ds_param_floats(&layout->param[p]); k++)
            wrong += seen[layout->param[p].offset + k] != layout->param[p].trainable;
    ck_assert_uint_eq(twice, 0);
    ck_assert_uint_eq(wrong, 0);
    free(seen);
}

START_TEST(slices_cover_what_is_trained)
{
    static const int64_t bucket[] = {1, 16 << 10, 40000, 4 << 20};
    int n = 0;
    for (int ranks = 1; ranks <= 9; ranks++)
        for (int b = 0; b < 4; b++)
            for (int whole = 0; whole < 2; whole++, n++) {
                ds_optim_ops ops = *ds_optim_find("sgd");
                test_case c;
                case_open(&c, &ops, 9, 0);
                ops.reach = whole ? DS_REACH_TENSOR : DS_REACH_ELEMENT;
                c.config.sync.bucket = bucket[b];
                ds_plan *plan = make(&c, 1000, ranks), *again = make(&c, 1000, ranks);
                check_slices(plan, &test_layout, whole);
                ck_assert(plan->hash == again->hash);
                ck_assert_uint_eq(plan->bucket_begin[plan->n_buckets * (size_t)ranks],
                                  plan->n_slices);
                ds_plan_destroy(&plan);
                ds_plan_destroy(&again);
                ds_arena_destroy(&c.arena);
            }
    printf("# %d plans covered\n", n);
}
END_TEST

/* 784-1024-1024-10 as one flat block. */
static const ds_param mlp_param[] = {
    {"w1", {2, {1024, 784}}, true, true, 0, 784, 1024, 1040, DS_PARAM_LEARNED, 0},
    {"b1", {1, {1024}}, false, true, 815360, 1, 1024, 1040, DS_PARAM_LEARNED, 0},
    {"w2", {2, {1024, 1024}}, true, true, 816400, 1024, 1024, 1040, DS_PARAM_LEARNED, 0},
    {"b2", {1, {1024}}, false, true, 1881360, 1, 1024, 1040, DS_PARAM_LEARNED, 0},
    {"w3", {2, {10, 1024}}, true, true, 1882400, 1024, 10, 16, DS_PARAM_LEARNED, 0},
    {"b3", {1, {10}}, false, true, 1898784, 1, 10, 16, DS_PARAM_LEARNED, 0},
};
static const ds_layout mlp_layout = {6, mlp_param, 1898800};

/* Whole tensors: the most any rank has to do is at most 4/3 of the best that could be (Graham
 * 1969), which is no less than the mean and no less than the costliest tensor. */
START_TEST(whole_tensors_are_shared_by_cost)
{
    enum { N = 25 };
    static const char *const name[] = {"lars", "muon"};
    ds_param param[N];
    size_t at = 0;
    for (size_t i = 0; i < N; i++) {
        const size_t rows = i % 3 == 0 ? 1 : 16 << i % 5, cols = 64 << i % 4;
        param[i] = (ds_param){"t",
                              {i % 3 == 0 ? 1 : 2, {rows, cols}},
                              false,
                              true,
                              at,
                              rows,
                              cols,
                              cols,
                              DS_PARAM_LEARNED,
                              0};
        at += rows * cols;
    }
    const ds_layout layout = {N, param, at};
    for (int ranks = 1; ranks <= 8; ranks++)
        for (size_t k = 0; k < 2; k++) {
            const ds_optim_ops *ops = ds_optim_find(name[k]);
            test_case c;
            ds_plan *plan = NULL;
            double load[8] = {0}, all = 0, largest = 0, most = 0;
            case_open(&c, ops, 8, 0);
            ck_assert_int_eq(ds_plan_create(&c.config, &layout, 1000, ranks, &plan), DS_OK);
            check_slices(plan, &layout, true);
            for (size_t run = 0; run < plan->n_buckets * (size_t)ranks; run++)
                for (size_t i = plan->bucket_begin[run]; i < plan->bucket_begin[run + 1]; i++) {
                    const ds_param *p = &param[plan->slice[i].param];
                    const ds_rule rule = ds_plan_rule(&c.config, p);
                    const double cost = ops->cost ? ops->cost(rule.options, &rule.matrix)
                                                  : (double)ds_param_floats(p);
                    load[run % (size_t)ranks] += cost;
                    all += cost;
                    largest = cost > largest ? cost : largest;
                }
            for (int r = 0; r < ranks; r++)
                most = load[r] > most ? load[r] : most;
            const double best = all / ranks > largest ? all / ranks : largest;
            printf("# %s, %d ranks: most %.3f of the best\n", name[k], ranks, most / best);
            ck_assert(most <= 4.0 / 3 * best);
            ds_plan_destroy(&plan);
            ds_arena_destroy(&c.arena);
        }
}
END_TEST

START_TEST(ranks_share_alike)
{
    static const int64_t bucket[] = {16 << 10, 64 << 10, 4 << 20, 25 << 20};
    double worst = 1;
    for (int ranks = 2; ranks <= 16; ranks++)
        for (int b = 0; b < 4; b++) {
            test_case c;
            ds_plan *plan = NULL;
            case_open(&c, ds_optim_find("sgd"), 16, 0);
            c.config.sync.bucket = bucket[b];
            ck_assert(ds_plan_create(&c.config, &mlp_layout, 1000, ranks, &plan) == DS_OK);
            uint64_t sent = 0;
            size_t most = 0, all = 0;
            for (int r = 0; r < ranks; r++) {
                size_t own = ds_plan_owned(plan, r);
                all += own;
                most = own > most ? own : most;
                sent += ds_plan_wire_bytes(plan, &c.config, r);
            }
            ck_assert_uint_eq(all, mlp_layout.n_floats);
            if ((ranks & (ranks - 1)) == 0)
                ck_assert_uint_eq(sent, 2 * (uint64_t)(ranks - 1) * 4 * mlp_layout.n_floats);
            double plain = ds_plan_wire_per_sample(plan, &c.config);
            ck_assert(plain * (double)plan->batch == (double)sent);
            c.config.sync.codec = (ds_codec){ds_codec_find("fp16"), NULL, 1};
            ck_assert(ds_plan_wire_per_sample(plan, &c.config) == plain / 2); /* 2 bytes a float */
            double excess = (double)most * ranks / (double)all;
            worst = excess > worst ? excess : worst;
            ds_plan_destroy(&plan);
            ds_arena_destroy(&c.arena);
        }
    printf("# the largest share is at most %.3f of an even one\n", worst);
    ck_assert(worst < 1.1);
}
END_TEST

START_TEST(batches_end_with_the_epoch)
{
    test_case c;
    case_open(&c, ds_optim_find("sgd"), 4, 0);
    c.config.batch.accumulate = 2;
    c.config.train.max_steps = 0;
    c.config.train.epochs = 3;
    ds_plan *plan = make(&c, 1000, 3);
    ck_assert_int_eq(plan->shards, 8);
    ck_assert_int_eq(plan->pass_shards, 2);
    ck_assert_uint_eq(plan->batch, 128);
    ck_assert_uint_eq(plan->steps_per_epoch, 8); /* 7 x 128 + 104 */
    ck_assert(plan->total_steps == 24);
    size_t at = 0;
    ck_assert_uint_eq(ds_plan_batch(plan, 0, &at), 128);
    ck_assert_uint_eq(ds_plan_batch(plan, 7, &at), 104);
    ck_assert_uint_eq(at, 896);
    ck_assert_uint_eq(ds_plan_batch(plan, 17, &at), 128);
    ck_assert_uint_eq(at, 128);
    for (int r = 0; r < 3; r++)
        for (size_t b = 1; b <= 128; b++)
            for (int k = ds_plan_shard_begin(plan, r); k < ds_plan_shard_begin(plan, r + 1); k++) {
                int end = k + plan->pass_shards < ds_plan_shard_begin(plan, r + 1)
                              ? k + plan->pass_shards
                              : ds_plan_shard_begin(plan, r + 1);
                size_t rows =
                    (size_t)(ds_shard_begin(end, (long)b, 8) - ds_shard_begin(k, (long)b, 8));
                ck_assert_uint_le(rows, ds_plan_pass_rows(plan, r));
            }
    ck_assert_uint_eq(ds_plan_shard_rows(plan), 16);
    ds_plan_destroy(&plan);
    c.config.batch.shards = 0; /* one a rank */
    plan = make(&c, 1000, 3);
    ck_assert_int_eq(plan->shards, 6);
    ds_plan_destroy(&plan);
    c.config.train.epochs = 0;
    plan = make(&c, 1000, 1);
    ck_assert(plan->total_steps == INT64_MAX);
    ds_plan_destroy(&plan);
    ds_arena_destroy(&c.arena);
}
END_TEST

START_TEST(too_many_ranks)
{
    test_case c;
    ds_plan *plan = NULL;
    case_open(&c, ds_optim_find("sgd"), 4, 0);
    ck_assert(ds_plan_create(&c.config, &test_layout, 1000, 5, &plan) == DS_ERR_USAGE);
    printf("# %s\n", ds_last_error());
    ck_assert_ptr_null(plan);
    ck_assert_ptr_nonnull(strstr(ds_last_error(), "more ranks (5) than shards (4)"));
    ck_assert_ptr_nonnull(strstr(ds_last_error(), "batch: {shards: 8}"));
    c.config.sync.strategy = "exakt";
    ck_assert(ds_sync_check(&c.config) == DS_ERR_USAGE);
    printf("# %s\n", ds_last_error());
    ck_assert_ptr_nonnull(strstr(ds_last_error(), "did you mean 'exact'"));
    ds_arena_destroy(&c.arena);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("plan");
    TCase *t = tcase_create("plan");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, shards_have_one_owner);
    tcase_add_test(t, replicas_fix_the_nodes);
    tcase_add_test(t, slices_cover_what_is_trained);
    tcase_add_test(t, whole_tensors_are_shared_by_cost);
    tcase_add_test(t, ranks_share_alike);
    tcase_add_test(t, batches_end_with_the_epoch);
    tcase_add_test(t, too_many_ranks);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_tap(r, "-");
    srunner_run_all(r, CK_SILENT);
    int bad = srunner_ntests_failed(r);
    srunner_free(r);
    return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
