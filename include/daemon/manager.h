/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The daemon itself: owns the loop, the worker, the server, timers, signals, the watchdog, the
 * configuration in force, and what is known of the engine. All on the loop thread, which never
 * blocks.
 */

#include <systemd/sd-event.h>

#include "conf/config.h"
#include "daemon/server.h"
#include "janitor/job.h"

/* Clears and rollbacks that may wait at a time. */
#define QUEUE_MAX 8

/* Users and groups of one role, resolved when the configuration is loaded. */
typedef struct Role {
        gid_t *gids;
        size_t n_gids;
        uid_t *uids;
        size_t n_uids;
} Role;

/* A caller that waits for a job, or (job_id "") for whatever happens: Monitor. */
typedef struct Waiter {
        struct Manager *manager;
        Connection *connection;
        char job_id[RECEIPT_ID_MAX];
        bool more;
        sd_event_source *timer; /* until when the job must have started */
        struct Waiter *next;
} Waiter;

/* What is known of the job in progress. */
typedef struct Present {
        char id[RECEIPT_ID_MAX]; /* "": none */
        JobKind kind;
        Target target;
        int64_t started_sec;
        char step[32];
        char message[256];
} Present;

typedef struct Manager {
        sd_event *event;
        sd_event_source *worker_source, *poll_timer, *watchdog_timer, *extend_timer, *drain_timer;
        char *config_path;
        Config *config;
        unsigned generation; /* of it: counts loads */
        char *config_error;  /* why the newest file is not in force, or NULL */
        int64_t config_loaded_sec;
        Role operators, readers;

        StateDir *state;
        Worker *worker;
        Server *server;
        Waiter *waiters;

        Present present;
        char status_told[512]; /* the last STATUS= */
        Summary summary;       /* observed_sec 0: none yet */
        char *engine_reason;   /* why the engine is unavailable, or NULL */
        bool engine_known;     /* asked at least once */
        unsigned n_failures;   /* polls in a row */
        Json *last_clear;      /* Status.lastClear, or NULL */

        int64_t started_sec;
        bool stopping;
        uint64_t drain_until_usec; /* for getting the last answers out */
} Manager;

/*
 * Loads `config_path` (NULL: defaults), opens `state_path`, takes `listen_fd` if it is not
 * negative, starts the worker. Logs what is wrong and returns -errno.
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

/* Queues a job for the worker; fills in its id and its copy of the configuration. */
int manager_submit(Manager *manager, Job *job) must_check;

/* Type Status, or NULL on out of memory. */
Json *manager_status(Manager *manager);

/* Logs mistakes of a configuration, one record each. */
void log_config_errors(const ConfigErrors *errors);
