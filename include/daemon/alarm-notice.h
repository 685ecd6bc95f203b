/* SPDX-License-Identifier: MIT */
#pragma once

/* How people learn of an alarm that was raised or cleared: a record of the journal, an event for
 * monitors, the hook command. */

#include <systemd/sd-event.h>

#include "daemon/alarms.h"
#include "daemon/monitors.h"

/* MESSAGE_ID of the journal; systemd/wpcache.catalog explains them. */
#define MESSAGE_ALARM_RAISED "65eefb1957ac403f9514bc5911332cab"
#define MESSAGE_ALARM_CLEARED "84a36093ba0148d8b16d14345070bd05"

/* A run of the hook command is killed after this time; at most so many runs wait. */
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

/* Tells the journal and monitors of the alarms that the last update raised or cleared, and runs the hook command (NULL:
 * none) for each, one after the other. Failures are logged. */
void alarms_announce(const Alarms *alarms, AlarmHooks *hooks, const Monitors *monitors,
                     const char *command);
/* Ends the run in progress and drops those that wait. */
void alarm_hooks_done(AlarmHooks *self);
