/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The daemon itself: owns the loop, the workers, the server, signals, the watchdog, the
 * configuration in force, and what is known of the engine. All on the loop thread, which never
 * blocks.
 */

#include <systemd/sd-event.h>

#include "conf/config.h"
#include "conf/errors.h"
#include "daemon/access.h"
#include "daemon/alarm.h"
#include "daemon/inhibit.h"
#include "daemon/metrics.h"
#include "daemon/schedule.h"
#include "daemon/server.h"
#include "daemon/waiter.h"
#include "janitor/job.h"

/* Clears and rollbacks that may wait at a time; more of them where root asks. */
#define QUEUE_MAX 8
#define QUEUE_ROOT_MAX 12

/* What is known of the job in progress. */
typedef struct Present {
        char id[RECEIPT_ID_MAX]; /* "": none */
        JobKind kind;
        char target[APP_NAME_MAX]; /* of a clear */
        int64_t started_sec;
        char step[32];
        char message[256];
} Present;

/*
 * A job that removes or renames, from its submission until it is done. The worker's own word for it
 * comes too late: a job may have left its queue and not have told yet that it started.
 */
typedef struct Removal {
        char id[RECEIPT_ID_MAX];
        char who[64]; /* "": the daemon on its own */
        struct Removal *next;
} Removal;

struct Manager {
        sd_event *event;
        sd_event_source *worker_source, *reader_source, *watchdog_timer, *extend_timer,
                *drain_timer;
        char *config_path;
        Config *config;
        unsigned generation; /* of it: counts loads */
        char *config_error;  /* why the newest file is not in force, or NULL */
        int64_t config_loaded_sec;
        Role operators, readers;

        char *state_path;            /* the state directory */
        Store *store, *reader_store; /* used by the workers alone while those live */
        StoreState store_now;        /* as the last job found it */
        Worker *worker, *reader;
        Server *server;
        Waiter *waiters;
        Removal *removals;
        Schedule schedule;
        Turns turns;
        Alarms alarms;
        Counters counters;

        Present present;
        char status_told[512]; /* the last STATUS= */
        Summary summary;       /* observed_sec 0: none yet */
        char *engine_reason;   /* why the engine is unavailable, or NULL */
        int engine_error;      /* the same as an error of docker/api.h; 0 while it is available */
        bool engine_known;     /* asked at least once */
        Json *apps;            /* type App[] as last looked at, or NULL */
        Json *last_clear;      /* Status.lastClear, or NULL */
        Json *last_pass;       /* Policy.lastRun, or NULL */
        bool textfile_broken;  /* its failure was told */

        int64_t started_sec;
        bool stopping;
        uint64_t drain_until_usec; /* for getting the last answers out */
};

/*
 * Loads `config_path` (NULL: defaults), opens `state_path`, takes `listen_fd` if it is not
 * negative, starts the workers. Logs what is wrong and returns -errno.
 */
int manager_new(const char *config_path, const char *state_path, int listen_fd,
                Manager **ret) must_check;
Manager *manager_free(Manager *manager);
DEFINE_CLEANUP(Manager *, manager_free);

/* Runs until a signal ends it. */
int manager_run(Manager *manager) must_check;

/* Loads the configuration again: 0, or -EINVAL with the mistakes in `*reterr_text` (malloc'ed); the
 * old one stays in force then. `ret_restart_keys` names keys that need a restart. */
int manager_reload(Manager *manager, Strv *ret_restart_keys, char **reterr_text) must_check;

/* Queues a job for its worker and takes it over, also on -ENOMEM; fills in its id and its copy of
 * the configuration. */
int manager_submit(Manager *manager, Job *job, char ret_id[static RECEIPT_ID_MAX]) must_check;
/* Whether nobody like `peer` may have another clear or rollback wait. */
bool manager_queue_full(const Manager *manager, const Peer *peer);
/* Takes back and drops a job that has not started: true; false if it has. */
bool manager_withdraw(Manager *manager, const char *job_id);

/* Whether the engine answers is known anew: `error` 0 and `reason` NULL, it does. Logs a change once. */
void manager_engine_is(Manager *manager, int error, const char *reason);

/* What is in the way of a job now: "a clear of all by root runs since 3min"; malloc'ed or NULL. */
char *manager_busy_text(const Manager *manager);

/* Type Status, or NULL on out of memory. */
Json *manager_status(const Manager *manager);
/* Type Policy from what the worker said, with what only the loop thread knows. */
Json *manager_policy(const Manager *manager, const Json *policy);
/* What holds policy by now: of the last poll, and of the inhibitors that came and went since. */
Hold manager_hold(const Manager *manager);
/* The limits in force for the builder's cache; UINT64_MAX: none, or not known. */
void manager_builder_limits(const Manager *manager, uint64_t *ret_max_bytes,
                            uint64_t *ret_target_bytes);

/* Logs mistakes of a configuration, one record each. */
void log_config_errors(const ConfigErrors *errors);
