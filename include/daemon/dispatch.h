/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the loop does when a worker tells of a job, events of the engine come, or a time is reached: the
 * facts go into the cores (queue, schedule, alarms, engine state), and what they decide is carried out.
 */

#include "daemon/manager.h"
#include "daemon/status.h"

/* Starts the workers, the timers and the event stream. 0 or -errno. */
int dispatch_start(Manager *manager) must_check;
/* Another configuration is in force: follows it, and polls at once. */
void dispatch_reload(Manager *manager);
/* The daemon stops: no further polls and policy runs, the workers end after their jobs. */
void dispatch_stop(Manager *manager);
/* Waits for the workers. */
void dispatch_free(Manager *manager);

/* What status and metrics are written from, as it stands now. */
StatusFacts dispatch_status_facts(const Manager *manager);
/* What the loop thread tells a decision of policy. */
Surroundings dispatch_policy_context(const Manager *manager);
