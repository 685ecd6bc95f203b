/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Alarms: states that a person has to know of. Each is raised once and cleared once: a journal
 * record with its MESSAGE_ID, an event for monitors, the hook command. On the loop thread.
 */

#include <systemd/sd-event.h>

#include "janitor/job.h"

typedef struct Manager Manager;

/* MESSAGE_ID of the journal; systemd/wpcache.catalog explains them. */
#define MESSAGE_ALARM_RAISED "65eefb1957ac403f9514bc5911332cab"
#define MESSAGE_ALARM_CLEARED "84a36093ba0148d8b16d14345070bd05"

/* Polls in a row that may fail, and intervals that may pass, before it is an alarm. */
#define ALARM_INTERVALS 3
/* Passes in a row that may leave the same kind of trouble. */
#define ALARM_PASSES 2
/* A record that stays in use for so long is nobody's build. */
#define ALARM_IN_USE_SEC (2 * 3600)
/* A full disk that nothing may be done about for so long (a build, an inhibitor). */
#define ALARM_PRESSURE_HELD_SEC 900
/* The hook command has so much time, and so many may wait for their turn. */
#define ALARM_HOOK_SEC 30
#define ALARM_HOOKS_MAX 16

typedef enum AlarmKind {
        ALARM_ENGINE_UNAVAILABLE,
        ALARM_POLL_OVERDUE,
        ALARM_PASS_FAILED,
        ALARM_CANDIDATES_LEFT,
        ALARM_DISK_PRESSURE,
        ALARM_DISK_UNSEEN,
        ALARM_RECORD_IN_USE,
        ALARM_STORE_FAILED,
        ALARM_MAX
} AlarmKind;

const char *alarm_kind_to_string(AlarmKind kind);

typedef struct Alarm {
        bool standing;
        int64_t since_sec; /* wall time */
        char *message, *remedy;
} Alarm;

/* One run of the hook command, waiting or (the first) in progress. */
typedef struct Hook Hook;

typedef struct Alarms {
        Alarm v[ALARM_MAX];

        char *pass_error; /* of the last pass, or NULL */
        unsigned n_left_passes;
        char *left;                   /* names what the last pass left, or NULL */
        uint64_t pressure_since_usec; /* CLOCK_BOOTTIME; 0: none */
        unsigned n_pressure_passes;
        uint64_t held_hash, held_since_usec; /* of the records that builds hold */

        Hook *hooks;
        size_t n_hooks;
        sd_event_source *hook_child, *hook_timer;
} Alarms;

/* A pass has ended; nothing is raised before the next poll, since the figures are of before. */
void alarms_pass_done(Manager *manager, const Job *job);
/* Looks at what the manager knows and raises and clears. After every poll, failed ones too. */
void alarms_update(Manager *manager);
/* The same of the store alone, after each job. */
void alarms_update_store(Manager *manager);
/* No poll has ended for `usec`, which is more than a few intervals. Cleared by alarms_update(). */
void alarms_poll_overdue(Manager *manager, uint64_t usec);
/* Type Alarm[]. */
Json *alarms_json(const Manager *manager);
void alarms_free(Manager *manager);
