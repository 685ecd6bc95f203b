/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The daemon: owns the loop, the workers, the server, the configuration in force and the cores. All of it is used
 * on the loop thread, which never blocks.
 */

#include <systemd/sd-event.h>

#include "conf/config.h"
#include "conf/errors.h"
#include "daemon/access.h"
#include "daemon/alarm-notice.h"
#include "daemon/event-stream.h"
#include "daemon/inhibitors.h"
#include "daemon/monitors.h"
#include "daemon/schedule.h"
#include "daemon/server.h"
#include "daemon/waiters.h"
#include "daemon/workers.h"

typedef struct Manager {
        sd_event *event;
        sd_event_source *worker_source, *reader_source, *watchdog_timer, *extend_timer,
                *stopping_source, *drain_timer, *timer, *overdue_timer;
        char *config_path;
        Config *config;
        char *config_error; /* why the newest file is not in force, or NULL */
        int64_t config_loaded_sec;
        Role operators, readers;

        char *state_path;            /* the state directory */
        Store *store, *reader_store; /* used by the workers alone while those live */
        Workers workers;
        Server *server;
        Waiters waiters;
        Monitors monitors;
        Inhibitors inhibitors;
        Schedule schedule;
        EventStream events;
        Alarms alarms;
        AlarmHooks hooks;
        EngineState engine;

        char status_told[512]; /* the last STATUS= of sd_notify(3) */
        bool metrics_broken;   /* the metrics file could not be written */

        int64_t started_sec;
        bool stopping;
        uint64_t drain_until_usec; /* the last replies must be sent by then */
} Manager;

/*
 * Loads `config_path` (NULL: defaults), opens `state_path`, takes `listen_fd` if it is not negative, starts
 * the workers, and runs until a signal ends it. Logs what is wrong and returns -errno.
 */
int manager_run(const char *config_path, const char *state_path, int listen_fd) must_check;
