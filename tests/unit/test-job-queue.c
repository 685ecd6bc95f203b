/* SPDX-License-Identifier: MIT */

/* Which jobs remove, what the current job is, who may have another job wait, why a job has to wait. */

#include <string.h>

#include "daemon/queue.h"
#include "test.h"

/* A letter is a job: C a clear, c its dry run, R a rollback, P a policy run, o a poll, s a sweep, p a plan,
 * e an explanation. */
static Job job_of(char letter) {
        Job job = { .id = { letter }, .kind = JOB_POLL, .who.uid = 1000 };

        switch (letter) {
        case 'c':
                job.options.dry_run = true;
                job.kind = JOB_CLEAR;
                break;
        case 'C':
                job.kind = JOB_CLEAR;
                break;
        case 'R':
                job.kind = JOB_ROLLBACK;
                break;
        case 'P':
                job.kind = JOB_PASS;
                break;
        case 's':
                job.kind = JOB_SWEEP;
                break;
        case 'p':
                job.kind = JOB_PLAN;
                break;
        case 'e':
                job.kind = JOB_EXPLAIN;
        }
        return job;
}

static void tell(JobQueue *queue, JobEventKind kind, char letter) {
        JobEvent event = { .kind = kind,
                           .job_id = { letter },
                           .job_kind = job_of(letter).kind,
                           .target = "all",
                           .time_sec = 100 };

        job_queue_update(queue, &event);
}

/* "+C" submits the clear, ">C" starts it, ".C" ends it, "-C" withdraws it. */
static void apply(JobQueue *queue, const char *steps) {
        for (const char *at = steps; *at; at += 2) {
                Job job = job_of(at[1]);

                if (*at == '+')
                        assert_int_equal(job_queue_add(queue, &job), 0);
                else if (*at == '-')
                        job_queue_remove(queue, job.id);
                else
                        tell(queue, *at == '>' ? JOB_EVENT_STARTED : JOB_EVENT_DONE, at[1]);
        }
}

static void test_jobs(void **state) {
        static const struct {
                const char *steps;
                bool removes;
                const char *current, *busy; /* at 110 s */
                bool current_removes;
        } table[] = {
                { "", false, "", "another job is in progress" },
                { "+C", true, "", "another job is in progress" },
                { "+C-C", false, "", "another job is in progress" },
                { "+C>C", true, "C", "a clear of all by uid 1000 runs since 10s", true },
                { "+C>C.C", false, "", "another job is in progress" },
                { "+C+R>C.C", true, "", "another job is in progress" },
                { "+R>R", true, "R", "a rollback by uid 1000 runs since 10s", true },
                { "+P>P", true, "P", "a policy pass runs since 10s", true },
                /* A dry run removes nothing. */
                { "+c>c", false, "c", "a dry run of a clear of all runs since 10s" },
                { "+p>p", false, "p", "a plan runs since 10s" },
                { "+e>e", false, "e", "an explanation runs since 10s" },
                { "+s>s", false, "s", "a sweep of left-over caches runs since 10s" },
                { "+o>o", false, "o", "a look at the engine runs since 10s" },
                /* A poll ends in a pause of a clear. */
                { "+C>C+o.o", true, "C", "a clear of all by uid 1000 runs since 10s", true },
                { "+o>o+C.o", true, "", "another job is in progress" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                JobQueue queue = { 0 };
                cleanup_free char *busy = NULL;

                apply(&queue, table[i].steps);
                busy = job_queue_busy_text(&queue, 110);
                if (job_queue_removes(&queue) != table[i].removes ||
                    strcmp(queue.current.id, table[i].current) != 0 ||
                    strcmp(busy, table[i].busy) != 0 ||
                    job_queue_current_removes(&queue) != table[i].current_removes)
                        fail_msg("%s: removes %i, current '%s', %s", table[i].steps,
                                 job_queue_removes(&queue), queue.current.id, busy);
                job_queue_done(&queue);
        }
        (void)state;
}

static void test_limit(void **state) {
        static const struct {
                size_t n_waiting;
                uid_t uid;
                bool full;
        } table[] = {
                { QUEUE_MAX - 1, 1000, false }, { QUEUE_MAX, 1000, true },
                { QUEUE_MAX, 0, false },        { QUEUE_ROOT_MAX - 1, 0, false },
                { QUEUE_ROOT_MAX, 0, true },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_int_equal(job_queue_full(table[i].n_waiting, table[i].uid), table[i].full);
        (void)state;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_jobs),
                cmocka_unit_test(test_limit),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
