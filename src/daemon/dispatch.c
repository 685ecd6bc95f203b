/* SPDX-License-Identifier: MIT */

#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "base/span.h"
#include "daemon/dispatch.h"
#include "daemon/job-log.h"
#include "daemon/job-reply.h"
#include "daemon/metrics.h"
#include "daemon/requests.h"

static bool event_stream_connected(const Manager *manager) {
        return manager->events.connected && !manager->engine.reason;
}

StatusFacts dispatch_status_facts(const Manager *manager) {
        return (StatusFacts){
                .config = manager->config,
                .config_error = manager->config_error,
                .config_loaded_sec = manager->config_loaded_sec,
                .state_path = manager->state_path,
                .started_sec = manager->started_sec,
                .engine = &manager->engine,
                .current = &manager->workers.queue.current,
                .inhibitors = &manager->inhibitors,
                .alarms = &manager->alarms,
                .event_stream_connected = event_stream_connected(manager),
                .quiet_sec = schedule_quiet_sec(&manager->schedule, now_boottime_usec()),
                .n_waiting = worker_queued(manager->workers.janitor) +
                             inhibitors_waiting(&manager->inhibitors),
        };
}

/* Sends STATUS= if it changed. sd_notify(3) blocks while its reader is behind, so it is called no more than needed. */
static void notify_status(Manager *manager) {
        StatusFacts facts = dispatch_status_facts(manager);
        char text[sizeof(manager->status_told)];

        status_line(&facts, text, sizeof(text));
        if (manager->stopping || !text[0] || strcmp(text, manager->status_told) == 0)
                return;
        strcpy(manager->status_told, text);
        sd_notifyf(false, "STATUS=%s", text);
}

static void write_metrics(Manager *manager) {
        StatusFacts facts = dispatch_status_facts(manager);

        if (!manager->stopping)
                metrics_file_write(&manager->workers, &facts);
}

static void record_engine(Manager *manager, int error, const char *reason) {
        if (!engine_state_set(&manager->engine, error, reason))
                return;
        if (reason)
                log_full(LOG_WARNING, 0, NULL, "Engine not available: %s", reason);
        else
                log_info("Engine %s answers at %s, API %s", manager->engine.summary.engine.version,
                         manager->config->docker_socket,
                         manager->engine.summary.engine.api_version);
        monitors_tell(&manager->monitors, "engine", reason ?: "the engine answers");
}

static void poll_within(Manager *manager, uint64_t usec) {
        schedule_poll_within(&manager->schedule, loop_now_usec(manager), usec);
}

static ScheduleFacts schedule_facts(const Manager *manager) {
        return (ScheduleFacts){
                .config = manager->config,
                .summary = &manager->engine.summary,
                .event_stream_connected = event_stream_connected(manager),
                .busy = job_queue_removes(&manager->workers.queue) || manager->inhibitors.first,
                .now_usec = loop_now_usec(manager),
                .host_usec = now_boottime_usec(),
        };
}

Surroundings dispatch_policy_context(const Manager *manager) {
        return (Surroundings){
                .quiet_sec = schedule_quiet_sec(&manager->schedule, now_boottime_usec()),
                .n_inhibitors = inhibitors_count(&manager->inhibitors),
                .tag_events = event_stream_tags(&manager->events),
        };
}

static int submit(Manager *manager, JobKind kind, char ret_id[static RECEIPT_ID_MAX]) {
        Job *job = calloc(1, sizeof(*job));

        if (!job)
                return -ENOMEM;
        job->kind = kind;
        job->around = dispatch_policy_context(manager);
        return workers_submit(&manager->workers, job, ret_id);
}

static void poll_if_due(Manager *manager) {
        ScheduleFacts facts = schedule_facts(manager);
        char id[RECEIPT_ID_MAX];

        if (facts.now_usec < schedule_poll_at(&manager->schedule, &facts))
                return;
        schedule_poll_begins(&manager->schedule);
        if (submit(manager, JOB_POLL, id) < 0)
                schedule_poll_delayed(&manager->schedule, &facts);
}

static int on_due(sd_event_source *source, uint64_t usec, void *userdata) {
        requests_expire(userdata);
        poll_if_due(userdata);
        return 0;
}

/* Before each turn of the loop the timer is set to the next time at which something is due. */
static int on_prepare(sd_event_source *source, void *userdata) {
        Manager *manager = userdata;
        ScheduleFacts facts = schedule_facts(manager);
        uint64_t usec = schedule_poll_at(&manager->schedule, &facts);

        return sd_event_source_set_time(source, MIN(usec, requests_deadline(manager)));
}

/* The overdue timer runs by CLOCK_MONOTONIC, which stands still while the host sleeps. */
static void expect_poll(Manager *manager) {
        ScheduleFacts facts = schedule_facts(manager);

        sd_event_source_set_time_relative(manager->overdue_timer,
                                          schedule_overdue_usec(&manager->schedule, &facts));
        sd_event_source_set_enabled(manager->overdue_timer, SD_EVENT_ONESHOT);
}

static AlarmFacts alarm_facts(const Manager *manager) {
        StatusFacts facts = dispatch_status_facts(manager);

        return (AlarmFacts){
                .config = manager->config,
                .engine = &manager->engine,
                .state_path = manager->state_path,
                .hold = status_hold(&facts),
                .n_failures = manager->schedule.n_failures,
                .failing_since_usec = manager->schedule.failing_since_usec,
                .now_usec = now_boottime_usec(),
                .now_sec = now_realtime_sec(),
        };
}

static void announce_alarms(Manager *manager) {
        alarms_announce(&manager->alarms, &manager->hooks, &manager->monitors,
                        manager->config->alarm_command);
}

static void update_alarms(Manager *manager) {
        AlarmFacts facts = alarm_facts(manager);

        alarms_update(&manager->alarms, &facts);
        announce_alarms(manager);
}

static int on_overdue(sd_event_source *source, uint64_t usec, void *userdata) {
        Manager *manager = userdata;
        int64_t now_sec = now_realtime_sec();
        cleanup_free char *busy = job_queue_busy_text(&manager->workers.queue, now_sec);
        uint64_t late_usec = loop_now_usec(manager) - manager->schedule.polled_usec;

        alarms_poll_overdue(&manager->alarms, late_usec, busy, now_sec);
        announce_alarms(manager);
        /* Update the message while the alarm lasts: another job may be the cause by then. */
        sd_event_source_set_time_relative(source, manager->config->poll_interval_usec);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void on_poll_done(Manager *manager, Job *job) {
        ScheduleFacts facts;

        if (job->apps) {
                engine_state_forget_apps(&manager->engine);
                manager->engine.apps = TAKE_PTR(job->apps);
        }
        if (job->error == -ECANCELED)
                return; /* the daemon stops */
        manager->engine.counters.polls++;
        if (job->error < 0) {
                manager->engine.counters.poll_failures++;
                record_engine(manager, job->error, diag_text(&job->diag, job->error));
                facts = schedule_facts(manager);
                schedule_poll_failed(&manager->schedule, &facts);
        } else {
                engine_state_polled(&manager->engine, &job->summary);
                record_engine(manager, 0, NULL);
                facts = schedule_facts(manager);
                if (schedule_polled(&manager->schedule, &facts) &&
                    submit(manager, JOB_PASS, manager->schedule.policy_id) < 0) {
                        manager->schedule.policy_id[0] = '\0';
                        log_error("Out of memory: policy has to wait");
                }
        }
        expect_poll(manager);
        update_alarms(manager);
        write_metrics(manager);
}

static void on_policy_run_done(Manager *manager, const Job *job) {
        cleanup(policy_result_done) PolicyResult result = policy_result(job);
        ScheduleFacts facts = schedule_facts(manager);

        schedule_policy_ended(&manager->schedule, &result, &facts);
        if (result.canceled)
                return;
        if (result.recorded || result.error)
                log_policy_run(&result);
        engine_state_policy_run(&manager->engine, &result);
        alarms_policy_run(&manager->alarms, &result, manager->engine.summary.pressure);
        write_metrics(manager);
}

static void on_events(void *userdata, const WatcherNews *news) {
        Manager *manager = userdata;

        manager->engine.counters.events += news->n_events;
        if (schedule_events(&manager->schedule, loop_now_usec(manager), news->last_usec))
                requests_withdraw_policy(manager);
}

void dispatch_reload(Manager *manager) {
        int r = event_stream_follow(&manager->events, manager->config);

        if (r < 0)
                log_warning_errno(r, "Cannot listen to the engine's events; polling alone");
        requests_withdraw_policy(manager); /* it has the previous configuration */
        schedule_reload(&manager->schedule, loop_now_usec(manager));
        expect_poll(manager);
}

/* Empties trash directories that an earlier daemon left. */
static int submit_empty_trash(Manager *manager) {
        char id[RECEIPT_ID_MAX];

        return submit(manager, JOB_SWEEP, id);
}

/* Records the state of the store after a job. */
static void record_store(Manager *manager, const Job *job, const StoreState *now) {
        StoreState before = manager->engine.store;
        AlarmFacts facts;

        manager->engine.store = *now;
        if (job->unwritten && job->result)
                log_receipt(job, manager->engine.store.reason.text);
        if (before.n_unwritten > 0 && now->n_unwritten == 0)
                log_notice("What could not be stored before is stored by now");
        if (!before.readable && now->readable && submit_empty_trash(manager) < 0)
                log_error("Out of memory: left-over caches are swept by the next clear");
        facts = alarm_facts(manager);
        alarms_update_store(&manager->alarms, &facts);
        announce_alarms(manager);
}

static void on_job_done(Manager *manager, Job *job) {
        switch (job->kind) {
        case JOB_POLL:
                on_poll_done(manager, job);
                break;
        case JOB_SWEEP:
                log_trash_emptied(job);
                if (job->error == -ECANCELED && !manager->stopping &&
                    submit_empty_trash(manager) < 0)
                        log_error("Out of memory: left-over caches are swept by the next clear");
                break;
        case JOB_PASS:
                on_policy_run_done(manager, job);
                break;
        case JOB_CLEAR:
        case JOB_ROLLBACK:
                log_clear_or_rollback(job);
                if (!job_removes(job))
                        break;
                if (job->kind == JOB_CLEAR && job->result)
                        engine_state_cleared(&manager->engine, job);
                manager->engine.summary.observed_sec = 0; /* its figures are of before the job */
                poll_within(manager, job->error < 0 ? 0 : SETTLE_USEC);
                break;
        default:
                break;
        }
        requests_advance(manager);
}

static void tell_job(Manager *manager, const JobEvent *event) {
        StatusFacts facts = dispatch_status_facts(manager);

        monitors_tell_job(&manager->monitors, event, &facts);
        waiters_reply(&manager->waiters, event, &facts);
}

static int on_worker(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Manager *manager = userdata;
        JobEvent *event;

        for (; (event = worker_next_event(manager->workers.janitor)); job_event_free(event)) {
                if (event->damage[0])
                        log_error("%s", event->damage);
                if (event->kind == JOB_EVENT_PROGRESS && event->job_kind == JOB_PASS)
                        log_full(LOG_INFO, 0, "WPCACHE_JOB=policy", "Policy: %s", event->message);
                if (event->kind != JOB_EVENT_DONE)
                        job_queue_update(&manager->workers.queue, event);
                tell_job(manager, event);
                if (event->kind == JOB_EVENT_DONE) {
                        record_store(manager, event->job, &event->store);
                        job_queue_update(&manager->workers.queue, event);
                        on_job_done(manager, event->job);
                }
                notify_status(manager);
        }
        return 0;
}

static int on_reader(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Manager *manager = userdata;
        JobEvent *event;

        for (; (event = worker_next_event(manager->workers.reader)); job_event_free(event)) {
                if (event->damage[0])
                        log_error("%s", event->damage);
                if (event->job_kind == JOB_HISTORY)
                        tell_job(manager, event);
                else if (event->kind == JOB_EVENT_DONE)
                        metrics_file_written(&manager->metrics_broken, event->job);
        }
        return 0;
}

static int start_timers(Manager *manager) {
        int r;

        r = sd_event_add_time(manager->event, &manager->timer, CLOCK_BOOTTIME, USEC_INFINITY,
                              10 * USEC_PER_MSEC, on_due, manager);
        if (r >= 0)
                r = sd_event_source_set_enabled(manager->timer, SD_EVENT_ON);
        if (r >= 0)
                r = sd_event_source_set_prepare(manager->timer, on_prepare);
        if (r >= 0)
                r = sd_event_add_time(manager->event, &manager->overdue_timer, CLOCK_MONOTONIC, 0,
                                      100 * USEC_PER_MSEC, on_overdue, manager);
        if (r >= 0)
                expect_poll(manager);
        return r;
}

static int start_workers(Manager *manager) {
        Workers *workers = &manager->workers;
        int r;

        r = worker_new(WORKER_JANITOR, manager->store, &workers->janitor);
        if (r >= 0)
                r = worker_new(WORKER_READER, manager->reader_store, &workers->reader);
        if (r >= 0)
                r = sd_event_add_io(manager->event, &manager->worker_source,
                                    worker_fd(workers->janitor), EPOLLIN, on_worker, manager);
        if (r >= 0)
                r = sd_event_add_io(manager->event, &manager->reader_source,
                                    worker_fd(workers->reader), EPOLLIN, on_reader, manager);
        /* If the store cannot be read, the trash is unknown; record_store() submits the job later. */
        return r < 0 || !manager->engine.store.readable ? r : submit_empty_trash(manager);
}

int dispatch_start(Manager *manager) {
        int r;

        schedule_init(&manager->schedule, loop_now_usec(manager), now_boottime_usec());
        manager->events =
                (EventStream){ .event = manager->event, .handler = on_events, .userdata = manager };
        r = event_stream_init(&manager->events);
        if (r >= 0)
                r = start_workers(manager);
        if (r >= 0)
                r = start_timers(manager);
        return r < 0 ? r : event_stream_follow(&manager->events, manager->config);
}

void dispatch_stop(Manager *manager) {
        requests_stop(manager);
        worker_stop(manager->workers.janitor);
        worker_stop(manager->workers.reader);
        manager->schedule.stopped = true;
        sd_event_source_set_enabled(manager->overdue_timer, SD_EVENT_OFF);
        event_stream_stop(&manager->events);
}

void dispatch_free(Manager *manager) {
        inhibitors_done(&manager->inhibitors);
        sd_event_source_disable_unref(manager->worker_source);
        sd_event_source_disable_unref(manager->reader_source);
        sd_event_source_disable_unref(manager->timer);
        sd_event_source_disable_unref(manager->overdue_timer);
        workers_done(&manager->workers);
        event_stream_done(&manager->events);
}
