/* SPDX-License-Identifier: MIT */

#include <string.h>

#include "base/log.h"
#include "daemon/reply.h"
#include "daemon/submit.h"
#include "wire/interface.h"

bool submit_refused(const Submitter *self, Connection *connection) {
        size_t n_waiting =
                worker_queued(self->workers->janitor) + inhibitors_waiting(self->inhibitors);

        if (!job_queue_full(n_waiting, connection_peer(connection)->uid))
                return false;
        reply_error(connection, ERROR_BUSY, "reason", "too many jobs are waiting");
        return true;
}

/* Until when a job must have started. A current job that removes nothing (a dry run, too) ends soon, so it does not count
 * against a caller who does not want to wait. */
static uint64_t deadline_of(const Submitter *self, const Caller *caller, const char *job_id) {
        const JobQueue *queue = &self->workers->queue;
        uint64_t usec = self->now_usec + caller->wait_usec;

        if (strcmp(queue->current.id, job_id) == 0)
                return USEC_INFINITY; /* it runs */
        if (!job_queue_current_removes(queue))
                usec += 4 * self->workers->config->timeout_usec;
        return usec;
}

static void wait_for_job(const Submitter *self, const Caller *caller, const char *job_id,
                         JobKind kind, bool removes) {
        Waiter waiter = {
                .connection = caller->connection,
                .kind = kind,
                .generation = self->workers->generation,
                .more = caller->more,
                .removes = removes,
                .deadline_usec = deadline_of(self, caller, job_id),
        };

        strcpy(waiter.job_id, job_id);
        if (waiters_add(self->waiters, &waiter) < 0)
                reply_no_memory(caller->connection);
}

void submit_job(const Submitter *self, const Caller *caller, Job *job) {
        bool removes = job_removes(job);
        JobKind kind = job->kind;
        char id[RECEIPT_ID_MAX];

        if (removes && submit_refused(self, caller->connection))
                job_free(job);
        else if (workers_submit(self->workers, job, id) < 0)
                reply_no_memory(caller->connection);
        else
                wait_for_job(self, caller, id, kind, removes);
}

bool submit_join(const Submitter *self, const Caller *caller, const ClearOptions *options) {
        const Peer *peer = connection_peer(caller->connection);
        char id[RECEIPT_ID_MAX];

        if (!worker_find_clear(self->workers->janitor, options, self->workers->generation, id))
                return false;
        log_info("Clear of %s joined by uid %u (pid %i)",
                 target_to_string(options->target, options->app), peer->uid, peer->pid);
        wait_for_job(self, caller, id, JOB_CLEAR, !options->dry_run);
        return true;
}

bool submit_join_plan(const Submitter *self, const Caller *caller) {
        const char *id = waiters_find_plan(self->waiters, self->workers->generation);

        if (id)
                wait_for_job(self, caller, id, JOB_PLAN, false);
        return id;
}

void submit_clear(const Submitter *self, const Caller *caller, Job *job) {
        if (submit_join(self, caller, &job->options))
                job_free(job);
        else
                submit_job(self, caller, job);
}
