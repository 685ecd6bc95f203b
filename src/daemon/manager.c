/* SPDX-License-Identifier: MIT */

/*
 * How the daemon stops: the worker may be in a prune that must not be interrupted. So the loop goes on, and asks
 * systemd for time, until the workers have posted their last events and callers have their replies.
 */

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "base/span.h"
#include "conf/loader.h"
#include "daemon/dispatch.h"
#include "daemon/methods.h"
#include "daemon/reload.h"

#define EXTEND_USEC (30 * USEC_PER_SEC)
#define DRAIN_USEC USEC_PER_SEC
#define DRAIN_TICK_USEC (20 * USEC_PER_MSEC)

static int on_extend(sd_event_source *source, uint64_t usec, void *userdata) {
        sd_notifyf(false, "EXTEND_TIMEOUT_USEC=%llu", (unsigned long long)(2 * EXTEND_USEC));
        sd_event_source_set_time_relative(source, EXTEND_USEC);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* Ends the loop once the last replies are sent, or their time is over: a client may not read them. */
static int on_drain(sd_event_source *source, uint64_t usec, void *userdata) {
        Manager *manager = userdata;

        if (server_drained(manager->server) || now_boottime_usec() >= manager->drain_until_usec)
                return sd_event_exit(manager->event, 0);
        sd_event_source_set_time_relative(source, DRAIN_TICK_USEC);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* Called after every event while the daemon stops. Once both workers have posted their last event, only the last
 * replies remain to be sent. */
static int on_stopping(sd_event_source *source, void *userdata) {
        Manager *manager = userdata;

        if (!worker_stopped(manager->workers.janitor) || !worker_stopped(manager->workers.reader))
                return 0;
        sd_event_source_set_enabled(source, SD_EVENT_OFF);
        manager->drain_until_usec = now_boottime_usec() + DRAIN_USEC;
        return sd_event_add_time_relative(manager->event, &manager->drain_timer, CLOCK_BOOTTIME, 0,
                                          DRAIN_TICK_USEC, on_drain, manager);
}

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        Manager *manager = userdata;
        int r;

        if (manager->stopping)
                return 0;
        log_info("Stopping on signal %u", info->ssi_signo);
        manager->stopping = manager->hooks.stopping = true;
        sd_notify(false, "STOPPING=1");
        server_stop(manager->server);
        dispatch_stop(manager);
        r = sd_event_add_post(manager->event, &manager->stopping_source, on_stopping, manager);
        if (r < 0)
                return r;
        return sd_event_add_time_relative(manager->event, &manager->extend_timer, CLOCK_BOOTTIME, 0,
                                          0, on_extend, manager);
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        cleanup(strv_done) Strv keys = STRV_NULL;
        cleanup_free char *text = NULL;

        if (manager_reload(userdata, &keys, &text) < 0)
                log_debug("Reload refused"); /* the mistakes are in the log already */
        return 0;
}

static int on_watchdog(sd_event_source *source, uint64_t usec, void *userdata) {
        Manager *manager = userdata;
        uint64_t interval_usec = 0;

        if (worker_healthy(manager->workers.janitor) && worker_healthy(manager->workers.reader))
                sd_notify(false, "WATCHDOG=1");
        if (sd_watchdog_enabled(false, &interval_usec) <= 0)
                return 0;
        sd_event_source_set_time_relative(source, interval_usec / 2);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_last_clear(void *userdata, const Run *run) {
        Manager *manager = userdata;

        /* The previous daemon ended during this clear. */
        if (strcmp(run->outcome, outcome_to_string(OUTCOME_INTERRUPTED)) == 0)
                log_warning("The clear of receipt %s was interrupted: it proved nothing%s%s%s",
                            run->id,
                            run->took_names ? "; names it may have taken can be put back by "
                                              "'wpcachectl rollback "
                                            : "",
                            run->took_names ? run->id : "", run->took_names ? "'" : "");
        manager->engine.last_clear = *run;
        return 0;
}

static int on_last_policy_run(void *userdata, const Run *run) {
        ((Manager *)userdata)->engine.last_policy_run = *run;
        return 0;
}

static int load_last_runs(Manager *manager, Diag *reterr_diag) {
        int r;

        r = store_list_runs(manager->store, "clear", 0, 1, on_last_clear, manager, reterr_diag);
        if (r >= 0)
                r = store_list_runs(manager->store, "policy", 0, 1, on_last_policy_run, manager,
                                    reterr_diag);
        return r;
}

/* A disk that can't be written to does not stop the start; it raises an alarm. */
static int open_store(Manager *manager, const char *path) {
        Diag diag = DIAG_NULL, damage = DIAG_NULL;
        int r;

        r = store_open(path, &manager->store, &diag);
        if (r >= 0 && store_take_damage(manager->store, &damage))
                log_error("%s", diag_text(&damage, -EBADMSG));
        if (r >= 0)
                r = store_open_reader(manager->store, &manager->reader_store);
        if (r < 0) {
                log_error("%s", diag_text(&diag, r));
                return r;
        }
        store_state(manager->store, &manager->engine.store);
        if (!manager->engine.store.readable)
                return 0;
        r = load_last_runs(manager, &diag);
        if (r < 0)
                log_error("The last clear and the last policy pass cannot be read: %s",
                          diag_text(&diag, r));
        return r == -ENOMEM ? r : 0;
}

static int add_sources(Manager *manager) {
        uint64_t watchdog_usec = 0;
        int r;

        r = sd_event_add_signal(manager->event, NULL, SIGTERM, on_stop, manager);
        if (r >= 0)
                r = sd_event_add_signal(manager->event, NULL, SIGINT, on_stop, manager);
        if (r >= 0)
                r = sd_event_add_signal(manager->event, NULL, SIGHUP, on_hangup, manager);
        if (r >= 0 && sd_watchdog_enabled(false, &watchdog_usec) > 0)
                r = sd_event_add_time_relative(manager->event, &manager->watchdog_timer,
                                               CLOCK_BOOTTIME, 0, 0, on_watchdog, manager);
        return r;
}

static Manager *manager_free(Manager *manager) {
        if (!manager)
                return NULL;
        waiters_done(&manager->waiters);
        monitors_done(&manager->monitors);
        server_free(manager->server);
        dispatch_free(manager);
        store_close(manager->reader_store);
        store_close(manager->store);
        alarm_hooks_done(&manager->hooks);
        alarms_done(&manager->alarms);
        sd_event_source_disable_unref(manager->watchdog_timer);
        sd_event_source_disable_unref(manager->extend_timer);
        sd_event_source_disable_unref(manager->stopping_source);
        sd_event_source_disable_unref(manager->drain_timer);
        sd_event_unref(manager->event);
        role_done(&manager->operators);
        role_done(&manager->readers);
        config_free(manager->config);
        free(manager->config_path);
        free(manager->state_path);
        free(manager->config_error);
        engine_state_done(&manager->engine);
        free(manager);
        return NULL;
}
DEFINE_CLEANUP(Manager *, manager_free);

static int load_first_config(Manager *manager) {
        cleanup(config_free) Config *config = NULL;
        ConfigErrors errors = { 0 };
        int r;

        r = config_load(manager->config_path, &config, &errors);
        log_config_errors(&errors);
        config_errors_done(&errors);
        if (r < 0)
                return r;
        r = use_config(manager, config);
        if (r < 0) {
                log_error_errno(r, "Cannot start");
                return r;
        }
        TAKE_PTR(config);
        return 0;
}

static int manager_start(Manager *manager, const char *config_path, const char *state_path,
                         int listen_fd) {
        const ServerHandler handler = { methods_right, methods_on_call, methods_on_gone, manager };
        cleanup_close int fd = listen_fd;
        Diag diag = DIAG_NULL;
        int r;

        manager->started_sec = now_realtime_sec();
        manager->config_path = config_path ? strdup(config_path) : NULL;
        manager->state_path = strdup(state_path);
        if ((config_path && !manager->config_path) || !manager->state_path)
                return log_error_errno(-ENOMEM, "Cannot start");
        r = load_first_config(manager);
        if (r < 0)
                return r;
        r = open_store(manager, state_path);
        if (r < 0)
                return r;
        r = sd_event_default(&manager->event);
        if (r < 0)
                return log_error_errno(r, "Cannot make the event loop");
        manager->hooks.event = manager->event;
        r = server_new(manager->event, TAKE_FD(fd), manager->config->control_socket, &handler,
                       &manager->server, &diag);
        if (r < 0) {
                log_error("%s", diag_text(&diag, r));
                return r;
        }
        r = dispatch_start(manager);
        if (r < 0)
                return log_error_errno(r, "Cannot start the worker threads");
        r = add_sources(manager);
        if (r < 0)
                return log_error_errno(r, "Cannot set up the event loop");
        log_info("wpcached " WPCACHE_VERSION " serves %s, engine socket %s",
                 manager->config->control_socket, manager->config->docker_socket);
        return 0;
}

int manager_run(const char *config_path, const char *state_path, int listen_fd) {
        cleanup(manager_free) Manager *manager = calloc(1, sizeof(*manager));
        int r;

        if (!manager)
                return log_error_errno(-ENOMEM, "Cannot start");
        r = manager_start(manager, config_path, state_path, listen_fd);
        if (r < 0)
                return r;
        sd_notify(false, "READY=1\nSTATUS=Started");
        r = sd_event_loop(manager->event);
        if (r < 0)
                return log_error_errno(r, "The event loop failed");
        log_info("Stopped");
        return r;
}
