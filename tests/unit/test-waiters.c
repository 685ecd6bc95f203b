/* SPDX-License-Identifier: MIT */

/* Who waits for which job, and until when. */

#include <string.h>

#include "daemon/waiters.h"
#include "test.h"

static Connection *connection_of(char letter) {
        return (Connection *)(uintptr_t)letter;
}

static void add(Waiters *waiters, char caller, JobKind kind, const char *job, uint64_t deadline) {
        Waiter waiter = {
                .connection = connection_of(caller),
                .kind = kind,
                .generation = 1,
                .deadline_usec = deadline,
        };

        strcpy(waiter.job_id, job);
        assert_int_equal(waiters_add(waiters, &waiter), 0);
}

static void test_deadlines(void **state) {
        Waiters waiters = { 0 };

        assert_int_equal(waiters_deadline(&waiters), USEC_INFINITY);
        add(&waiters, 'a', JOB_CLEAR, "1", 10);
        add(&waiters, 'b', JOB_CLEAR, "1", 20);
        add(&waiters, 'c', JOB_CLEAR, "2", 15);
        add(&waiters, 'd', JOB_EXPLAIN, "3", USEC_INFINITY); /* runs already */
        assert_int_equal(waiters_deadline(&waiters), 10);
        assert_null(waiters_expired(&waiters, 9));
        assert_ptr_equal(waiters_expired(&waiters, 10), waiters_find(&waiters, connection_of('a')));

        /* A job that has started has no deadline. */
        waiters_started(&waiters, "1");
        assert_int_equal(waiters_deadline(&waiters), 15);
        assert_null(waiters_expired(&waiters, 14));
        assert_ptr_equal(waiters_expired(&waiters, 99), waiters_find(&waiters, connection_of('c')));
        waiters_remove(&waiters, waiters_find(&waiters, connection_of('c')));
        assert_int_equal(waiters_deadline(&waiters), USEC_INFINITY);
        assert_null(waiters_find(&waiters, connection_of('c')));
        waiters_done(&waiters);
        (void)state;
}

static void test_company(void **state) {
        Waiters waiters = { 0 };

        add(&waiters, 'a', JOB_CLEAR, "1", 10);
        add(&waiters, 'b', JOB_CLEAR, "1", 20);
        add(&waiters, 'c', JOB_CLEAR, "2", 15);
        assert_false(waiters_alone(&waiters, waiters_find(&waiters, connection_of('a'))));
        assert_true(waiters_alone(&waiters, waiters_find(&waiters, connection_of('c'))));
        waiters_remove(&waiters, waiters_find(&waiters, connection_of('b')));
        assert_true(waiters_alone(&waiters, waiters_find(&waiters, connection_of('a'))));
        waiters_done(&waiters);
        (void)state;
}

/* A plan is shared while it is queued and the configuration is the same. */
static void test_plan(void **state) {
        Waiters waiters = { 0 };

        add(&waiters, 'a', JOB_CLEAR, "1", 10);
        assert_null(waiters_find_plan(&waiters, 1));
        add(&waiters, 'b', JOB_PLAN, "2", 20);
        assert_string_equal(waiters_find_plan(&waiters, 1), "2");
        assert_null(waiters_find_plan(&waiters, 2));
        waiters_started(&waiters, "2");
        assert_null(waiters_find_plan(&waiters, 1));
        waiters_done(&waiters);
        (void)state;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_deadlines),
                cmocka_unit_test(test_company),
                cmocka_unit_test(test_plan),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
