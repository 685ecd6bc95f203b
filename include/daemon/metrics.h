/* SPDX-License-Identifier: MIT */
#pragma once

/* Prometheus' text format (exposition format 0.0.4) of what the manager knows. */

#include "janitor/receipt.h"

typedef struct Manager Manager;

/* Counted since the daemon's start. */
typedef struct Counters {
        uint64_t polls, poll_failures;
        uint64_t passes, pass_failures;
        uint64_t clears[OUTCOME_MAX];
        uint64_t images_removed, records_removed; /* by policy */
        uint64_t policy_engine_bytes, policy_freed_bytes;
        uint64_t clear_engine_bytes, clear_freed_bytes;
        uint64_t events;
} Counters;

/* malloc'ed, NULL on out of memory. */
char *metrics_text(const Manager *manager);

/* Has the reader write [metrics] textfile, if there is one. */
void metrics_write(Manager *manager);
/* That was done. */
void metrics_written(Manager *manager, const Job *job);
