/* Values, the nearest name, option tables: what is accepted, what is refused and in which words. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "descent/option.h"

typedef struct sample {
    bool flag;
    int64_t units, room;
    double rate, share;
    const char *title;
    int mode;
    const ds_value *extra;
} sample;

static const ds_option table[] = {
    {"flag", DS_OPTION_BOOL, offsetof(sample, flag), "true", 0, 0, NULL, 0, "a switch"},
    {"units", DS_OPTION_INT, offsetof(sample, units), NULL, 1, 4096, NULL, DS_OPTION_REQUIRED,
     "how many"},
    {"room", DS_OPTION_BYTES, offsetof(sample, room), "4 MiB", 0, 0, NULL, 0, "bytes"},
    {"weight_decay", DS_OPTION_REAL, offsetof(sample, rate), "1e-2", DS_ABOVE_0, HUGE_VAL, NULL, 0,
     "rate"},
    {"share", DS_OPTION_REAL, offsetof(sample, share), "0", 0.0, DS_BELOW_1, NULL, 0, "part"},
    {"title", DS_OPTION_TEXT, offsetof(sample, title), NULL, 0, 0, NULL, 0, "words"},
    {"mode", DS_OPTION_CHOICE, offsetof(sample, mode), "unit", 0, 0, "none|unit|standard", 0,
     "how"},
    {"extra", DS_OPTION_VALUE, offsetof(sample, extra), NULL, 0, 0, NULL, 0, "any"},
    {.name = NULL},
};

static ds_arena *arena;
static ds_value *map;

static void start(void)
{
    ck_assert_int_eq(ds_arena_create("test", &arena), DS_OK);
    ck_assert_int_eq(ds_value_group(arena, DS_VALUE_MAP, NULL, &map), DS_OK);
    map->source = "spiral.yaml";
    map->line = 3;
    map->column = 1;
}

static void stop(void)
{
    ds_arena_destroy(&arena);
}

static ds_value *put(const char *key, const char *text)
{
    ds_value *v = NULL;
    ck_assert_int_eq(ds_value_scalar(arena, key, text, &v), DS_OK);
    v->source = "spiral.yaml";
    v->line = v->key_line = 12;
    v->key_column = 5;
    v->column = 20;
    ck_assert_int_eq(ds_value_add(arena, map, v), DS_OK);
    return v;
}

static void refused(const char *message)
{
    sample s;
    ck_assert_int_eq(ds_options_parse(table, map, "optimizer adamw", arena, &s), DS_ERR_USAGE);
    ck_assert_str_eq(ds_last_error(), message);
}

static const struct {
    const char *wrong, *right;
} near[] = {{"weightdecay", "weight_decay"},
            {"Adam", "adam"},
            {"adma", "adam"},
            {"momentm", "momentum"},
            {"warmup", "warmup_steps"},
            {"l", "lr"},
            {"newton_sgd", "sgd"}, /* a word of its own */
            {"msgd", "sgd"},
            {"newtonsgd", NULL},
            {"adxx", NULL}, /* half of four letters */
            {"zebra_crossing", NULL},
            {"xy", NULL},
            {"", NULL}};

START_TEST(closest_finds_the_nearest_name)
{
    static const char *const names[] = {"weight_decay", "adamw",        "adam", "momentum",
                                        "lr",           "warmup_steps", "sgd"};
    const char *got = ds_closest(near[_i].wrong, 7, names);
    if (near[_i].right == NULL)
        ck_assert_ptr_null(got);
    else
        ck_assert_str_eq(got, near[_i].right);
}
END_TEST

START_TEST(values_form_a_tree)
{
    for (int i = 0; i < 1000; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        put(key, "x");
    }
    put("k500", "new");
    ck_assert_uint_eq(map->n, 1000);
    ck_assert_str_eq(ds_value_find(map, "k500")->text, "new");
    ck_assert_str_eq(map->child[500]->text, "new");
    ck_assert_str_eq(ds_value_find(map, "k999")->text, "x");
    ck_assert_ptr_null(ds_value_find(map, "k1000"));
    ck_assert_ptr_null(ds_value_find(NULL, "a"));
    ck_assert_ptr_null(ds_value_find(map->child[0], "a"));
}
END_TEST

START_TEST(failures_name_the_place)
{
    ds_value *v = put("lr", "x");
    ck_assert_int_eq(ds_value_fail(v, "no %d", 1), DS_ERR_USAGE);
    ck_assert_str_eq(ds_last_error(), "spiral.yaml:12:20: no 1");
    ck_assert_int_eq(ds_value_fail_key(v, "no"), DS_ERR_USAGE);
    ck_assert_str_eq(ds_last_error(), "spiral.yaml:12:5: no");
    v->source = "--set optimizer.lr";
    v->line = v->key_line = 0;
    ck_assert_int_eq(ds_value_fail(v, "no"), DS_ERR_USAGE);
    ck_assert_str_eq(ds_last_error(), "--set optimizer.lr: no");
    ck_assert_int_eq(ds_value_fail(NULL, "no"), DS_ERR_USAGE);
    ck_assert_str_eq(ds_last_error(), "no");
}
END_TEST

START_TEST(defaults_come_from_the_table)
{
    sample s;
    memset(&s, 0xff, sizeof s);
    put("units", "7");
    put("title", "");
    ck_assert_int_eq(ds_options_parse(table, map, "x", arena, &s), DS_OK);
    ck_assert(s.flag);
    ck_assert_int_eq(s.units, 7);
    ck_assert_int_eq(s.room, 4 << 20);
    ck_assert_double_eq(s.rate, 0.01);
    ck_assert_str_eq(s.title, "");
    ck_assert_int_eq(s.mode, 1);
    ck_assert_ptr_null(s.extra);
}
END_TEST

static const struct {
    const char *key, *text, *message;
} bad[] = {
    {"weightdecay", "1",
     "spiral.yaml:12:5: optimizer adamw: unknown option 'weightdecay' (closest: "
     "'weight_decay')"},
    {"zzzzzz", "1",
     "spiral.yaml:12:5: optimizer adamw: unknown option 'zzzzzz' (options: flag, units, "
     "room, weight_decay, share, title, mode, extra)"},
    {"units", "0", "spiral.yaml:12:20: optimizer adamw: units is '0', expected int in [1, 4096]"},
    {"units", "1_000",
     "spiral.yaml:12:20: optimizer adamw: units is '1_000', expected int in [1, 4096]"},
    {"units", "7.0",
     "spiral.yaml:12:20: optimizer adamw: units is '7.0', expected int in [1, 4096]"},
    {"units", "99999999999999999999",
     "spiral.yaml:12:20: optimizer adamw: units is '99999999999999999999', expected int in [1, "
     "4096]"},
    {"weight_decay", "0",
     "spiral.yaml:12:20: optimizer adamw: weight_decay is '0', expected real > 0"},
    {"weight_decay", "nan",
     "spiral.yaml:12:20: optimizer adamw: weight_decay is 'nan', expected real > 0"},
    {"weight_decay", ".inf",
     "spiral.yaml:12:20: optimizer adamw: weight_decay is '.inf', expected real > 0"},
    {"weight_decay", "0x1p3",
     "spiral.yaml:12:20: optimizer adamw: weight_decay is '0x1p3', expected real > 0"},
    {"weight_decay", "1e999",
     "spiral.yaml:12:20: optimizer adamw: weight_decay is '1e999', expected real > 0"},
    {"weight_decay", "1,5",
     "spiral.yaml:12:20: optimizer adamw: weight_decay is '1,5', expected real > 0"},
    {"share", "1", "spiral.yaml:12:20: optimizer adamw: share is '1', expected real in [0, 1)"},
    {"room", "4 MB",
     "spiral.yaml:12:20: optimizer adamw: room is '4 MB', expected bytes (as 4096, 16 "
     "KiB, 4 MiB)"},
    {"room", "9999999 TiB",
     "spiral.yaml:12:20: optimizer adamw: room is '9999999 TiB', expected bytes "
     "(as 4096, 16 KiB, 4 MiB)"},
    {"flag", "yes", "spiral.yaml:12:20: optimizer adamw: flag is 'yes', expected true or false"},
    {"mode", "standart",
     "spiral.yaml:12:20: optimizer adamw: unknown mode 'standart' (closest: "
     "'standard'), expected one of none, unit, standard"},
    {"mode", "qqq",
     "spiral.yaml:12:20: optimizer adamw: mode is 'qqq', expected one of none, unit, "
     "standard"},
};

START_TEST(bad_options_are_named)
{
    put("units", "5");
    put(bad[_i].key, bad[_i].text);
    refused(bad[_i].message);
}
END_TEST

START_TEST(kinds_must_fit)
{
    ds_value *list = NULL;
    put("units", "5")->quoted = true;
    refused(
        "spiral.yaml:12:20: optimizer adamw: units is the text \"5\", expected int in [1, 4096]");
    ck_assert_int_eq(ds_value_group(arena, DS_VALUE_LIST, "units", &list), DS_OK);
    list->source = "--set optimizer.units";
    ck_assert_int_eq(ds_value_add(arena, map, list), DS_OK);
    refused("--set optimizer.units: optimizer adamw: units is a list, expected int in [1, 4096]");
    map = list;
    refused("--set optimizer.units: optimizer adamw is a list, expected a map of options");
}
END_TEST

START_TEST(required_and_twice)
{
    refused("spiral.yaml:3:1: optimizer adamw: 'units' is missing, expected int in [1, 4096] (how "
            "many)");
    put("units", "5");
    put("flag", "true");
    map->child[1]->key = "units"; /* a map built by hand may hold a key twice */
    refused("spiral.yaml:12:5: optimizer adamw: 'units' is given twice");
}
END_TEST

static const struct {
    const char *text;
    double real;
} reals[] = {{"1e-3", 1e-3}, {".5", 0.5}, {"5.", 5.0}, {"+2", 2.0}, {"3E+2", 300.0}, {"010", 10.0}};

START_TEST(reals_are_read)
{
    sample s;
    put("units", "5");
    put("weight_decay", reals[_i].text);
    ck_assert_int_eq(ds_options_parse(table, map, "x", arena, &s), DS_OK);
    ck_assert_double_eq(s.rate, reals[_i].real);
}
END_TEST

static const struct {
    const char *text;
    int64_t bytes;
} sizes[] = {{"0", 0},          {"4096", 4096},       {"512 B", 512},      {"16 KiB", 16 << 10},
             {"4MiB", 4 << 20}, {"1 GiB", 1LL << 30}, {"3 TiB", 3LL << 40}};

START_TEST(bytes_are_read)
{
    sample s;
    put("units", "5");
    put("room", sizes[_i].text);
    ck_assert_int_eq(ds_options_parse(table, map, "x", arena, &s), DS_OK);
    ck_assert_int_eq(s.room, sizes[_i].bytes);
}
END_TEST

START_TEST(format_reads_back)
{
    sample a, b;
    put("units", "5");
    put("room", "1536");
    put("weight_decay", "0.1234567890123456789");
    put("title", "two words");
    put("mode", "standard");
    put("flag", "false");
    put("extra", "42");
    ds_value *again = NULL;
    ck_assert_int_eq(ds_options_parse(table, map, "x", arena, &a), DS_OK);
    ck_assert_int_eq(ds_value_group(arena, DS_VALUE_MAP, NULL, &again), DS_OK);
    ck_assert_int_eq(ds_options_format(table, &a, arena, again), DS_OK);
    ck_assert_uint_eq(again->n, ds_options_count(table));
    ck_assert_int_eq(ds_options_parse(table, again, "x", arena, &b), DS_OK);
    ck_assert_int_eq(a.units, b.units);
    ck_assert_int_eq(b.room, 1536);
    ck_assert(memcmp(&a.rate, &b.rate, sizeof a.rate) == 0);
    ck_assert_str_eq(b.title, "two words");
    ck_assert_int_eq(b.mode, 2);
    ck_assert(!b.flag);
    ck_assert_str_eq(b.extra->text, "42");
}
END_TEST

START_TEST(two_tables_share_a_map)
{
    static const ds_option own[] = {
        {.name = "lr", .type = DS_OPTION_REAL, .offset = 0, .fallback = "1"}, {.name = NULL}};
    const ds_option *both[] = {table, own};
    double lr = 0.0;
    put("units", "5");
    put("lr", "0.25");
    ck_assert_int_eq(ds_options_check(2, both, map, "x"), DS_OK);
    ck_assert_int_eq(ds_options_fill(own, map, "x", arena, &lr), DS_OK);
    ck_assert_double_eq(lr, 0.25);
    put("lrr", "1");
    ck_assert_int_eq(ds_options_check(2, both, map, "x"), DS_ERR_USAGE);
    ck_assert_str_eq(ds_last_error(), "spiral.yaml:12:5: x: unknown option 'lrr' (closest: 'lr')");
}
END_TEST

START_TEST(nan_has_no_sign)
{
    char text[64];
    snprintf(text, sizeof text, "%g %g %g", ds_shown(-(double)NAN), ds_shown(-1.5),
             ds_shown(-HUGE_VAL));
    printf("# %s\n", text);
    ck_assert_str_eq(text, "nan -1.5 -inf");
    ck_assert_str_eq(ds_real_text(-(double)NAN, text), "nan");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("option");
    TCase *t = tcase_create("option");
    tcase_add_checked_fixture(t, start, stop);
    tcase_add_loop_test(t, closest_finds_the_nearest_name, 0, (int)(sizeof near / sizeof *near));
    tcase_add_test(t, values_form_a_tree);
    tcase_add_test(t, failures_name_the_place);
    tcase_add_test(t, defaults_come_from_the_table);
    tcase_add_loop_test(t, bad_options_are_named, 0, (int)(sizeof bad / sizeof *bad));
    tcase_add_test(t, kinds_must_fit);
    tcase_add_test(t, required_and_twice);
    tcase_add_loop_test(t, reals_are_read, 0, (int)(sizeof reals / sizeof *reals));
    tcase_add_loop_test(t, bytes_are_read, 0, (int)(sizeof sizes / sizeof *sizes));
    tcase_add_test(t, format_reads_back);
    tcase_add_test(t, nan_has_no_sign);
    tcase_add_test(t, two_tables_share_a_map);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_tap(r, "-");
    srunner_run_all(r, CK_SILENT);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
