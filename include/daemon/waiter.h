/* SPDX-License-Identifier: MIT */
#pragma once

/* Callers that wait for a job. Part of the manager. */

#include <systemd/sd-event.h>

#include "daemon/server.h"
#include "janitor/job.h"

typedef struct Manager Manager;

typedef struct Waiter {
        Manager *manager;
        Connection *connection;
        char job_id[RECEIPT_ID_MAX];
        JobKind kind;
        unsigned generation; /* of the configuration, when it asked */
        bool more;
        bool looks;             /* the job changes nothing: nobody needs it once its callers left */
        sd_event_source *timer; /* until when the job must have started */
        struct Waiter *next;
} Waiter;

/* Waits for a queued or running job; `wait_usec` bounds how long it may stay queued. */
void waiter_add_for_job(Manager *manager, Connection *connection, const char *job_id, JobKind kind,
                        bool looks, bool more, uint64_t wait_usec);
/* The id of a plan of policy that somebody waits for and that has not started, or NULL. */
const char *waiters_find_plan(const Manager *manager);

void waiters_on_gone(Manager *manager, Connection *connection);

/* Tells everybody concerned of an event of a worker. */
void waiters_tell(Manager *manager, const JobEvent *event);
void waiters_free(Manager *manager);
