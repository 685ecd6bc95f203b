/* SPDX-License-Identifier: MIT */

#include "base/index.h"

#include <stdio.h>

#include "test.h"

static void test_every_key_is_found_with_all_its_elements(void **state) {
        cleanup(index_done) Index index = { 0 };
        static const char *const keys[] = { "b", "", "c", "b", "abc", "b", "c" };
        const IndexEntry *found;
        size_t n;

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                assert_int_equal(index_add(&index, keys[i], i), 0);
        index_sort(&index);

        found = index_find(&index, "b", &n);
        assert_int_equal(n, 3);
        assert_int_equal(found[0].at, 0);
        assert_int_equal(found[1].at, 3);
        assert_int_equal(found[2].at, 5);
        found = index_find(&index, "", &n);
        assert_int_equal(n, 1);
        assert_int_equal(found->at, 1);
        assert_int_equal(index_find(&index, "abc", NULL)->at, 4);
}

static void test_a_key_without_an_element_is_not_found(void **state) {
        cleanup(index_done) Index index = { 0 };
        size_t n = 7;

        (void)state;
        assert_null(index_find(&index, "a", &n));
        assert_int_equal(n, 0);
        assert_int_equal(index_add(&index, "b", 0), 0);
        assert_int_equal(index_add(&index, "d", 1), 0);
        index_sort(&index);
        assert_null(index_find(&index, "a", NULL));
        assert_null(index_find(&index, "c", NULL));
        assert_null(index_find(&index, "e", NULL));
        assert_null(index_find(&index, "bb", NULL));
}

static void test_many_keys(void **state) {
        enum { N = 5000 };
        static char keys[N][16];
        cleanup(index_done) Index index = { 0 };

        (void)state;
        for (size_t i = 0; i < N; i++) {
                snprintf(keys[i], sizeof(keys[i]), "%08zx", i * 2654435761U % 4294967296U);
                assert_int_equal(index_add(&index, keys[i], i), 0);
        }
        index_sort(&index);
        for (size_t i = 0; i < N; i++) {
                size_t n;

                assert_int_equal(index_find(&index, keys[i], &n)->at, i);
                assert_int_equal(n, 1);
        }
}

static void test_keys_by_their_beginning(void **state) {
        static const char *const keys[] = { "b", "abc", "ab", "abd", "a", "" };
        cleanup(index_done) Index index = { 0 };
        const IndexEntry *found;
        size_t n;

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                assert_int_equal(index_add(&index, keys[i], i), 0);
        index_sort(&index);
        found = index_find_prefix(&index, "ab", &n);
        assert_int_equal(n, 3);
        assert_int_equal(found[0].at, 2);
        assert_int_equal(found[2].at, 3);
        assert_null(index_find_prefix(&index, "ac", &n));
        assert_int_equal(n, 0);
        index_find_prefix(&index, "", &n);
        assert_int_equal(n, ELEMENTSOF(keys));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_key_is_found_with_all_its_elements),
                cmocka_unit_test(test_a_key_without_an_element_is_not_found),
                cmocka_unit_test(test_many_keys),
                cmocka_unit_test(test_keys_by_their_beginning),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
