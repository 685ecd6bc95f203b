/* SPDX-License-Identifier: MIT */

#include "base/hash-set.h"

#include "test.h"

static void test_many(void **state) {
        cleanup(hash_set_done) HashSet set = { 0 };

        (void)state;
        assert_false(hash_set_contains(&set, 0));
        hash_set_sort(&set);
        for (uint64_t i = 0; i < 100000; i++)
                assert_int_equal(hash_set_add(&set, 7 * (i % 9000) + 1), 0);
        assert_true(set.size < 40000); /* duplicates need no room */
        hash_set_sort(&set);
        assert_int_equal(set.n, 9000);
        for (uint64_t i = 0; i < 9000; i++) {
                assert_true(hash_set_contains(&set, 7 * i + 1));
                assert_false(hash_set_contains(&set, 7 * i + 2));
        }
        assert_false(hash_set_contains(&set, UINT64_MAX));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_many),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
