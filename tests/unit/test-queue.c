/* SPDX-License-Identifier: MIT */

/* Who goes first, and what has no room in a reply. A job is a letter: C a clear, R a rollback, P a policy run, o a poll, s a sweep, t the
 * text file, and a look of one user each: a, b, c (dry run), d (history). */

#include <string.h>
#include <sys/resource.h>

#include "janitor/job.h"
#include "janitor/queue.h"
#include "test.h"

static Job *job_of(char letter) {
        Job *job = calloc(1, sizeof(*job));

        assert_non_null(job);
        job->id[0] = letter;
        switch (letter) {
        case 'C':
                job->kind = JOB_CLEAR;
                break;
        case 'R':
                job->kind = JOB_ROLLBACK;
                break;
        case 'P':
                job->kind = JOB_PASS;
                break;
        case 'o':
                job->kind = JOB_POLL;
                break;
        case 't':
                job->kind = JOB_TEXTFILE;
                break;
        case 's':
                job->kind = JOB_SWEEP;
                break;
        case 'c':
                job->kind = JOB_CLEAR;
                job->options.dry_run = true;
                break;
        case 'd':
                job->kind = JOB_HISTORY;
                break;
        default:
                job->kind = letter == 'a' ? JOB_EXPLAIN : JOB_PLAN;
        }
        if (letter >= 'a' && letter <= 'd')
                job->who.uid = (uid_t)letter;
        return job;
}

/* Each letter is submitted; at a '-' the first in the queue is done. */
static void test_order(void **state) {
        static const struct {
                const char *submitted, *done;
        } table[] = {
                { "abC", "Cab" },
                { "oRaPC", "RoCPa" },
                /* Polls and policy do not wait until nobody looks. */
                { "aaao", "oaaa" },
                { "aaa-ao", "aoaaa" },
                { "aaaP", "Paaa" },
                { "dddt", "tddd" },
                { "co", "oc" },
                /* A clear goes before a poll, a second one does not. */
                { "oC", "Co" },
                { "oCC", "CoC" },
                { "oCCRP", "CoCRP" },
                { "oC-C-o", "CoCo" },
                { "CCCo", "CCCo" },
                { "aoCC", "CoCa" },
                /* Users take turns, each in its order. */
                { "aaab", "abaa" },
                { "aaabbc", "abcaba" },
                { "aaa-b", "aaba" },
                { "aaab-b-b-b", "abaabbb" },
                { "aab-a-a-c", "abaaca" },
                /* A sweep is one of them. */
                { "aas", "asa" },
                { "sab", "sab" },
                { "aaas", "asaa" },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Job *queue = NULL;
                char done[32] = "";
                size_t n = 0;

                for (const char *at = table[i].submitted; *at || queue;) {
                        if (*at && *at != '-') {
                                queue_add(&queue, job_of(*at++));
                                continue;
                        }
                        at += *at == '-';
                        if (queue) {
                                Job *first = queue;

                                done[n++] = first->id[0];
                                queue = first->next;
                                job_free(first);
                        }
                }
                if (strcmp(done, table[i].done) != 0)
                        fail_msg("%s: %s, not %s", table[i].submitted, done, table[i].done);
        }
}

/* A result of one list, of so many strings. */
static Job *job_with(size_t n, const char *string) {
        Json *list = json_new_array();
        Job *job = job_of('C');

        for (size_t i = 0; i < n; i++)
                assert_int_equal(json_append_string(list, string), 0);
        job->result = json_new_object();
        assert_int_equal(json_add(job->result, "list", list), 0);
        return job;
}

static void test_result_without_room_in_a_reply(void **state) {
        cleanup(job_free) Job *small = job_with(10, "name"), *many = job_with(400000, "some name");
        cleanup(job_free) Job *long_string = NULL;
        cleanup_free char *text = malloc(JOB_TOLD_BYTES_MAX + 1);

        (void)state;
        job_shorten(small);
        assert_ptr_equal(job_told(small), small->result);
        job_shorten(many);
        assert_ptr_not_equal(job_told(many), many->result);
        assert_true(json_get_int(job_told(many), "omitted", 0) > 0);
        assert_int_equal(json_size(json_get(many->result, "list")), 400000);

        assert_non_null(text);
        memset(text, 'x', JOB_TOLD_BYTES_MAX);
        text[JOB_TOLD_BYTES_MAX] = '\0';
        long_string = job_with(1, text);
        job_shorten(long_string);
        assert_int_equal(long_string->untold, -EMSGSIZE);
        assert_null(job_told(long_string));
}

/* The sanitizers' allocator ends the program instead. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static void test_no_memory_to_shorten_a_result(void **state) {
        cleanup(job_free) Job *job = job_with(400000, "some name");
        struct rlimit before, none = { 0 };

        (void)state;
        assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
        none.rlim_max = before.rlim_max;
        assert_int_equal(setrlimit(RLIMIT_AS, &none), 0);
        job_shorten(job);
        assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
        assert_int_equal(job->untold, -ENOMEM);
        assert_null(job_told(job));
        assert_non_null(job->result);
}
#endif

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_order),
                cmocka_unit_test(test_result_without_room_in_a_reply),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
                cmocka_unit_test(test_no_memory_to_shorten_a_result),
#endif
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
