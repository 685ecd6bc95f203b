/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Handles events of the workers, events of the engine and timers: passes the facts to the cores (queue, schedule,
 * alarms, engine state) and carries out what they decide.
 */

#include "daemon/manager.h"
#include "daemon/status.h"

/* Starts the workers, the timers and the event stream. 0 or -errno. */
int dispatch_start(Manager *manager) must_check;
/* Applies the configuration in force to the event stream and the schedule, and polls at once. */
void dispatch_reload(Manager *manager);
/* Stops polls, policy runs and the event stream, and has the workers end after their current jobs. */
void dispatch_stop(Manager *manager);
/* Waits for the worker threads, and frees what dispatch_start() made. */
void dispatch_free(Manager *manager);

/* The present facts for status and metrics. */
StatusFacts dispatch_status_facts(const Manager *manager);
/* The policy context: facts of the loop thread that a policy decision in a worker depends on. */
Surroundings dispatch_policy_context(const Manager *manager);
