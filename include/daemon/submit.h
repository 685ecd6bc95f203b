/* SPDX-License-Identifier: MIT */
#pragma once

/* Jobs of callers: a job is queued, or a clear joins another one, and the caller waits for it. */

#include "daemon/inhibitors.h"
#include "daemon/server.h"
#include "daemon/waiters.h"
#include "daemon/workers.h"

/* Where jobs go. All of it is borrowed. */
typedef struct Submitter {
        Workers *workers;
        Waiters *waiters;
        const Inhibitors *inhibitors; /* clears that wait there count as queued */
        uint64_t now_usec;            /* the loop's clock */
} Submitter;

/* Who waits for a job, and until when it must have started. */
typedef struct Caller {
        Connection *connection;
        bool more;
        uint64_t wait_usec;
} Caller;

/* Whether another clear or rollback of this caller finds no room; that is replied then. */
bool submit_refused(const Submitter *self, Connection *connection);
/* Queues a job, which is taken over. The caller has its answer once the job is done, or now if the job cannot
 * be queued. */
void submit_job(const Submitter *self, const Caller *caller, Job *job);
/* Whether a clear in progress or queued does as well, since it will still look at everything. The caller waits for
 * that one then. */
bool submit_join(const Submitter *self, const Caller *caller, const ClearOptions *options);
/* Whether a plan of policy is queued already. The caller waits for that one then. */
bool submit_join_plan(const Submitter *self, const Caller *caller);
/* Joins another clear if possible, otherwise queues this one. Takes `job` over. */
void submit_clear(const Submitter *self, const Caller *caller, Job *job);
