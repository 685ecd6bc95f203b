/* SPDX-License-Identifier: MIT */

#include "base/strv.h"

#include <stdio.h>
#include <string.h>

#include "test.h"

static void assert_joined(const Strv *list, const char *expected) {
        char text[1024] = "";

        for (size_t i = 0; i < list->n; i++)
                snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? "|" : "",
                         list->v[i]);
        assert_string_equal(text, expected);
}

static void test_add(void **state) {
        cleanup(strv_done) Strv list = STRV_NULL;

        (void)state;
        for (int i = 0; i < 100; i++) {
                char text[16];

                snprintf(text, sizeof text, "%d", i);
                assert_int_equal(strv_add(&list, text), 0);
        }
        assert_int_equal(list.n, 100);
        assert_string_equal(list.v[0], "0");
        assert_string_equal(list.v[99], "99");
        assert_true(strv_contains(&list, "64"));
        assert_false(strv_contains(&list, "100"));
        assert_int_equal(strv_addn(&list, "abcdef", 3), 0);
        assert_string_equal(list.v[100], "abc");

        strv_done(&list);
        assert_int_equal(list.n, 0);
        assert_int_equal(strv_add(&list, "again"), 0);
        assert_joined(&list, "again");
}

static void test_sorted(void **state) {
        cleanup(strv_done) Strv list = STRV_NULL;

        (void)state;
        assert_false(strv_sorted_contains(&list, "a"));
        strv_unique(&list);
        assert_int_equal(strv_split(&list, "b,a,c,a,b,a"), 0);
        strv_sort(&list);
        strv_unique(&list);
        assert_joined(&list, "a|b|c");
        assert_true(strv_sorted_contains(&list, "a"));
        assert_true(strv_sorted_contains(&list, "c"));
        assert_false(strv_sorted_contains(&list, "bb"));
        assert_int_equal(strv_add(&list, "d"), 0);
        assert_joined(&list, "a|b|c|d");
}

static void test_split(void **state) {
        static const struct {
                const char *text, *joined;
        } table[] = {
                { "", "" },           { " \t ", "" },
                { ",,", "" },         { "a", "a" },
                { "a,b", "a|b" },     { " a , b\t", "a|b" },
                { ",a,,b,", "a|b" },  { "a b, c", "a b|c" },
                { "b,a,b", "b|a|b" }, { "a=b,#c", "a=b|#c" },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup(strv_done) Strv list = STRV_NULL;

                assert_int_equal(strv_split(&list, table[i].text), 0);
                assert_joined(&list, table[i].joined);
        }
}

static void test_split_appends(void **state) {
        cleanup(strv_done) Strv list = STRV_NULL;

        (void)state;
        assert_int_equal(strv_split(&list, "z,y"), 0);
        assert_int_equal(strv_split(&list, "x"), 0);
        assert_joined(&list, "z|y|x");
        strv_sort(&list);
        assert_joined(&list, "x|y|z");
}

static void test_copy_and_equal(void **state) {
        cleanup(strv_done) Strv list = STRV_NULL, copy = STRV_NULL, empty = STRV_NULL;

        (void)state;
        strv_sort(&empty);
        assert_int_equal(strv_copy(&copy, &empty), 0);
        assert_true(strv_equal(&copy, &empty));
        assert_int_equal(strv_split(&list, "a,b,c"), 0);
        assert_int_equal(strv_copy(&copy, &list), 0);
        assert_true(strv_equal(&copy, &list));
        assert_ptr_not_equal(copy.v[0], list.v[0]);
        assert_false(strv_equal(&copy, &empty));
        copy.v[2][0] = 'd';
        assert_false(strv_equal(&copy, &list));
}

static void test_nearest(void **state) {
        static const char *const keys[] = { "host",    "timeout",  "prune_timeout", "match",
                                            "protect", "dangling", "rollback_tag",  "base" };
        static const struct {
                const char *text, *nearest;
        } table[] = {
                { "match", "match" },
                { "mach", "match" },
                { "mathc", "match" },
                { "MATCH", "match" },
                { "Hst", "host" },
                { "timout", "timeout" },
                { "time", "timeout" },
                { "prune", "prune_timeout" },
                { "prune-timeout", "prune_timeout" },
                { "prot", "protect" },
                { "rollback", "rollback_tag" },
                { "bse", "base" },
                { "", NULL },
                { "x", NULL },
                { "ho", NULL },
                { "interval", NULL },
                { "a-name-that-is-far-longer-than-any-key-could-ever-hope-to-be-in-life", NULL },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const char *nearest = strv_nearest(table[i].text, keys, ELEMENTSOF(keys));

                if (!nearest != !table[i].nearest ||
                    (nearest && strcmp(nearest, table[i].nearest) != 0))
                        fail_msg("'%s': %s", table[i].text, nearest ? nearest : "none");
        }
        assert_null(strv_nearest("match", NULL, 0));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_add),
                cmocka_unit_test(test_sorted),
                cmocka_unit_test(test_split),
                cmocka_unit_test(test_split_appends),
                cmocka_unit_test(test_copy_and_equal),
                cmocka_unit_test(test_nearest),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
