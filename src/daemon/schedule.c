/* SPDX-License-Identifier: MIT */

/*
 * Timers run on the loop's clock; what is compared with the watcher's times or is an age for policy
 * runs on now_boottime_usec(), which tests move.
 */

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/span.h"
#include "daemon/dispatch.h"
#include "daemon/job-log.h"

#define BACKOFF_FIRST_USEC (2 * USEC_PER_SEC)
/* Events come in swarms: a poll waits for this much silence, but not for longer than that. */
#define NEWS_SETTLE_USEC (2 * USEC_PER_SEC)
#define NEWS_WAIT_MAX_USEC (10 * USEC_PER_SEC)
#define CALM_INTERVALS 5
#define CALM_USEC (10 * USEC_PER_MINUTE)
#define PASS_BACKOFF_MAX_USEC USEC_PER_HOUR
/* However short the interval: other jobs take their time, too. */
#define OVERDUE_MIN_USEC (15 * USEC_PER_SEC)

/* From one poll to the next, so that the engine spends no more than its share of time on them. */
static uint64_t pause_usec(const Manager *manager) {
        return manager->engine.summary.build_cache_usec * 100 / manager->config->poll_share_percent;
}

static void arm(Manager *manager) {
        Schedule *schedule = &manager->schedule;
        uint64_t usec = MIN(schedule->next_usec, schedule->wanted_usec);

        if (schedule->polling || manager->stopping)
                return;
        if (schedule->news_first_usec > 0) {
                uint64_t news_usec = MIN(schedule->news_last_usec + NEWS_SETTLE_USEC,
                                         schedule->news_first_usec + NEWS_WAIT_MAX_USEC);

                /* However much happens, no more of the engine's time than its share. */
                usec = MIN(usec, MAX(news_usec, schedule->polled_usec + pause_usec(manager)));
        }
        sd_event_source_set_time(schedule->timer, usec);
        sd_event_source_set_enabled(schedule->timer, SD_EVENT_ONESHOT);
}

void schedule_poll_within(Manager *manager, uint64_t usec) {
        Schedule *schedule = &manager->schedule;

        schedule->wanted_usec = MIN(schedule->wanted_usec, dispatch_now_usec(manager) + usec);
        arm(manager);
}

int64_t schedule_quiet_sec(const Manager *manager) {
        uint64_t now_usec = now_boottime_usec();

        return now_usec < manager->schedule.activity_usec
                       ? 0
                       : (int64_t)((now_usec - manager->schedule.activity_usec) / USEC_PER_SEC);
}

bool schedule_hears_events(const Manager *manager) {
        return manager->schedule.watching && !manager->engine.reason;
}

TagEvents *schedule_tag_events(const Manager *manager) {
        return manager->schedule.watching ? manager->schedule.tag_events : NULL;
}

Surroundings schedule_surroundings(const Manager *manager) {
        return (Surroundings){
                .quiet_sec = schedule_quiet_sec(manager),
                .n_inhibitors = inhibitors_count(&manager->inhibitors),
                .tag_events = schedule_tag_events(manager),
        };
}

/* When the next poll has to have ended. The timer's clock stands still while the host sleeps. */
static void expect_poll(Manager *manager) {
        Schedule *schedule = &manager->schedule;
        uint64_t now_usec = dispatch_now_usec(manager), usec = manager->config->poll_interval_usec;

        if (schedule->next_usec > now_usec)
                usec = MAX(usec, schedule->next_usec - now_usec);
        usec = MAX(ALARM_INTERVALS * usec, OVERDUE_MIN_USEC);
        usec -= MIN(usec, now_usec - schedule->polled_usec);
        sd_event_source_set_time_relative(schedule->overdue_timer, usec);
        sd_event_source_set_enabled(schedule->overdue_timer, SD_EVENT_ONESHOT);
}

static int on_overdue(sd_event_source *source, uint64_t usec, void *userdata) {
        Manager *manager = userdata;

        (void)usec;
        dispatch_poll_overdue(manager, dispatch_now_usec(manager) - manager->schedule.polled_usec);
        /* As long as it lasts: the job that is in the way may be another by then. */
        sd_event_source_set_time_relative(source, manager->config->poll_interval_usec);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int submit(Manager *manager, JobKind kind, char ret_id[static RECEIPT_ID_MAX]) {
        Job *job = calloc(1, sizeof(*job));

        if (!job)
                return -ENOMEM;
        job->kind = kind;
        job->around = schedule_surroundings(manager);
        return workers_submit(&manager->workers, job, ret_id);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Manager *manager = userdata;
        Schedule *schedule = &manager->schedule;
        char id[RECEIPT_ID_MAX];

        (void)source;
        (void)usec;
        schedule->wanted_usec = USEC_INFINITY;
        schedule->news_first_usec = schedule->news_last_usec = 0;
        if (submit(manager, JOB_POLL, id) < 0) {
                schedule->next_usec =
                        dispatch_now_usec(manager) + manager->config->poll_interval_usec;
                arm(manager);
        } else {
                schedule->polling = true;
        }
        return 0;
}

/*
 * On the containerd store a df in the middle of a build makes the engine count its records as not
 * shared, until it is restarted. While its events are heard nothing is missed by looking less often,
 * but for the disk that fills by other hands: so not for long.
 */
static bool may_be_calm(const Manager *manager) {
        return manager->engine.summary.engine.image_store == IMAGE_STORE_CONTAINERD &&
               schedule_hears_events(manager) && !manager->engine.summary.pressure;
}

static uint64_t interval_usec(const Manager *manager) {
        const Summary *summary = &manager->engine.summary;
        uint64_t interval = manager->config->poll_interval_usec, usec = interval;

        usec = MAX(usec, pause_usec(manager));
        if (may_be_calm(manager))
                usec = MAX(usec, MIN(interval * CALM_INTERVALS, CALM_USEC));
        if (summary->wanted && summary->hold_left_sec >= 0)
                usec = MIN(usec, ((uint64_t)summary->hold_left_sec + 1) * USEC_PER_SEC);
        return usec;
}

/* Policy has its turn when the last poll says so, and nothing else that removes is under way. */
static void maybe_pass(Manager *manager) {
        Schedule *schedule = &manager->schedule;

        if (!manager->engine.summary.due || schedule->pass_id[0] ||
            job_queue_removes(&manager->workers.queue) || manager->inhibitors.first ||
            manager->stopping)
                return;
        if (dispatch_now_usec(manager) < schedule->pass_after_usec) {
                schedule->next_usec = MIN(schedule->next_usec, schedule->pass_after_usec);
                return;
        }
        if (submit(manager, JOB_PASS, schedule->pass_id) < 0) {
                schedule->pass_id[0] = '\0';
                log_error("Out of memory: policy has to wait");
        }
}

static void poll_failed(Manager *manager, const Job *job) {
        Schedule *schedule = &manager->schedule;
        uint64_t backoff_usec = BACKOFF_FIRST_USEC << MIN(schedule->n_failures, 10U);

        if (schedule->n_failures++ == 0)
                schedule->failing_since_usec = now_boottime_usec();
        manager->engine.counters.poll_failures++;
        manager_engine_is(manager, job->error, diag_text(&job->diag, job->error));
        schedule->next_usec =
                dispatch_now_usec(manager) + MIN(backoff_usec, manager->config->poll_interval_usec);
}

void schedule_poll_done(Manager *manager, Job *job) {
        Schedule *schedule = &manager->schedule;

        schedule->polling = false;
        schedule->polled_usec = dispatch_now_usec(manager);
        if (job->error == -ECANCELED)
                return;
        manager->engine.counters.polls++;
        if (job->error < 0) {
                poll_failed(manager, job);
        } else {
                schedule->n_failures = 0;
                engine_state_polled(&manager->engine, &job->summary);
                if (manager->engine.summary.changed)
                        schedule->activity_usec = now_boottime_usec();
                manager_engine_is(manager, 0, NULL);
                schedule->next_usec = dispatch_now_usec(manager) + interval_usec(manager);
                maybe_pass(manager);
        }
        arm(manager);
        expect_poll(manager);
        dispatch_update_alarms(manager);
        metrics_write(manager);
}

void schedule_pass_done(Manager *manager, const Job *job) {
        cleanup(policy_result_done) PolicyResult result = policy_result(job);
        uint64_t interval_usec = manager->config->poll_interval_usec, backoff_usec = 0;
        Schedule *schedule = &manager->schedule;

        schedule->pass_id[0] = '\0';
        if (result.canceled)
                return;
        if (result.recorded || result.error)
                log_policy_run(&result);
        engine_state_policy_run(&manager->engine, &result);
        if (!result.recorded && !result.error) {
                backoff_usec = interval_usec; /* a hold came up */
        } else if (result.no_progress) {
                backoff_usec = interval_usec << MIN(schedule->n_vain, 10U);
                schedule->n_vain++;
        } else {
                schedule->n_vain = 0;
        }
        schedule->pass_after_usec =
                dispatch_now_usec(manager) + MIN(backoff_usec, PASS_BACKOFF_MAX_USEC);
        alarms_policy_run(&manager->alarms, &result, manager->engine.summary.pressure);
        metrics_write(manager);
        schedule_poll_within(manager, FREED_SETTLE_USEC);
}

void schedule_withdraw_pass(Manager *manager) {
        Schedule *schedule = &manager->schedule;

        if (schedule->pass_id[0] && manager_withdraw(manager, schedule->pass_id))
                schedule->pass_id[0] = '\0';
}

static int on_watcher(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Manager *manager = userdata;
        Schedule *schedule = &manager->schedule;
        WatcherNews news = watcher_news(schedule->watcher);

        (void)source;
        (void)fd;
        (void)revents;
        if (news.connected != schedule->watching)
                log_debug("The engine's events are %s", news.connected ? "heard" : "not heard");
        schedule->watching = news.connected;
        if (news.n_events == 0)
                return 0;
        manager->engine.counters.events += news.n_events;
        if (news.last_usec > schedule->activity_usec) {
                schedule_withdraw_pass(manager); /* it was to begin in a quiet host */
                schedule->activity_usec = news.last_usec;
        }
        schedule->news_last_usec = dispatch_now_usec(manager);
        if (schedule->news_first_usec == 0)
                schedule->news_first_usec = schedule->news_last_usec;
        arm(manager);
        return 0;
}

static void drop_watcher(Schedule *schedule) {
        schedule->watcher_source = sd_event_source_disable_unref(schedule->watcher_source);
        schedule->watcher = watcher_free(schedule->watcher);
        free(schedule->watched_socket);
        free(schedule->watched_tag);
        schedule->watched_socket = schedule->watched_tag = NULL;
        schedule->watching = false;
}

/* Listens to the engine's events, or not, as the configuration has it. */
static int follow_events(Manager *manager) {
        Schedule *schedule = &manager->schedule;
        const char *socket = manager->config->docker_socket;
        const char *tag = manager->config->rollback_tag;
        int r;

        if (schedule->watcher &&
            (!manager->config->events || strcmp(schedule->watched_socket, socket) != 0 ||
             strcmp(schedule->watched_tag, tag) != 0))
                drop_watcher(schedule);
        if (schedule->watcher || !manager->config->events)
                return 0;
        schedule->watched_socket = strdup(socket);
        schedule->watched_tag = strdup(tag);
        r = schedule->watched_socket && schedule->watched_tag
                    ? watcher_new(socket, tag, schedule->tag_events, &schedule->watcher)
                    : -ENOMEM;
        if (r >= 0)
                r = sd_event_add_io(manager->event, &schedule->watcher_source,
                                    watcher_fd(schedule->watcher), EPOLLIN, on_watcher, manager);
        if (r < 0)
                drop_watcher(schedule);
        return r;
}

int schedule_start(Manager *manager) {
        Schedule *schedule = &manager->schedule;
        int r;

        schedule->wanted_usec = USEC_INFINITY;
        schedule->next_usec = schedule->polled_usec = dispatch_now_usec(manager);
        schedule->activity_usec = now_boottime_usec();
        r = tag_events_new(&schedule->tag_events);
        if (r >= 0)
                r = sd_event_add_time(manager->event, &schedule->timer, CLOCK_BOOTTIME, 0,
                                      10 * USEC_PER_MSEC, on_timer, manager);
        if (r >= 0)
                r = sd_event_add_time(manager->event, &schedule->overdue_timer, CLOCK_MONOTONIC, 0,
                                      100 * USEC_PER_MSEC, on_overdue, manager);
        if (r < 0)
                return r;
        arm(manager);
        expect_poll(manager);
        return follow_events(manager);
}

void schedule_reload(Manager *manager) {
        int r = follow_events(manager);

        if (r < 0)
                log_warning_errno(r, "Cannot listen to the engine's events; polling alone");
        schedule_withdraw_pass(manager); /* it has the configuration of before */
        manager->schedule.n_vain = 0;
        manager->schedule.pass_after_usec = 0;
        schedule_poll_within(manager, 0);
        expect_poll(manager);
}

void schedule_stop(Manager *manager) {
        sd_event_source_set_enabled(manager->schedule.timer, SD_EVENT_OFF);
        sd_event_source_set_enabled(manager->schedule.overdue_timer, SD_EVENT_OFF);
        drop_watcher(&manager->schedule);
}

void schedule_free(Manager *manager) {
        drop_watcher(&manager->schedule);
        tag_events_free(manager->schedule.tag_events);
        sd_event_source_disable_unref(manager->schedule.timer);
        sd_event_source_disable_unref(manager->schedule.overdue_timer);
}
