/* SPDX-License-Identifier: MIT */

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/span.h"
#include "base/text.h"
#include "daemon/alarms.h"
#include "daemon/remedy.h"

const char *alarm_kind_to_string(AlarmKind kind) {
        static const char *const names[ALARM_MAX] = {
                [ALARM_ENGINE_UNAVAILABLE] = "engineUnavailable",
                [ALARM_POLL_OVERDUE] = "pollOverdue",
                [ALARM_PASS_FAILED] = "passFailed",
                [ALARM_CANDIDATES_LEFT] = "candidatesLeft",
                [ALARM_DISK_PRESSURE] = "diskPressure",
                [ALARM_DISK_UNSEEN] = "diskUnseen",
                [ALARM_RECORD_IN_USE] = "recordInUse",
                [ALARM_STORE_FAILED] = "storeFailed",
        };

        return names[kind];
}

/* Raises an alarm, and takes `message` over. The message of an alarm that stands already is replaced, without a
 * change. */
static void alarm_raise(Alarms *self, AlarmKind kind, char *message, const char *remedy) {
        Alarm *alarm = &self->v[kind];

        free(alarm->message);
        free(alarm->remedy);
        alarm->message = message ? text_clean(message) : NULL;
        alarm->remedy = remedy ? strdup(remedy) : NULL;
        if (alarm->remedy)
                text_clean(alarm->remedy); /* it goes into fields of the journal, one a line */
        if (alarm->standing)
                return;
        alarm->standing = true;
        alarm->since_sec = self->changes.at_sec;
        self->changes.v[self->changes.n++] = kind;
}

static void alarm_clear(Alarms *self, AlarmKind kind) {
        if (!self->v[kind].standing)
                return;
        self->v[kind].standing = false;
        self->changes.v[self->changes.n++] = kind;
}

static void update_engine(Alarms *self, const AlarmFacts *facts) {
        uint64_t failing_usec = facts->now_usec - facts->failing_since_usec;
        int error = facts->engine->error;
        char span[SPAN_TEXT_MAX];

        if (facts->n_failures == 0)
                alarm_clear(self, ALARM_ENGINE_UNAVAILABLE);
        else if (facts->n_failures >= ALARM_INTERVALS &&
                 failing_usec >= ALARM_INTERVALS * facts->config->poll_interval_usec)
                alarm_raise(self, ALARM_ENGINE_UNAVAILABLE,
                            text_format("the Docker engine has %s for %s: %s",
                                        engine_answered(error) ? "given no usable answer"
                                                               : "not been available",
                                        span_format(failing_usec, span), facts->engine->reason),
                            engine_remedy(facts->config->docker_socket, error));
}

static void update_policy_runs(Alarms *self, const AlarmFacts *facts) {
        bool stands = self->v[ALARM_PASS_FAILED].standing;

        if (!self->policy_error)
                alarm_clear(self, ALARM_PASS_FAILED);
        else if (stands ||
                 !facts->engine
                          ->reason) /* ALARM_ENGINE_UNAVAILABLE covers an engine that is gone */
                alarm_raise(self, ALARM_PASS_FAILED,
                            text_format("policy could not be carried out: %s", self->policy_error),
                            "wpcachectl history");
        if (self->n_left_runs >= ALARM_POLICY_RUNS)
                alarm_raise(self, ALARM_CANDIDATES_LEFT,
                            text_format("the engine does not let go of %s, after %u passes",
                                        self->left ?: "what policy removes", self->n_left_runs),
                            "wpcachectl history");
        else if (self->n_left_runs == 0)
                alarm_clear(self, ALARM_CANDIDATES_LEFT);
}

static void update_store(Alarms *self, const AlarmFacts *facts) {
        const StoreState *store = &facts->engine->store;
        const char *error = facts->engine->summary.store_error;
        cleanup_free char *remedy = NULL;
        char *message;

        if (store->writable && !error) {
                alarm_clear(self, ALARM_STORE_FAILED);
                return;
        }
        if (!store->readable)
                message =
                        text_format("what wpcached remembers cannot be read: it has memory alone, "
                                    "removes no image, and clears take no names: %s",
                                    store->reason.text);
        else if (!store->writable)
                message = text_format("nothing can be stored: receipts are in memory and in the "
                                      "log alone, and clears take no names: %s",
                                      store->reason.text);
        else
                message = text_format("what policy goes by could not be stored: %s", error);
        remedy = text_format("see to the disk of %s: df -h, df -i, mount", facts->state_path);
        alarm_raise(self, ALARM_STORE_FAILED, message, remedy);
}

void alarms_update_store(Alarms *self, const AlarmFacts *facts) {
        self->changes = (AlarmChanges){ .at_sec = facts->now_sec };
        update_store(self, facts);
}

/* Why policy does not help against a full disk, or NULL where it still may. */
static const char *helpless_text(const Alarms *self, const AlarmFacts *facts) {
        bool held_long = facts->now_usec - self->pressure_since_usec >=
                         ALARM_PRESSURE_HELD_SEC * USEC_PER_SEC;

        if (!facts->engine->summary.wanted)
                return "policy has nothing more to remove";
        switch (facts->hold) {
        case HOLD_OBSERVE:
                return "policy only observes (mode=observe)";
        case HOLD_GRACE:
                return "policy only observes a new host";
        case HOLD_INHIBITED:
                return held_long ? "policy is held by an inhibitor" : NULL;
        case HOLD_BUILDING:
                return held_long ? "policy is held by a build" : NULL;
        default:
                return self->n_pressure_runs >= ALARM_POLICY_RUNS ? "policy passes did not help"
                                                                  : NULL;
        }
}

static char *full_disk_text(const Disk *disk, const char *why, const char *pins) {
        char free_text[BYTES_TEXT_MAX], total[BYTES_TEXT_MAX];
        uint64_t percent =
                disk->total_inodes > 0 ? disk->free_inodes * 100 / disk->total_inodes : 100;

        return text_format("the disk at %s runs full, %s of %s and %llu%% of the inodes are free, "
                           "and %s%s%s",
                           disk->path, bytes_format(disk->free_bytes, free_text),
                           bytes_format(disk->total_bytes, total), (unsigned long long)percent,
                           why ?: "policy is at work", pins[0] ? "; " : "", pins);
}

static void update_disk_pressure(Alarms *self, const AlarmFacts *facts) {
        const Disk *disk = facts->engine->full_disk;
        const char *pins = facts->engine->summary.pins ?: "", *why;

        if (!disk) {
                self->pressure_since_usec = 0;
                self->n_pressure_runs = 0;
                alarm_clear(self, ALARM_DISK_PRESSURE);
                return;
        }
        if (self->pressure_since_usec == 0)
                self->pressure_since_usec = facts->now_usec;
        why = helpless_text(self, facts);
        if (why || self->v[ALARM_DISK_PRESSURE].standing)
                alarm_raise(self, ALARM_DISK_PRESSURE, full_disk_text(disk, why, pins),
                            pins[0] ? "free what is named, or make the disk larger"
                                    : "wpcachectl plan");
}

/* A disk that the daemon can't see is not protected. */
static void update_unseen_disks(Alarms *self, const AlarmFacts *facts) {
        const Strv *unseen = &facts->engine->summary.disks.unseen;
        const Config *config = facts->config;

        if (unseen->n == 0 ||
            (size_is_off(&config->min_free) && config->min_free_inodes_percent == 0))
                alarm_clear(self, ALARM_DISK_UNSEEN);
        else
                alarm_raise(self, ALARM_DISK_UNSEEN,
                            text_format("a disk that can't be looked at is not protected: %s",
                                        unseen->v[0]),
                            "name a directory on it that wpcached can see: [disk] paths in "
                            "wpcached.conf(5)");
}

static char *held_text(const Summary *summary, const char *span) {
        unsigned long long n_held = summary->records_in_use - summary->records_leaked;

        if (summary->building_unknown[0])
                return text_format("for %s it can't be told whether a build runs: %s", span,
                                   summary->building_unknown);
        if (n_held == 0)
                return text_format("the same builds have been under way for %s and use no build "
                                   "cache record: they hang",
                                   span);
        return text_format("the same %llu build cache records have been in use for %s: a build "
                           "hangs, or the engine lost count of them",
                           n_held, span);
}

/* Leaked records and a hanging build raise separate messages: leaked records stay in use while later
 * builds start and end. */
static void update_records(Alarms *self, const AlarmFacts *facts) {
        const uint64_t limit_usec = ALARM_IN_USE_SEC * USEC_PER_SEC;
        const Summary *summary = &facts->engine->summary;
        uint64_t leaked_usec = facts->now_usec - summary->leaked_since_usec, held_usec;
        char span[SPAN_TEXT_MAX];

        if (summary->held_hash != self->held_hash) {
                self->held_hash = summary->held_hash;
                self->held_since_usec = facts->now_usec;
        }
        held_usec = facts->now_usec - self->held_since_usec;
        if (summary->records_leaked > 0 && leaked_usec >= limit_usec)
                alarm_raise(self, ALARM_RECORD_IN_USE,
                            text_format("the engine has lost count of %llu build cache records: in "
                                        "use for %s, and by no build; no clear can remove them",
                                        (unsigned long long)summary->records_leaked,
                                        span_format(leaked_usec, span)),
                            "restart the engine: systemctl restart docker");
        else if (self->held_hash != 0 && held_usec >= limit_usec)
                alarm_raise(self, ALARM_RECORD_IN_USE,
                            held_text(summary, span_format(held_usec, span)),
                            "end the build, or restart the engine: systemctl restart docker");
        else
                alarm_clear(self, ALARM_RECORD_IN_USE);
}

void alarms_policy_run(Alarms *self, const PolicyResult *result, bool pressure) {
        if (!result->recorded && !result->error)
                return; /* a hold came up: nothing was tried */
        free(self->policy_error);
        self->policy_error = result->error ? strdup(result->error) : NULL;
        if (result->error)
                return;
        self->n_left_runs = result->run.n_remaining > 0 ? self->n_left_runs + 1 : 0;
        free(self->left);
        self->left = result->left ? strdup(result->left) : NULL;
        self->n_pressure_runs += pressure && result->no_progress;
}

void alarms_poll_overdue(Alarms *self, uint64_t usec, const char *busy, int64_t now_sec) {
        char span[SPAN_TEXT_MAX];

        self->changes = (AlarmChanges){ .at_sec = now_sec };
        alarm_raise(self, ALARM_POLL_OVERDUE,
                    text_format("no poll has ended for %s: %s", span_format(usec, span),
                                busy ?: "out of memory"),
                    "wait for the job in progress (wpcachectl status); if it hangs: systemctl "
                    "restart wpcached");
}

void alarms_update(Alarms *self, const AlarmFacts *facts) {
        bool current = !facts->engine->reason && facts->engine->summary.observed_sec > 0;

        self->changes = (AlarmChanges){ .at_sec = facts->now_sec };
        /* An object that policy no longer wants to remove is not left over. */
        if (current && !facts->engine->summary.wanted) {
                free(self->policy_error);
                self->policy_error = NULL;
                self->n_left_runs = 0;
        }
        alarm_clear(self, ALARM_POLL_OVERDUE); /* a poll has ended just now */
        update_engine(self, facts);
        update_policy_runs(self, facts);
        update_store(self, facts);
        if (!current)
                return; /* older figures say nothing about the present */
        update_disk_pressure(self, facts);
        update_unseen_disks(self, facts);
        update_records(self, facts);
}

void alarms_done(Alarms *self) {
        for (AlarmKind kind = 0; kind < ALARM_MAX; kind++) {
                free(self->v[kind].message);
                free(self->v[kind].remedy);
        }
        free(self->policy_error);
        free(self->left);
}
