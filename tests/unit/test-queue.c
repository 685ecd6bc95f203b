/* SPDX-License-Identifier: MIT */

/* Who goes first. A job is a letter: C a clear, R a rollback, P a policy run, o a poll, s a sweep, t the
 * text file, and a look of one user each: a, b, c (dry run), d (history). */

#include <string.h>

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

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_order) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
