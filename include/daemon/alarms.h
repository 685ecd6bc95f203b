/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Alarms: states that a person has to know of. Plain values without clock or I/O: an update
 * records which alarms it raised or cleared, and alarm-notice.h tells people.
 */

#include "daemon/engine-state.h"

/* The engine counts as unavailable after so many failed polls in a row and as many poll intervals. */
#define ALARM_INTERVALS 3
/* So many policy runs in a row that leave an object, or make no progress against a full disk, are an alarm. */
#define ALARM_POLICY_RUNS 2
/* A build cache record that stays in use for longer means that a build hangs or the engine lost count. */
#define ALARM_IN_USE_SEC (2 * 3600)
/* A build or an inhibitor may hold policy for so long while a disk is full. */
#define ALARM_PRESSURE_HELD_SEC 900

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

/* Alarms that an update raised or cleared, in the order in which this came about; each at most once. */
typedef struct AlarmChanges {
        AlarmKind v[ALARM_MAX];
        size_t n;
        int64_t at_sec; /* wall time of the update */
} AlarmChanges;

typedef struct Alarms {
        Alarm v[ALARM_MAX];
        AlarmChanges changes; /* of the last update */

        char *policy_error; /* of the last policy run, or NULL */
        char *left;         /* names what the last policy run left, or NULL */
        unsigned n_left_runs;
        uint64_t pressure_since_usec;        /* 0: none */
        unsigned n_pressure_runs;            /* that made no progress */
        uint64_t held_hash, held_since_usec; /* of the records that builds hold */
} Alarms;

/* The facts that an update depends on. */
typedef struct AlarmFacts {
        const Config *config;
        const EngineState *engine;
        const char *state_path;
        Hold hold;           /* what holds policy now */
        unsigned n_failures; /* polls that failed in a row */
        uint64_t failing_since_usec;
        uint64_t now_usec; /* CLOCK_BOOTTIME */
        int64_t now_sec;   /* wall time */
} AlarmFacts;

/* A poll has ended, or failed. */
void alarms_update(Alarms *self, const AlarmFacts *facts);
/* A job has ended: updates the alarm on the store alone. */
void alarms_update_store(Alarms *self, const AlarmFacts *facts);
/* No poll has ended for `usec`, since the daemon is `busy` (NULL: out of memory). alarms_update()
 * clears the alarm. */
void alarms_poll_overdue(Alarms *self, uint64_t usec, const char *busy, int64_t now_sec);
/* A policy run has ended. The next poll, whose figures are of after the run, raises alarms on it. */
void alarms_policy_run(Alarms *self, const PolicyResult *result, bool pressure);
void alarms_done(Alarms *self);
