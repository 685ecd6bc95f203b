/* SPDX-License-Identifier: MIT */
#pragma once

/* Callers that wait for a job. Plain values without clock or I/O. */

#include "janitor/job.h"

typedef struct Connection Connection;

typedef struct Waiter {
        Connection *connection; /* borrowed, and not used in waiters.c */
        char job_id[RECEIPT_ID_MAX];
        JobKind kind;
        unsigned generation; /* of the configuration, when the caller asked */
        bool more;           /* the caller asked for progress */
        bool removes; /* the job removes something; any other job is withdrawn if no caller waits for it */
        uint64_t deadline_usec; /* until when the job must have started; USEC_INFINITY: it has */
        struct Waiter *next;
} Waiter;

typedef struct Waiters {
        Waiter *first;
} Waiters;

/* Copies the waiter. 0 or -ENOMEM. */
int waiters_add(Waiters *self, const Waiter *waiter) must_check;
void waiters_remove(Waiters *self, Waiter *waiter);
/* A waiter of this connection, or NULL. There may be several: an error can end a call of which the waiter stays. */
Waiter *waiters_find(const Waiters *self, const Connection *connection);
/* Whether no other caller waits for the same job. */
bool waiters_alone(const Waiters *self, const Waiter *waiter);
/* The id of a plan of policy that a caller waits for, that has not started, and that is of this generation of
 * the configuration; or NULL. */
const char *waiters_find_plan(const Waiters *self, unsigned generation);
/* The job has started. */
void waiters_started(Waiters *self, const char *job_id);
/* A waiter whose deadline is reached, or NULL. */
Waiter *waiters_expired(const Waiters *self, uint64_t now_usec);
/* The earliest deadline; USEC_INFINITY: there is none. */
uint64_t waiters_deadline(const Waiters *self);
void waiters_done(Waiters *self);
