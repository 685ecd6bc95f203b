/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * When to look and when to act: the poll timer, the engine's events, what a poll found, and whether
 * policy's turn has come. Part of the manager, on the loop thread.
 */

#include <systemd/sd-event.h>

#include "janitor/job.h"
#include "janitor/watcher.h"

typedef struct Manager Manager;

/* Freed space shows a moment later. */
#define FREED_SETTLE_USEC (2 * USEC_PER_SEC)

typedef struct Schedule {
        sd_event_source *timer, *overdue_timer, *watcher_source;
        TagEvents *tag_events; /* what the watcher hears; jobs read it */
        Watcher *watcher;
        char *watched_socket, *watched_tag; /* the configuration that it was started with */
        bool watching;                      /* its stream is connected */

        /* The loop's clock, CLOCK_BOOTTIME. */
        uint64_t polled_usec;                     /* the end of the last poll */
        uint64_t next_usec;                       /* the regular poll */
        uint64_t wanted_usec;                     /* one that was asked for; USEC_INFINITY: none */
        uint64_t news_first_usec, news_last_usec; /* of events not looked at yet; 0: none */
        uint64_t pass_after_usec;                 /* no pass before */

        bool polling;                 /* a poll is with the worker */
        char pass_id[RECEIPT_ID_MAX]; /* the pass that is with the worker, or "" */
        unsigned n_vain;              /* passes in a row that did not help */

        /* now_boottime_usec() */
        uint64_t activity_usec; /* when something last happened */
        unsigned n_failures;    /* polls in a row */
        uint64_t failing_since_usec;
} Schedule;

/* The first poll comes at once. */
int schedule_start(Manager *manager) must_check;
/* Another configuration: follows it, and polls at once. */
void schedule_reload(Manager *manager);
/* No further polls, passes or events. */
void schedule_stop(Manager *manager);
/* The jobs are over. */
void schedule_free(Manager *manager);

/* A poll in `usec`, if none comes earlier. */
void schedule_poll_within(Manager *manager, uint64_t usec);

void schedule_poll_done(Manager *manager, Job *job);
void schedule_pass_done(Manager *manager, const Job *job);

/* Takes a pass that has not started back: an inhibitor need not wait for it. */
void schedule_withdraw_pass(Manager *manager);

/* What a job that decides has to know from here. */
Surroundings schedule_surroundings(const Manager *manager);
/* For how long nothing has happened. */
int64_t schedule_quiet_sec(const Manager *manager);
/* Which images got a name lately; NULL: the engine's events are not listened to. Jobs may use it until
 * schedule_free(). */
TagEvents *schedule_tag_events(const Manager *manager);
/* The engine's events are listened to. */
bool schedule_hears_events(const Manager *manager);
