/* SPDX-License-Identifier: MIT */
#pragma once

/* Submits jobs for callers, who then wait for them. A clear or plan may join one that is queued already. */

#include "daemon/inhibitors.h"
#include "daemon/server.h"
#include "daemon/waiters.h"
#include "daemon/workers.h"

/* What submitting needs. All pointers are borrowed. */
typedef struct Submitter {
        Workers *workers;
        Waiters *waiters;
        const Inhibitors *inhibitors; /* clears that wait there count as queued */
        uint64_t now_usec;            /* the loop's clock */
} Submitter;

/* A caller who waits for a job. The job must have started within `wait_usec`. */
typedef struct Caller {
        Connection *connection;
        bool more;
        uint64_t wait_usec;
} Caller;

/* Returns whether too many clears and rollbacks wait already for another one of this caller, after an error reply. */
bool submit_refused(const Submitter *self, Connection *connection);
/* Queues a job, and takes it over. The caller gets a reply once the job is done, or now if the job cannot be
 * queued. */
void submit_job(const Submitter *self, const Caller *caller, Job *job);
/* Has the caller wait for a clear that is queued or in progress, if it has the same options and will still look at
 * everything. Returns whether there is one. */
bool submit_join(const Submitter *self, const Caller *caller, const ClearOptions *options);
/* Has the caller wait for a plan of policy that is queued. Returns whether there is one. */
bool submit_join_plan(const Submitter *self, const Caller *caller);
/* Joins another clear if possible, otherwise queues this one. Takes `job` over. */
void submit_clear(const Submitter *self, const Caller *caller, Job *job);
