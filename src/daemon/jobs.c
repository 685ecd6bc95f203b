/* SPDX-License-Identifier: MIT */

#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/span.h"
#include "base/text.h"
#include "daemon/jobs.h"
#include "daemon/receipt-log.h"
#include "janitor/history.h"

#define DRAIN_USEC USEC_PER_SEC
#define DRAIN_TICK_USEC (20 * USEC_PER_MSEC)

static int removal_add(Manager *manager, const Job *job) {
        Removal *removal = calloc(1, sizeof(*removal));

        if (!removal)
                return -ENOMEM;
        strcpy(removal->id, job->id);
        if (job->who.user)
                snprintf(removal->who, sizeof(removal->who), "%s", job->who.user);
        else if (job->kind != JOB_PASS)
                snprintf(removal->who, sizeof(removal->who), "uid %u", job->who.uid);
        removal->next = manager->removals;
        manager->removals = removal;
        return 0;
}

static const Removal *removal_find(const Manager *manager, const char *job_id) {
        for (const Removal *removal = manager->removals; removal; removal = removal->next)
                if (strcmp(removal->id, job_id) == 0)
                        return removal;
        return NULL;
}

static void removal_over(Manager *manager, const char *job_id) {
        for (Removal **at = &manager->removals; *at; at = &(*at)->next) {
                Removal *removal = *at;

                if (strcmp(removal->id, job_id) != 0)
                        continue;
                *at = removal->next;
                free(removal);
                return;
        }
}

static bool job_removes(const Job *job) {
        return job->kind == JOB_PASS || job->kind == JOB_ROLLBACK ||
               (job->kind == JOB_CLEAR && !job->options.dry_run);
}

int manager_submit(Manager *manager, Job *job, char ret_id[static RECEIPT_ID_MAX]) {
        bool reads = job->kind == JOB_HISTORY || job->kind == JOB_TEXTFILE;
        int r;

        receipt_id_make(job->id, now_realtime_usec());
        job->generation = manager->generation;
        r = config_copy(manager->config, &job->config);
        if (r >= 0 && job_removes(job))
                r = removal_add(manager, job);
        if (r < 0) {
                job_free(job);
                return r;
        }
        strcpy(ret_id, job->id); /* the worker's from here on */
        worker_submit(reads ? manager->reader : manager->worker, job);
        return 0;
}

bool manager_queue_full(const Manager *manager, const Peer *peer) {
        return worker_queued(manager->worker) + inhibit_waiting(manager) >=
               (peer->uid == 0 ? QUEUE_ROOT_MAX : QUEUE_MAX);
}

bool manager_withdraw(Manager *manager, const char *job_id) {
        cleanup(job_free) Job *job = worker_withdraw(manager->worker, job_id);

        if (!job)
                job = worker_withdraw(manager->reader, job_id);
        if (!job)
                return false;
        removal_over(manager, job_id);
        inhibit_turn(manager);
        return true;
}

char *manager_busy_text(const Manager *manager) {
        const Present *present = &manager->present;
        const Removal *removal = removal_find(manager, present->id);
        int64_t now_sec = now_realtime_sec();
        uint64_t usec = (uint64_t)MAX(now_sec - present->started_sec, 0) * USEC_PER_SEC;
        char span[SPAN_TEXT_MAX], *text = NULL;
        const char *what = NULL;

        switch (present->kind) {
        case JOB_CLEAR:
                what = removal ? "a clear of " : "a dry run of a clear of ";
                break;
        case JOB_ROLLBACK:
                what = "a rollback";
                break;
        case JOB_PASS:
                what = "a policy pass";
                break;
        case JOB_PLAN:
                what = "a plan";
                break;
        case JOB_EXPLAIN:
                what = "an explanation";
                break;
        case JOB_SWEEP:
                what = "a sweep of left-over caches";
                break;
        default:
                what = "a look at the engine";
        }
        if (!present->id[0])
                return strdup("another job is in progress");
        if (asprintf(&text, "%s%s%s%s runs since %s", what,
                     present->kind == JOB_CLEAR ? present->target : "",
                     removal && removal->who[0] ? " by " : "", removal ? removal->who : "",
                     span_format(usec, span)) < 0)
                return NULL;
        return text;
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
        text_clean(text); /* a newline would start another field of sd_notify(3) */
        if (strcmp(text, manager->status_told) == 0)
                return;
        strcpy(manager->status_told, text);
        sd_notifyf(false, "STATUS=%s", text);
}

void manager_engine_is(Manager *manager, int error, const char *reason) {
        bool was_away = manager->engine_reason;

        if (reason && !was_away)
                log_full(LOG_WARNING, 0, NULL, "Engine not available: %s", reason);
        else if (!reason && (was_away || !manager->engine_known))
                log_info("Engine %s answers at %s, API %s", manager->summary.engine.version,
                         manager->config->docker_socket, manager->summary.engine.api_version);
        if (!reason != !was_away || !manager->engine_known)
                waiters_tell_monitors(manager, "engine", reason ?: "the engine answers");
        free(manager->engine_reason);
        manager->engine_reason = reason ? strdup(reason) : NULL;
        manager->engine_error = error;
        manager->engine_known = true;
        if (reason && !manager->engine_reason) /* out of memory must not look like health */
                manager->engine_reason = strdup("?");
}

static int keep_last_clear(Manager *manager, const char *id, const char *target,
                           const char *outcome, int64_t finished_sec, uint64_t n_remaining) {
        cleanup(json_free) Json *last = json_new_object();
        int r;

        r = json_add_string(last, "id", id);
        r |= json_add_string(last, "target", target);
        r |= json_add_string(last, "outcome", outcome);
        if (finished_sec > 0)
                r |= json_add_int(last, "finishedAt", finished_sec);
        r |= json_add_int(last, "remaining", (int64_t)n_remaining);
        if (r < 0)
                return -ENOMEM;
        json_free(manager->last_clear);
        manager->last_clear = TAKE_PTR(last);
        return 0;
}

static void log_job(const Job *job) {
        const char *target = target_to_string(job->options.target, job->options.app), *outcome;
        cleanup_free char *fields = NULL;
        int level;

        if (job->kind == JOB_ROLLBACK) {
                if (job->error < 0)
                        log_error("Rollback failed: %s", diag_text(&job->diag, job->error));
                else
                        log_notice("Rollback of receipt %s: %zu names put back, %zu skipped",
                                   json_get_string(job->result, "receipt", "?"),
                                   json_size(json_get(job->result, "restored")),
                                   json_size(json_get(job->result, "skipped")));
                return;
        }
        if (job->options.dry_run)
                return;
        outcome = outcome_to_string(job->outcome);
        if (asprintf(&fields,
                     "WPCACHE_JOB=clear\nWPCACHE_TARGET=%s\nWPCACHE_OUTCOME=%s\nWPCACHE_RECEIPT=%s",
                     target, outcome, job->id) < 0)
                fields = NULL;
        if (job->error < 0) {
                log_full(LOG_ERR, 0, fields, "Clear of %s failed: %s", target,
                         diag_text(&job->diag, job->error));
                return;
        }
        level = job->n_remaining > 0 ? LOG_WARNING : LOG_NOTICE;
        log_full(level, 0, fields, "Clear of %s ended: %s, %zu remaining (receipt %s)", target,
                 outcome, job->n_remaining, job->id);
}

static void log_sweep(const Job *job) {
        char bytes[BYTES_TEXT_MAX];

        if (job->error < 0 && job->error != -ECANCELED)
                log_error("Sweeping left-over caches failed: %s",
                          diag_text(&job->diag, job->error));
        if (job->n_swept > 0)
                log_notice("Left-over caches of earlier runs were removed: %llu (%s)",
                           (unsigned long long)job->n_swept, bytes_format(job->swept_bytes, bytes));
        for (size_t i = 0; i < job->swept_left.n; i++)
                log_warning("Left over in a trash directory: %s", job->swept_left.v[i]);
}

static void on_clear_done(Manager *manager, const Job *job) {
        if (job->options.dry_run || !job->result)
                return;
        manager->counters.clears[job->outcome]++;
        manager->counters.clear_engine_bytes +=
                (uint64_t)json_get_int(job->result, "engineReportedBytes", 0);
        manager->counters.clear_freed_bytes +=
                (uint64_t)json_get_int(job->result, "diskFreedBytes", 0);
        if (keep_last_clear(manager, job->id,
                            target_to_string(job->options.target, job->options.app),
                            outcome_to_string(job->outcome),
                            json_get_int(job->result, "finishedAt", 0), job->n_remaining) < 0)
                log_error("Out of memory");
}

/* What an earlier daemon could not finish. */
static int submit_sweep(Manager *manager) {
        Job *job = calloc(1, sizeof(*job));
        char id[RECEIPT_ID_MAX];

        if (!job)
                return -ENOMEM;
        job->kind = JOB_SWEEP;
        return manager_submit(manager, job, id);
}

/* What a job says of the store. */
static void store_is(Manager *manager, const Job *job, const StoreState *now) {
        StoreState before = manager->store_now;

        manager->store_now = *now;
        if (job->unwritten && job->result)
                receipt_log(job, manager->store_now.reason.text);
        if (before.n_unwritten > 0 && now->n_unwritten == 0)
                log_notice("What could not be stored before is stored by now");
        if (!before.readable && now->readable && submit_sweep(manager) < 0)
                log_error("Out of memory: left-over caches are swept by the next clear");
        alarms_update_store(manager);
}

static void on_job_done(Manager *manager, Job *job) {
        if (strcmp(manager->present.id, job->id) == 0) /* not a poll while a clear waits */
                manager->present = (Present){ 0 };
        removal_over(manager, job->id);
        switch (job->kind) {
        case JOB_POLL:
                if (job->apps) {
                        json_free(manager->apps);
                        manager->apps = TAKE_PTR(job->apps);
                }
                schedule_poll_done(manager, job);
                break;
        case JOB_SWEEP:
                log_sweep(job);
                if (job->error == -ECANCELED && !manager->stopping && submit_sweep(manager) < 0)
                        log_error("Out of memory: left-over caches are swept by the next clear");
                break;
        case JOB_PASS:
                schedule_pass_done(manager, job);
                break;
        case JOB_CLEAR:
        case JOB_ROLLBACK:
                log_job(job);
                if (!job_removes(job))
                        break;
                if (job->kind == JOB_CLEAR)
                        on_clear_done(manager, job);
                manager->summary.observed_sec = 0; /* its figures are of before */
                schedule_poll_within(manager, job->error < 0 ? 0 : FREED_SETTLE_USEC);
                break;
        default:
                break;
        }
        inhibit_turn(manager);
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

/* Once both workers have told all they had to tell. */
static int maybe_drain(Manager *manager) {
        if (!manager->stopping || manager->drain_timer || !worker_stopped(manager->worker) ||
            !worker_stopped(manager->reader))
                return 0;
        manager->drain_until_usec = now_boottime_usec() + DRAIN_USEC;
        return sd_event_add_time_relative(manager->event, &manager->drain_timer, CLOCK_BOOTTIME, 0,
                                          DRAIN_TICK_USEC, on_drain, manager);
}

static int on_worker(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Manager *manager = userdata;
        JobEvent *event;

        (void)source;
        (void)fd;
        (void)revents;
        for (; (event = worker_next_event(manager->worker)); job_event_free(event)) {
                if (event->damage[0])
                        log_error("%s", event->damage);
                switch (event->kind) {
                case JOB_EVENT_STARTED:
                        strcpy(manager->present.id, event->job_id);
                        manager->present.kind = event->job_kind;
                        strcpy(manager->present.target, event->target);
                        manager->present.started_sec = event->time_sec;
                        break;
                case JOB_EVENT_PROGRESS:
                        strcpy(manager->present.step, event->step);
                        strcpy(manager->present.message, event->message);
                        if (event->job_kind == JOB_PASS)
                                log_full(LOG_INFO, 0, "WPCACHE_JOB=policy", "Policy: %s",
                                         event->message);
                        break;
                case JOB_EVENT_DONE:
                        break;
                }
                waiters_tell(manager, event);
                if (event->kind == JOB_EVENT_DONE) {
                        store_is(manager, event->job, &event->store);
                        on_job_done(manager, event->job);
                }
                notify_status(manager);
        }
        return maybe_drain(manager);
}

static int on_reader(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Manager *manager = userdata;
        JobEvent *event;

        (void)source;
        (void)fd;
        (void)revents;
        for (; (event = worker_next_event(manager->reader)); job_event_free(event)) {
                if (event->damage[0])
                        log_error("%s", event->damage);
                if (event->job_kind == JOB_HISTORY)
                        waiters_tell(manager, event);
                else if (event->kind == JOB_EVENT_DONE)
                        metrics_written(manager, event->job);
        }
        return maybe_drain(manager);
}

static int on_last_clear(void *userdata, const Run *run) {
        Manager *manager = userdata;

        /* One of a clear that the daemon before this one did not finish */
        if (strcmp(run->outcome, outcome_to_string(OUTCOME_INTERRUPTED)) == 0)
                log_warning("The clear of receipt %s was interrupted: it proved nothing%s%s%s",
                            run->id,
                            run->took_names ? "; names it may have taken can be put back by "
                                              "'wpcachectl rollback "
                                            : "",
                            run->took_names ? run->id : "", run->took_names ? "'" : "");
        return keep_last_clear(manager, run->id, run->target, run->outcome, run->finished_sec,
                               run->n_remaining);
}

static int on_last_pass(void *userdata, const Run *run) {
        Manager *manager = userdata;

        manager->last_pass = run_json(run);
        return manager->last_pass ? 0 : -ENOMEM;
}

int jobs_remember(Manager *manager, Diag *reterr_diag) {
        int r;

        r = store_list_runs(manager->store, "clear", 0, 1, on_last_clear, manager, reterr_diag);
        if (r >= 0)
                r = store_list_runs(manager->store, "policy", 0, 1, on_last_pass, manager,
                                    reterr_diag);
        return r;
}

int jobs_start(Manager *manager) {
        int r;

        r = worker_new(WORKER_JANITOR, manager->store, &manager->worker);
        if (r >= 0)
                r = worker_new(WORKER_READER, manager->reader_store, &manager->reader);
        if (r >= 0)
                r = sd_event_add_io(manager->event, &manager->worker_source,
                                    worker_fd(manager->worker), EPOLLIN, on_worker, manager);
        if (r >= 0)
                r = sd_event_add_io(manager->event, &manager->reader_source,
                                    worker_fd(manager->reader), EPOLLIN, on_reader, manager);
        /* Otherwise it is swept once it is known what there is. */
        return r < 0 || !manager->store_now.readable ? r : submit_sweep(manager);
}

void jobs_free(Manager *manager) {
        sd_event_source_disable_unref(manager->worker_source);
        sd_event_source_disable_unref(manager->reader_source);
        sd_event_source_disable_unref(manager->drain_timer);
        worker_free(manager->worker);
        worker_free(manager->reader);
        while (manager->removals)
                removal_over(manager, manager->removals->id);
}
