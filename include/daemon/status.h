/* SPDX-License-Identifier: MIT */
#pragma once

/* The reply to GetStatus. It has what the daemon knows already; no request goes to the engine. */

#include "daemon/alarms.h"
#include "daemon/inhibitors.h"
#include "daemon/queue.h"

/* The facts in status and metrics. All pointers are borrowed. */
typedef struct StatusFacts {
        const Config *config;
        const char *config_error; /* why the newest file is not in force, or NULL */
        int64_t config_loaded_sec;
        const char *state_path;
        int64_t started_sec; /* of the daemon */
        const EngineState *engine;
        const CurrentJob *current;
        const Inhibitors *inhibitors;
        const Alarms *alarms;
        bool event_stream_connected; /* and the engine answers */
        int64_t quiet_sec;
        size_t n_waiting; /* clears and rollbacks */
} StatusFacts;

/* Type Status, or NULL on out of memory. */
Json *status_json(const StatusFacts *facts);
/* Type Policy: `policy` as a worker made it, with the present hold, event stream and last run; NULL on out of
 * memory. */
Json *status_policy_json(const StatusFacts *facts, const Json *policy);
/* The present hold of policy. */
Hold status_hold(const StatusFacts *facts);
/* One line for a person; "": nothing is known yet. */
void status_line(const StatusFacts *facts, char *ret, size_t size);

/* The limits in force for the builder's cache; UINT64_MAX: none, or not known. */
void builder_limits(const Config *config, const Disks *disks, uint64_t *ret_max_bytes,
                    uint64_t *ret_target_bytes);
