/* SPDX-License-Identifier: MIT */

#include "daemon/schedule.h"

#define BACKOFF_FIRST_USEC (2 * USEC_PER_SEC)
/* Many events come at once: a poll waits until none came for SETTLE_USEC, but not longer than this. */
#define NEWS_WAIT_MAX_USEC (10 * USEC_PER_SEC)
#define CALM_INTERVALS 5
#define CALM_USEC (10 * USEC_PER_MINUTE)
#define POLICY_BACKOFF_MAX_USEC USEC_PER_HOUR
/* A poll is overdue after so many intervals. */
#define OVERDUE_INTERVALS 3
/* But not before this time, since other jobs delay polls. */
#define OVERDUE_MIN_USEC (15 * USEC_PER_SEC)

void schedule_init(Schedule *self, uint64_t now_usec, uint64_t host_usec) {
        *self = (Schedule){
                .polled_usec = now_usec,
                .next_usec = now_usec,
                .wanted_usec = USEC_INFINITY,
                .activity_usec = host_usec,
        };
}

void schedule_reload(Schedule *self, uint64_t now_usec) {
        self->n_no_progress = 0;
        self->policy_after_usec = 0;
        schedule_poll_within(self, now_usec, 0);
}

void schedule_poll_within(Schedule *self, uint64_t now_usec, uint64_t usec) {
        self->wanted_usec = MIN(self->wanted_usec, now_usec + usec);
}

bool schedule_events(Schedule *self, uint64_t now_usec, uint64_t last_usec) {
        bool active = last_usec > self->activity_usec;

        if (active)
                self->activity_usec = last_usec;
        self->news_last_usec = now_usec;
        if (self->news_first_usec == 0)
                self->news_first_usec = now_usec;
        return active;
}

/* The least pause between polls, so that the engine spends no more than the configured share of its time on them. */
static uint64_t pause_usec(const ScheduleFacts *facts) {
        return facts->summary->build_cache_usec * 100 / facts->config->poll_share_percent;
}

uint64_t schedule_poll_at(const Schedule *self, const ScheduleFacts *facts) {
        uint64_t usec = MIN(self->next_usec, self->wanted_usec), news_usec;

        if (self->polling || self->stopped)
                return USEC_INFINITY;
        if (self->news_first_usec == 0)
                return usec;
        news_usec =
                MIN(self->news_last_usec + SETTLE_USEC, self->news_first_usec + NEWS_WAIT_MAX_USEC);
        return MIN(usec, MAX(news_usec, self->polled_usec + pause_usec(facts)));
}

void schedule_poll_begins(Schedule *self) {
        self->wanted_usec = USEC_INFINITY;
        self->news_first_usec = self->news_last_usec = 0;
        self->polling = true;
}

void schedule_poll_delayed(Schedule *self, const ScheduleFacts *facts) {
        self->polling = false;
        self->next_usec = facts->now_usec + facts->config->poll_interval_usec;
}

void schedule_poll_failed(Schedule *self, const ScheduleFacts *facts) {
        uint64_t backoff_usec = BACKOFF_FIRST_USEC << MIN(self->n_failures, 10U);

        if (self->n_failures++ == 0)
                self->failing_since_usec = facts->host_usec;
        self->polling = false;
        self->polled_usec = facts->now_usec;
        self->next_usec = facts->now_usec + MIN(backoff_usec, facts->config->poll_interval_usec);
}

/*
 * On the containerd store a df in the middle of a build makes the engine count its records as not
 * shared, until it is restarted. While the event stream is connected, rarer polls miss nothing but a disk
 * that others fill. So the pause is bounded, and a disk under pressure is polled as usual.
 */
static bool may_be_calm(const ScheduleFacts *facts) {
        return facts->summary->engine.image_store == IMAGE_STORE_CONTAINERD &&
               facts->event_stream_connected && !facts->summary->pressure;
}

static uint64_t interval_usec(const ScheduleFacts *facts) {
        const Summary *summary = facts->summary;
        uint64_t interval = facts->config->poll_interval_usec,
                 usec = MAX(interval, pause_usec(facts));

        if (may_be_calm(facts))
                usec = MAX(usec, MIN(interval * CALM_INTERVALS, CALM_USEC));
        if (summary->wanted && summary->hold_left_sec >= 0)
                usec = MIN(usec, ((uint64_t)summary->hold_left_sec + 1) * USEC_PER_SEC);
        return usec;
}

bool schedule_polled(Schedule *self, const ScheduleFacts *facts) {
        self->polling = false;
        self->n_failures = 0;
        self->polled_usec = facts->now_usec;
        self->next_usec = facts->now_usec + interval_usec(facts);
        if (facts->summary->changed)
                self->activity_usec = facts->host_usec;
        if (!facts->summary->due || self->policy_id[0] || facts->busy || self->stopped)
                return false;
        if (facts->now_usec >= self->policy_after_usec)
                return true;
        self->next_usec = MIN(self->next_usec, self->policy_after_usec);
        return false;
}

/* A run that made no progress would be due again at once. The pause doubles with each such run. */
void schedule_policy_ended(Schedule *self, const PolicyResult *result, const ScheduleFacts *facts) {
        uint64_t interval = facts->config->poll_interval_usec, backoff_usec = 0;

        self->policy_id[0] = '\0';
        if (result->canceled)
                return;
        if (!result->recorded && !result->error) {
                backoff_usec = interval; /* a hold came up */
        } else if (result->no_progress) {
                backoff_usec = interval << MIN(self->n_no_progress, 10U);
                self->n_no_progress++;
        } else {
                self->n_no_progress = 0;
        }
        self->policy_after_usec = facts->now_usec + MIN(backoff_usec, POLICY_BACKOFF_MAX_USEC);
        schedule_poll_within(self, facts->now_usec, SETTLE_USEC);
}

uint64_t schedule_overdue_usec(const Schedule *self, const ScheduleFacts *facts) {
        uint64_t usec = facts->config->poll_interval_usec;

        if (self->next_usec > facts->now_usec)
                usec = MAX(usec, self->next_usec - facts->now_usec);
        usec = MAX(OVERDUE_INTERVALS * usec, OVERDUE_MIN_USEC);
        return usec - MIN(usec, facts->now_usec - self->polled_usec);
}

int64_t schedule_quiet_sec(const Schedule *self, uint64_t host_usec) {
        return host_usec < self->activity_usec
                       ? 0
                       : (int64_t)((host_usec - self->activity_usec) / USEC_PER_SEC);
}

Hold hold_now(Hold hold, size_t n_inhibitors, int64_t quiet_sec, const Config *config) {
        if (hold == HOLD_OBSERVE || hold == HOLD_GRACE)
                return hold;
        if (n_inhibitors > 0)
                return HOLD_INHIBITED;
        if (hold != HOLD_INHIBITED)
                return hold;
        return (uint64_t)quiet_sec * USEC_PER_SEC < config->quiet_usec ? HOLD_QUIET : HOLD_NONE;
}
