/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the daemon knows of its host. Plain fields, read by status, metrics and alarms; only dispatch.c
 * calls the functions that change them.
 */

#include "daemon/job-result.h"

/* Counted since the daemon's start. */
typedef struct Counters {
        uint64_t polls, poll_failures;
        uint64_t policy_runs, policy_run_failures;
        uint64_t clears[OUTCOME_MAX];
        uint64_t images_removed, records_removed; /* by policy */
        uint64_t policy_engine_bytes, policy_freed_bytes;
        uint64_t clear_engine_bytes, clear_freed_bytes;
        uint64_t events;
} Counters;

typedef struct EngineState {
        bool known;   /* the engine was asked at least once */
        char *reason; /* why the engine is unavailable, or NULL */
        int error;    /* the same as an error of docker/api.h; 0 while it is available */

        Summary summary; /* of the last poll; observed_sec 0: no poll since the start or the last clear */
        const Disk *full_disk; /* the first disk under pressure, in the summary; or NULL */
        Json *apps;            /* type App[] of the last search; NULL: none */
        Run last_clear;        /* id "": none */
        Run last_policy_run;   /* id "": none */
        StoreState store;      /* of the last job */
        Counters counters;
} EngineState;

/* Records whether the engine answers: `error` 0 and `reason` NULL if it does. Returns whether that changed, or was
 * not known before. */
bool engine_state_set(EngineState *self, int error, const char *reason);
/* Records a successful poll, and takes its summary over. */
void engine_state_polled(EngineState *self, Summary *summary);
/* Records a clear that has ended. */
void engine_state_cleared(EngineState *self, const Job *job);
/* Records a policy run that has ended. */
void engine_state_policy_run(EngineState *self, const PolicyResult *result);
/* Drops the caches of applications, which belong to the previous configuration. */
void engine_state_forget_apps(EngineState *self);
void engine_state_done(EngineState *self);
