/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * When to poll, and when policy runs. Plain values without clock or I/O.
 *
 * There are two clocks, which differ in tests only: the loop's clock, which timers use, and the host's clock,
 * now_boottime_usec(), which tests move. Times of the watcher and ages for policy use the host's clock.
 */

#include "daemon/job-result.h"

/* Freed space appears on the disk, and the first steps of a build in the engine, a moment later. */
#define SETTLE_USEC (2 * USEC_PER_SEC)

typedef struct Schedule {
        /* The loop's clock. */
        uint64_t polled_usec; /* the end of the last poll */
        uint64_t next_usec;   /* the regular poll */
        uint64_t wanted_usec; /* a poll that was asked for; USEC_INFINITY: none */
        uint64_t news_first_usec, news_last_usec; /* of events since the last poll; 0: none */
        uint64_t policy_after_usec;               /* no policy run before */

        /* The host's clock. */
        uint64_t activity_usec; /* when something last happened */
        uint64_t failing_since_usec;

        bool polling;                   /* a poll is with the worker */
        bool stopped;                   /* the daemon stops: no further polls and policy runs */
        char policy_id[RECEIPT_ID_MAX]; /* the policy run that is with the worker, or "" */
        unsigned n_no_progress;         /* policy runs in a row that made no progress */
        unsigned n_failures;            /* polls in a row that failed */
} Schedule;

/* The facts that decisions depend on. */
typedef struct ScheduleFacts {
        const Config *config;
        const Summary *summary;      /* of the last poll */
        bool event_stream_connected; /* and the engine answers */
        bool busy;                   /* something removes, or a request is held or waits */
        uint64_t now_usec, host_usec;
} ScheduleFacts;

/* The first poll comes at once. */
void schedule_init(Schedule *self, uint64_t now_usec, uint64_t host_usec);
/* Another configuration is in force: forgets the back-off of policy, and polls at once. */
void schedule_reload(Schedule *self, uint64_t now_usec);
/* Asks for a poll in `usec`, if none comes earlier. */
void schedule_poll_within(Schedule *self, uint64_t now_usec, uint64_t usec);
/* Events came. `last_usec` (the host's clock) is the time of the newest event that counts as activity. Returns
 * whether that is new activity: a policy run that has not started must be withdrawn then, since it was decided on a
 * quiet host. */
bool schedule_events(Schedule *self, uint64_t now_usec, uint64_t last_usec);

/* When the next poll is due; USEC_INFINITY: never, or it is with the worker. */
uint64_t schedule_poll_at(const Schedule *self, const ScheduleFacts *facts);
/* The poll that is due begins. */
void schedule_poll_begins(Schedule *self);
/* The poll could not be submitted: the next one is due an interval later. */
void schedule_poll_delayed(Schedule *self, const ScheduleFacts *facts);
void schedule_poll_failed(Schedule *self, const ScheduleFacts *facts);
/* A poll succeeded; facts->summary is its result. Returns whether policy is to run now. */
bool schedule_polled(Schedule *self, const ScheduleFacts *facts);
/* A policy run has ended. */
void schedule_policy_ended(Schedule *self, const PolicyResult *result, const ScheduleFacts *facts);

/* How long from now until the next poll has to have ended. */
uint64_t schedule_overdue_usec(const Schedule *self, const ScheduleFacts *facts);
/* For how long nothing has happened on the host. */
int64_t schedule_quiet_sec(const Schedule *self, uint64_t host_usec);
/* The present hold of policy, where the last poll told `hold`: inhibitors may have come or ended since. */
Hold hold_now(Hold hold, size_t n_inhibitors, int64_t quiet_sec, const Config *config);
