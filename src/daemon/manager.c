/* SPDX-License-Identifier: MIT */

/*
 * Stopping is the delicate part: the worker may sit in a prune that must not be cut, so the loop
 * goes on turning, asking systemd for time, until the worker has posted its last event and those
 * who wait for it have their answer.
 */

#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "base/span.h"
#include "daemon/manager.h"
#include "daemon/methods.h"

#define BACKOFF_FIRST_USEC (2 * USEC_PER_SEC)
#define EXTEND_USEC (30 * USEC_PER_SEC)
#define DRAIN_USEC USEC_PER_SEC
#define DRAIN_TICK_USEC (20 * USEC_PER_MSEC)
/* The engine shall spend less than this share of its time on our polls. */
#define POLL_SHARE 100
#define ERRORS_SHOWN_MAX 10

void log_config_errors(const ConfigErrors *errors) {
        for (size_t i = 0; i < errors->n; i++) {
                cleanup_free char *text = config_error_text(&errors->v[i]);

                log_error("%s", text ?: "out of memory");
        }
}

static void role_done(Role *role) {
        free(role->gids);
        free(role->uids);
        *role = (Role){ 0 };
}

static int role_add(Role *role, const char *key, const char *name) {
        if (strncmp(name, "user:", strlen("user:")) == 0) {
                const struct passwd *user = getpwnam(name + strlen("user:"));
                uid_t *uids;

                if (!user) {
                        log_warning("[control] %s: there is no user '%s'", key,
                                    name + strlen("user:"));
                        return 0;
                }
                uids = reallocarray(role->uids, role->n_uids + 1, sizeof(*uids));
                if (!uids)
                        return -ENOMEM;
                role->uids = uids;
                role->uids[role->n_uids++] = user->pw_uid;
        } else {
                const struct group *group = getgrnam(name);
                gid_t *gids;

                if (!group) {
                        log_warning("[control] %s: there is no group '%s'", key, name);
                        return 0;
                }
                gids = reallocarray(role->gids, role->n_gids + 1, sizeof(*gids));
                if (!gids)
                        return -ENOMEM;
                role->gids = gids;
                role->gids[role->n_gids++] = group->gr_gid;
        }
        return 0;
}

/* Names are resolved here and never on behalf of a client: NSS may ask the network. */
static int role_resolve(const char *key, const Strv *names, Role *ret) {
        Role role = { 0 };

        for (size_t i = 0; i < names->n; i++) {
                int r = role_add(&role, key, names->v[i]);

                if (r < 0) {
                        role_done(&role);
                        return r;
                }
        }
        *ret = role;
        return 0;
}

/* Puts a configuration in force and takes it over. */
static int use_config(Manager *manager, Config *config) {
        Role operators = { 0 }, readers = { 0 };
        int r;

        r = role_resolve("operators", &config->operators, &operators);
        if (r >= 0)
                r = role_resolve("readers", &config->readers, &readers);
        if (r < 0) {
                role_done(&operators);
                return r;
        }
        role_done(&manager->operators);
        role_done(&manager->readers);
        manager->operators = operators;
        manager->readers = readers;
        config_free(manager->config);
        manager->config = config;
        manager->generation++;
        free(manager->config_error);
        manager->config_error = NULL;
        manager->config_loaded_sec = (int64_t)(now_realtime_usec() / USEC_PER_SEC);
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

/* A poll, now or later. */
static void poll_in(Manager *manager, uint64_t usec) {
        if (manager->stopping)
                return;
        sd_event_source_set_time_relative(manager->poll_timer, usec);
        sd_event_source_set_enabled(manager->poll_timer, SD_EVENT_ONESHOT);
}

int manager_reload(Manager *manager, Strv *ret_restart_keys, char **reterr_text) {
        cleanup(config_free) Config *config = NULL;
        cleanup(strv_done) Strv keys = STRV_NULL;
        ConfigErrors errors = { 0 };
        int r;

        sd_notify(false, "RELOADING=1");
        r = config_load(manager->config_path, &config, &errors);
        if (r >= 0)
                r = config_restart_keys(manager->config, config, &keys);
        if (r >= 0)
                r = use_config(manager, config);
        if (r >= 0) {
                TAKE_PTR(config);
                for (size_t i = 0; i < keys.n; i++)
                        log_warning("%s changed: it takes effect after a restart", keys.v[i]);
                log_notice("Configuration reloaded");
                methods_tell_monitors(manager, "reload", "configuration reloaded");
                *ret_restart_keys = keys;
                keys = STRV_NULL;
                poll_in(manager, 0);
        } else {
                log_config_errors(&errors);
                log_error("The configuration was not reloaded; the one in force stays");
                free(manager->config_error);
                manager->config_error = errors_text(&errors);
                methods_tell_monitors(manager, "reload",
                                      manager->config_error ?: "configuration not reloaded");
                *reterr_text = manager->config_error ? strdup(manager->config_error) : NULL;
                r = -EINVAL;
        }
        config_errors_done(&errors);
        sd_notify(false, "READY=1");
        return r;
}

int manager_submit(Manager *manager, Job *job) {
        receipt_id_make(job->id, now_realtime_usec());
        job->generation = manager->generation;
        return config_copy(manager->config, &job->config);
}

static int on_poll(sd_event_source *source, uint64_t usec, void *userdata) {
        cleanup(job_free) Job *job = calloc(1, sizeof(*job));
        Manager *manager = userdata;

        (void)source;
        (void)usec;
        if (!job) {
                poll_in(manager, manager->config->poll_interval_usec);
                return 0;
        }
        job->kind = JOB_POLL;
        if (manager_submit(manager, job) < 0)
                poll_in(manager, manager->config->poll_interval_usec);
        else
                worker_submit(manager->worker, TAKE_PTR(job));
        return 0;
}

/* Only what changed: sd_notify(3) blocks while its reader is behind. */
static void notify_status(Manager *manager) {
        char text[sizeof(manager->status_told)];

        if (manager->stopping)
                return;
        if (manager->engine_reason)
                snprintf(text, sizeof(text), "Engine not available: %s", manager->engine_reason);
        else if (manager->present.id[0] && manager->present.kind != JOB_POLL)
                snprintf(text, sizeof(text), "%s: %s", job_kind_to_string(manager->present.kind),
                         manager->present.message);
        else if (manager->summary.observed_sec > 0)
                snprintf(text, sizeof(text), "Build cache: %llu records",
                         (unsigned long long)manager->summary.records);
        else
                return;
        if (strcmp(text, manager->status_told) == 0)
                return;
        strcpy(manager->status_told, text);
        sd_notifyf(false, "STATUS=%s", text);
}

/* Logs a change once, not each poll. */
static void engine_is(Manager *manager, const char *reason) {
        bool was_away = manager->engine_reason;

        if (reason && !was_away)
                log_full(LOG_WARNING, 0, NULL, "Engine not available: %s", reason);
        else if (!reason && (was_away || !manager->engine_known))
                log_info("Engine %s answers at %s, API %s", manager->summary.engine.version,
                         manager->config->docker_socket, manager->summary.engine.api_version);
        if (!reason != !was_away || !manager->engine_known)
                methods_tell_monitors(manager, "engine", reason ?: "the engine answers");
        free(manager->engine_reason);
        manager->engine_reason = reason ? strdup(reason) : NULL;
        manager->engine_known = true;
        if (reason && !manager->engine_reason) /* out of memory must not look like health */
                manager->engine_reason = strdup("?");
}

static void on_poll_done(Manager *manager, Job *job) {
        uint64_t next_usec = manager->config->poll_interval_usec;

        if (job->error == -ECANCELED)
                return;
        if (job->error < 0) {
                uint64_t backoff_usec = BACKOFF_FIRST_USEC << MIN(manager->n_failures, 10U);

                manager->n_failures++;
                engine_is(manager, diag_text(&job->diag, job->error));
                poll_in(manager, MIN(backoff_usec, next_usec));
                return;
        }
        manager->n_failures = 0;
        summary_done(&manager->summary);
        manager->summary = job->summary;
        job->summary = (Summary){ 0 };
        engine_is(manager, NULL);
        poll_in(manager, MAX(next_usec, manager->summary.build_cache_usec * POLL_SHARE));
}

static int keep_last_clear(Manager *manager, const char *id, const Json *receipt) {
        cleanup(json_free) Json *last = json_new_object();
        int64_t finished_sec = json_get_int(receipt, "finishedAt", 0);
        int r;

        r = json_add_string(last, "id", id);
        r |= json_add_string(last, "target", json_get_string(receipt, "target", "all"));
        r |= json_add_string(last, "outcome", json_get_string(receipt, "outcome", "interrupted"));
        if (finished_sec > 0)
                r |= json_add_int(last, "finishedAt", finished_sec);
        r |= json_add_int(last, "remaining", (int64_t)json_size(json_get(receipt, "remaining")));
        if (r < 0)
                return -ENOMEM;
        json_free(manager->last_clear);
        manager->last_clear = TAKE_PTR(last);
        return 0;
}

static void log_job(const Job *job) {
        cleanup_free char *fields = NULL;
        const char *outcome;
        int level;

        if (job->kind == JOB_ROLLBACK) {
                if (job->error < 0)
                        log_error("Rollback failed: %s", diag_text(&job->diag, job->error));
                else
                        log_notice("Names put back by rollback");
                return;
        }
        if (job->options.dry_run)
                return;
        outcome = outcome_to_string(job->outcome);
        if (asprintf(&fields,
                     "WPCACHE_JOB=clear\nWPCACHE_TARGET=%s\nWPCACHE_OUTCOME=%s\nWPCACHE_RECEIPT=%s",
                     target_to_string(job->options.target), outcome, job->id) < 0)
                fields = NULL;
        if (job->error < 0) {
                log_full(LOG_ERR, 0, fields, "Clear of %s failed: %s",
                         target_to_string(job->options.target), diag_text(&job->diag, job->error));
                return;
        }
        level = job->n_remaining > 0 ? LOG_WARNING : LOG_NOTICE;
        log_full(level, 0, fields, "Clear of %s ended: %s, %zu remaining (receipt %s)",
                 target_to_string(job->options.target), outcome, job->n_remaining, job->id);
}

static void on_job_done(Manager *manager, Job *job) {
        manager->present = (Present){ 0 };
        if (job->kind == JOB_POLL) {
                on_poll_done(manager, job);
                return;
        }
        log_job(job);
        manager->summary.observed_sec = 0; /* its figures are of before; the next look is at once */
        if (job->kind == JOB_CLEAR && !job->options.dry_run && job->result)
                if (keep_last_clear(manager, job->id, job->result) < 0)
                        log_error("Out of memory");
        poll_in(manager, 0);
}

/* The last answers leave with the loop still turning; a client that does not read them is not
 * waited for long. */
static int on_drain(sd_event_source *source, uint64_t usec, void *userdata) {
        Manager *manager = userdata;

        (void)usec;
        if (server_drained(manager->server) || now_boottime_usec() >= manager->drain_until_usec)
                return sd_event_exit(manager->event, 0);
        sd_event_source_set_time_relative(source, DRAIN_TICK_USEC);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_worker(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Manager *manager = userdata;
        JobEvent *event;

        (void)source;
        (void)fd;
        (void)revents;
        for (; (event = worker_next_event(manager->worker)); job_event_free(event)) {
                switch (event->kind) {
                case JOB_EVENT_STARTED:
                        strcpy(manager->present.id, event->job_id);
                        manager->present.kind = event->job_kind;
                        manager->present.target = event->target;
                        manager->present.started_sec = event->time_sec;
                        break;
                case JOB_EVENT_PROGRESS:
                        strcpy(manager->present.step, event->step);
                        strcpy(manager->present.message, event->message);
                        break;
                case JOB_EVENT_DONE:
                        break;
                }
                methods_tell(manager, event);
                if (event->kind == JOB_EVENT_DONE)
                        on_job_done(manager, event->job);
                notify_status(manager);
        }
        if (manager->stopping && !manager->drain_timer && worker_stopped(manager->worker)) {
                manager->drain_until_usec = now_boottime_usec() + DRAIN_USEC;
                return sd_event_add_time_relative(manager->event, &manager->drain_timer,
                                                  CLOCK_BOOTTIME, 0, DRAIN_TICK_USEC, on_drain,
                                                  manager);
        }
        return 0;
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
        sd_event_source_set_enabled(manager->poll_timer, SD_EVENT_OFF);
        worker_stop(manager->worker);
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
        if (worker_healthy(manager->worker))
                sd_notify(false, "WATCHDOG=1");
        if (sd_watchdog_enabled(false, &interval_usec) <= 0)
                return 0;
        sd_event_source_set_time_relative(source, interval_usec / 2);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* The last receipt: an interrupted one is of a clear that the daemon before this one did not
 * finish. */
static void read_last_clear(Manager *manager) {
        cleanup(strv_done) Strv ids = STRV_NULL;
        cleanup(json_free) Json *receipt = NULL;
        Diag diag = DIAG_NULL;
        int r;

        r = state_list_receipts(manager->state, &ids, &diag);
        if (r < 0) {
                log_warning("%s", diag_text(&diag, r));
                return;
        }
        if (ids.n == 0)
                return;
        r = state_read_receipt(manager->state, ids.v[ids.n - 1], &receipt, &diag);
        if (r < 0) {
                log_warning("%s", diag_text(&diag, r));
                return;
        }
        if (keep_last_clear(manager, ids.v[ids.n - 1], receipt) < 0)
                log_error("Out of memory");
        if (strcmp(json_get_string(receipt, "outcome", ""), "interrupted") == 0)
                log_warning("The clear of receipt %s was interrupted: it proved nothing; names it "
                            "may have taken can be put back by 'wpcachectl rollback %s'",
                            ids.v[ids.n - 1], ids.v[ids.n - 1]);
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
                r = sd_event_add_io(manager->event, &manager->worker_source,
                                    worker_fd(manager->worker), EPOLLIN, on_worker, manager);
        if (r >= 0)
                r = sd_event_add_time_relative(manager->event, &manager->poll_timer, CLOCK_BOOTTIME,
                                               0, 0, on_poll, manager);
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
        manager->started_sec = (int64_t)(now_realtime_usec() / USEC_PER_SEC);
        manager->config_path = config_path ? strdup(config_path) : NULL;
        if (config_path && !manager->config_path)
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

        r = state_open(state_path, &manager->state, &diag);
        if (r < 0) {
                log_error("%s", diag_text(&diag, r));
                return r;
        }
        read_last_clear(manager);

        r = sd_event_default(&manager->event);
        if (r < 0)
                return log_error_errno(r, "Cannot make the event loop");
        handler = (ServerHandler){ methods_on_call, methods_on_gone, manager };
        r = server_new(manager->event, TAKE_FD(fd), manager->config->control_socket, &handler,
                       &manager->server, &diag);
        if (r < 0) {
                log_error("%s", diag_text(&diag, r));
                return r;
        }
        r = worker_new(manager->state, &manager->worker);
        if (r < 0)
                return log_error_errno(r, "Cannot start the worker thread");
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
        server_free(manager->server);
        worker_free(manager->worker);
        state_close(manager->state);
        sd_event_source_disable_unref(manager->worker_source);
        sd_event_source_disable_unref(manager->poll_timer);
        sd_event_source_disable_unref(manager->watchdog_timer);
        sd_event_source_disable_unref(manager->extend_timer);
        sd_event_source_disable_unref(manager->drain_timer);
        sd_event_unref(manager->event);
        role_done(&manager->operators);
        role_done(&manager->readers);
        config_free(manager->config);
        free(manager->config_path);
        free(manager->config_error);
        free(manager->engine_reason);
        summary_done(&manager->summary);
        json_free(manager->last_clear);
        free(manager);
        return NULL;
}
