/* SPDX-License-Identifier: MIT */
#pragma once

/* How people learn of an alarm that was raised or cleared: a record of the journal, and the hook command. */

#include <systemd/sd-event.h>

#include "daemon/alarms.h"

/* MESSAGE_ID of the journal; systemd/wpcache.catalog explains them. */
#define MESSAGE_ALARM_RAISED "65eefb1957ac403f9514bc5911332cab"
#define MESSAGE_ALARM_CLEARED "84a36093ba0148d8b16d14345070bd05"

/* The hook command has so much time, and so many of its runs may wait. */
#define ALARM_HOOK_SEC 30
#define ALARM_HOOKS_MAX 16

/* One run of the hook command. */
typedef struct Hook Hook;

typedef struct AlarmHooks {
        sd_event *event; /* borrowed */
        Hook *first;     /* in progress, the others wait */
        size_t n;
        sd_event_source *child, *timer;
        bool stopping; /* no further run starts */
} AlarmHooks;

void alarm_log(AlarmKind kind, const Alarm *alarm);
/* Runs the hook command as soon as earlier runs have ended. Failures are logged. */
void alarm_hooks_run(AlarmHooks *self, const char *command, AlarmKind kind, const Alarm *alarm);
/* Ends the run in progress and drops those that wait. */
void alarm_hooks_done(AlarmHooks *self);
