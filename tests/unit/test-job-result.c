/* SPDX-License-Identifier: MIT */

/* What a policy run came to, from the job's JSON. */

#include <string.h>

#include "daemon/job-result.h"
#include "test.h"

static void test_policy(void **state) {
        static const struct {
                const char *record; /* NULL: none */
                int error;
                size_t n_remaining;
                bool canceled, no_progress;
                uint64_t n_removed;
                const char *outcome, *left;
        } table[] = {
                { "{\"outcome\":\"done\",\"removed\":[{},{}],\"records\":3}", 0, 0, false, false, 5,
                  "done", NULL },
                { "{\"outcome\":\"done\",\"engineReportedBytes\":7}", 0, 0, false, false, 0, "done",
                  NULL },
                { "{\"outcome\":\"done\"}", 0, 0, false, true, 0, "done", NULL },
                { "{\"removed\":[{}],\"left\":[{\"object\":\"a\"},{\"object\":\"b\"}]}", 0, 2,
                  false, true, 1, "failed", "a, b" },
                { "{\"left\":[{\"object\":\"1\"},{\"object\":\"2\"},{\"object\":\"3\"},"
                  "{\"object\":\"4\"},{\"object\":\"5\"},{\"object\":\"6\"},{\"object\":\"7\"}]}",
                  0, 7, false, true, 0, "failed", "1, 2, 3, 4, 5, 2 more" },
                { "{\"removed\":[{}]}", -EREMOTEIO, 0, false, true, 1, "failed", NULL },
                { NULL, -EREMOTEIO, 0, false, true, 0, "failed", NULL },
                { NULL, -ECANCELED, 0, true, true, 0, "failed", NULL },
                { "{\"removed\":[{}]}", -ECANCELED, 0, false, true, 1, "failed", NULL },
                /* A hold came up: there is no record and no error. */
                { NULL, 0, 0, false, true, 0, "failed", NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const char *text = table[i].record;
                Job job = { .kind = JOB_PASS,
                            .error = table[i].error,
                            .n_remaining = table[i].n_remaining };
                PolicyResult result;

                if (text)
                        assert_int_equal(json_parse(text, strlen(text), &job.result), 0);
                result = policy_result(&job);
                assert_int_equal(result.canceled, table[i].canceled);
                assert_int_equal(result.recorded, text != NULL);
                assert_int_equal(result.error != NULL, table[i].error < 0);
                assert_int_equal(result.no_progress, table[i].no_progress);
                assert_int_equal(result.run.n_removed, table[i].n_removed);
                assert_string_equal(result.run.outcome, table[i].outcome);
                assert_string_equal(result.left ?: "", table[i].left ?: "");
                policy_result_done(&result);
                json_free(job.result);
        }
        (void)state;
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_policy) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
