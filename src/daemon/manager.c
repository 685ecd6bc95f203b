/* SPDX-License-Identifier: MIT */

/*
 * Stopping is the delicate part: the worker may sit in a prune that must not be cut, so the loop
 * goes on turning, asking systemd for time, until the workers have posted their last events and
 * those who wait for them have their answer; see jobs.c.
 */

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "base/span.h"
#include "conf/loader.h"
#include "daemon/jobs.h"
#include "daemon/methods.h"

#define EXTEND_USEC (30 * USEC_PER_SEC)
#define ERRORS_SHOWN_MAX 10

/* Notes are for who checks a file; status shows how a root stands. */
void log_config_errors(const ConfigErrors *errors) {
        for (size_t i = 0; i < errors->n + errors->n_remarks; i++) {
                ConfigLevel level = errors->v[i].level;
                cleanup_free char *text = config_error_text(&errors->v[i]);

                if (level != CONFIG_NOTE)
                        log_full(level == CONFIG_MISTAKE ? LOG_ERR : LOG_WARNING, 0, NULL, "%s",
                                 text ?: "out of memory");
        }
}

/* Puts a configuration in force and takes it over. */
static int use_config(Manager *manager, Config *config) {
        cleanup(role_done) Role operators = { 0 }, readers = { 0 };
        int r;

        r = role_resolve("operators", &config->operators, &operators);
        if (r >= 0)
                r = role_resolve("readers", &config->readers, &readers);
        if (r < 0)
                return r;
        role_done(&manager->operators);
        role_done(&manager->readers);
        manager->operators = operators;
        manager->readers = readers;
        operators = readers = (Role){ 0 };
        config_free(manager->config);
        manager->config = config;
        json_free(manager->apps); /* of the one before */
        manager->apps = NULL;
        manager->generation++;
        free(manager->config_error);
        manager->config_error = NULL;
        manager->config_loaded_sec = now_realtime_sec();
        return 0;
}

/* The first mistakes: a file that is no configuration at all has thousands, and these go out with
 * every status. The log has them all. */
static char *errors_text(const ConfigErrors *errors) {
        cleanup(strv_done) Strv lines = STRV_NULL;
        size_t n = MIN(errors->n, (size_t)ERRORS_SHOWN_MAX);

        for (size_t i = 0; i < n; i++) {
                cleanup_free char *line = config_error_text(&errors->v[i]);

                if (!line || strv_add(&lines, line) < 0)
                        return NULL;
        }
        if (n < errors->n) {
                char line[64];

                snprintf(line, sizeof(line), "and %zu more", errors->n - n);
                if (strv_add(&lines, line) < 0)
                        return NULL;
        }
        return strv_join(&lines, "\n");
}

int manager_reload(Manager *manager, Strv *ret_restart_keys, char **reterr_text) {
        cleanup(config_free) Config *config = NULL;
        cleanup(strv_done) Strv keys = STRV_NULL;
        ConfigErrors errors = { 0 };
        int r;

        sd_notify(false, "RELOADING=1");
        r = config_load(manager->config_path, &config, &errors);
        log_config_errors(&errors);
        if (r >= 0)
                r = config_restart_keys(manager->config, config, &keys);
        if (r >= 0)
                r = use_config(manager, config);
        if (r >= 0) {
                TAKE_PTR(config);
                server_rights_changed(manager->server);
                for (size_t i = 0; i < keys.n; i++)
                        log_warning("%s changed: it takes effect after a restart", keys.v[i]);
                log_notice("Configuration reloaded");
                waiters_tell_monitors(manager, "reload", "configuration reloaded");
                *ret_restart_keys = keys;
                keys = STRV_NULL;
                manager->textfile_broken = false;
                schedule_reload(manager);
        } else {
                log_error("The configuration was not reloaded; the one in force stays");
                free(manager->config_error);
                manager->config_error = errors_text(&errors);
                waiters_tell_monitors(manager, "reload",
                                      manager->config_error ?: "configuration not reloaded");
                *reterr_text = manager->config_error ? strdup(manager->config_error) : NULL;
                r = -EINVAL;
        }
        config_errors_done(&errors);
        sd_notify(false, "READY=1");
        return r;
}

static int on_extend(sd_event_source *source, uint64_t usec, void *userdata) {
        (void)usec;
        (void)userdata;
        sd_notifyf(false, "EXTEND_TIMEOUT_USEC=%llu", (unsigned long long)(2 * EXTEND_USEC));
        sd_event_source_set_time_relative(source, EXTEND_USEC);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        Manager *manager = userdata;

        (void)source;
        if (manager->stopping)
                return 0;
        log_info("Stopping on signal %u", info->ssi_signo);
        manager->stopping = true;
        sd_notify(false, "STOPPING=1");
        server_stop(manager->server);
        inhibit_stop(manager);
        worker_stop(manager->worker);
        worker_stop(manager->reader);
        schedule_stop(manager);
        return sd_event_add_time_relative(manager->event, &manager->extend_timer, CLOCK_BOOTTIME, 0,
                                          0, on_extend, manager);
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        cleanup(strv_done) Strv keys = STRV_NULL;
        cleanup_free char *text = NULL;

        (void)source;
        (void)info;
        if (manager_reload(userdata, &keys, &text) < 0)
                log_debug("Reload refused"); /* what is wrong is in the log already */
        return 0;
}

static int on_watchdog(sd_event_source *source, uint64_t usec, void *userdata) {
        Manager *manager = userdata;
        uint64_t interval_usec = 0;

        (void)usec;
        if (worker_healthy(manager->worker) && worker_healthy(manager->reader))
                sd_notify(false, "WATCHDOG=1");
        if (sd_watchdog_enabled(false, &interval_usec) <= 0)
                return 0;
        sd_event_source_set_time_relative(source, interval_usec / 2);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
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
        store_state(manager->store, &manager->store_now);
        if (!manager->store_now.readable)
                return 0;
        r = jobs_remember(manager, &diag);
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
        if (r >= 0)
                r = schedule_start(manager);
        if (r >= 0 && sd_watchdog_enabled(false, &watchdog_usec) > 0)
                r = sd_event_add_time_relative(manager->event, &manager->watchdog_timer,
                                               CLOCK_BOOTTIME, 0, 0, on_watchdog, manager);
        return r;
}

int manager_new(const char *config_path, const char *state_path, int listen_fd, Manager **ret) {
        cleanup(manager_free) Manager *manager = calloc(1, sizeof(*manager));
        cleanup_close int fd = listen_fd;
        cleanup(config_free) Config *config = NULL;
        ConfigErrors errors = { 0 };
        Diag diag = DIAG_NULL;
        ServerHandler handler;
        int r;

        if (!manager)
                return log_error_errno(-ENOMEM, "Cannot start");
        manager->started_sec = now_realtime_sec();
        manager->config_path = config_path ? strdup(config_path) : NULL;
        manager->state_path = strdup(state_path);
        if ((config_path && !manager->config_path) || !manager->state_path)
                return log_error_errno(-ENOMEM, "Cannot start");
        r = config_load(config_path, &config, &errors);
        log_config_errors(&errors);
        config_errors_done(&errors);
        if (r < 0)
                return r;
        r = use_config(manager, config);
        if (r < 0)
                return log_error_errno(r, "Cannot start");
        TAKE_PTR(config);

        r = open_store(manager, state_path);
        if (r < 0)
                return r;

        r = sd_event_default(&manager->event);
        if (r < 0)
                return log_error_errno(r, "Cannot make the event loop");
        handler = (ServerHandler){ methods_right, methods_on_call, methods_on_gone, manager };
        r = server_new(manager->event, TAKE_FD(fd), manager->config->control_socket, &handler,
                       &manager->server, &diag);
        if (r < 0) {
                log_error("%s", diag_text(&diag, r));
                return r;
        }
        r = jobs_start(manager);
        if (r < 0)
                return log_error_errno(r, "Cannot start the worker threads");
        r = add_sources(manager);
        if (r < 0)
                return log_error_errno(r, "Cannot set up the event loop");
        *ret = TAKE_PTR(manager);
        return 0;
}

int manager_run(Manager *manager) {
        int r;

        log_info("wpcached " WPCACHE_VERSION " serves %s, engine socket %s",
                 manager->config->control_socket, manager->config->docker_socket);
        sd_notify(false, "READY=1\nSTATUS=Started");
        r = sd_event_loop(manager->event);
        if (r < 0)
                return log_error_errno(r, "The event loop failed");
        log_info("Stopped");
        return r;
}

Manager *manager_free(Manager *manager) {
        if (!manager)
                return NULL;
        waiters_free(manager);
        inhibit_free(manager);
        server_free(manager->server);
        jobs_free(manager);
        schedule_free(manager);
        store_close(manager->reader_store);
        store_close(manager->store);
        alarms_free(manager);
        sd_event_source_disable_unref(manager->watchdog_timer);
        sd_event_source_disable_unref(manager->extend_timer);
        sd_event_unref(manager->event);
        role_done(&manager->operators);
        role_done(&manager->readers);
        config_free(manager->config);
        free(manager->config_path);
        free(manager->state_path);
        free(manager->config_error);
        free(manager->engine_reason);
        summary_done(&manager->summary);
        json_free(manager->last_clear);
        json_free(manager->last_pass);
        json_free(manager->apps);
        free(manager);
        return NULL;
}
