/* Arenas: alignment, zeroes, checked products, sealing, no overlap. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "descent/arena.h"

#include "suite.h"

static ds_arena *arena;

static void start(void)
{
    ck_assert_int_eq(ds_arena_create("step memory", &arena), DS_OK);
}

static void stop(void)
{
    ds_arena_destroy(&arena);
    ck_assert_ptr_null(arena);
    ds_arena_destroy(&arena);
}

START_TEST(pieces_are_aligned_zeroed_and_apart)
{
    enum { N = 300 };
    unsigned char *piece[N];
    size_t bytes[N], wrong = 0;
    for (size_t i = 0; i < N; i++) {
        bytes[i] = i * i * 3 % 9001;
        ck_assert_int_eq(ds_arena_take(arena, bytes[i], 1, "a piece", &piece[i]), DS_OK);
        ck_assert_uint_eq((uintptr_t)piece[i] % 64, 0);
        for (size_t k = 0; k < bytes[i]; k++)
            wrong += piece[i][k] != 0;
        memset(piece[i], (int)(i % 251), bytes[i]);
    }
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < bytes[i]; k++)
            wrong += piece[i][k] != i % 251;
    printf("# %zu bytes, %zu wrong\n", ds_arena_bytes(arena), wrong);
    ck_assert_uint_eq(wrong, 0);
}
END_TEST

START_TEST(large_pieces_lie_on_huge_pages)
{
    char *piece = NULL;
    ck_assert_int_eq(ds_arena_take(arena, 3, 1 << 20, "a block", &piece), DS_OK);
    ck_assert_uint_eq((uintptr_t)piece % (2 << 20), 0);
    ck_assert_uint_ge(ds_arena_bytes(arena), 3 << 20);
}
END_TEST

START_TEST(products_are_checked)
{
    char *piece = (char *)&arena;
    ck_assert_int_eq(ds_arena_take(arena, SIZE_MAX / 2, 4, "weights", &piece), DS_ERR_NOMEM);
    ck_assert_ptr_eq(piece, &arena);
    ck_assert_ptr_nonnull(strstr(ds_last_error(), "step memory"));
    ck_assert_ptr_nonnull(strstr(ds_last_error(), "weights"));
    ck_assert_int_eq(ds_arena_take(arena, SIZE_MAX / 4, 1, "weights", &piece), DS_ERR_NOMEM);
    ck_assert_ptr_eq(piece, &arena);
}
END_TEST

START_TEST(a_sealed_arena_gives_nothing)
{
    char *piece = NULL;
    ds_arena_seal(arena);
    ck_assert_int_eq(ds_arena_take(arena, 1, 1, "a late one", &piece), DS_ERR_INTERNAL);
    ck_assert_ptr_null(piece);
    ck_assert_str_eq(ds_last_error(), "step memory is sealed: no room for a late one");
}
END_TEST

START_TEST(texts_are_copied)
{
    char *a = NULL, *b = NULL, source[] = "words";
    ck_assert_int_eq(ds_arena_text(arena, source, &a), DS_OK);
    ck_assert_int_eq(ds_arena_printf(arena, &b, "%s %d", source, 7), DS_OK);
    source[0] = 'x';
    ck_assert_str_eq(a, "words");
    ck_assert_str_eq(b, "words 7");
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("arena");
    tcase_add_checked_fixture(t, start, stop);
    tcase_add_test(t, pieces_are_aligned_zeroed_and_apart);
    tcase_add_test(t, large_pieces_lie_on_huge_pages);
    tcase_add_test(t, products_are_checked);
    tcase_add_test(t, a_sealed_arena_gives_nothing);
    tcase_add_test(t, texts_are_copied);
    return run_suite(t);
}
