/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the loop does when something happens: a worker tells of a job, a time is reached, a caller leaves.
 * Here the facts go into the cores (queue, inhibitors, schedule, alarms), and what the cores decide is
 * carried out.
 */

#include "daemon/manager.h"
#include "daemon/status.h"
#include "daemon/submit.h"

/* What is known of earlier clears and passes, from the store; before the workers have it. */
int dispatch_load(Manager *manager, Diag *reterr_diag) must_check;
int dispatch_start(Manager *manager) must_check;
void dispatch_free(Manager *manager);

/* For jobs of callers, in this turn of the loop. */
Submitter dispatch_submitter(Manager *manager);
/* Lets go all requests that need not wait any longer. To be called when a job has ended or was withdrawn, and
 * when a request came or went. */
void dispatch_advance(Manager *manager);
/* The peer is gone: its inhibitor ends, its waiting clear is forgotten, a job that looks for it alone is
 * withdrawn. */
void dispatch_gone(Manager *manager, Connection *connection);
/* Takes back a policy run that has not started: an inhibitor need not wait for it. */
void dispatch_withdraw_policy(Manager *manager);
/* Another configuration is in force: follows it, and polls at once. */
void dispatch_reload(Manager *manager);
/* The daemon stops. Callers whose requests wait are told; held inhibitors end with their connections. */
void dispatch_stop(Manager *manager);

/* What status and metrics are written from, as it stands now. */
StatusFacts dispatch_status_facts(const Manager *manager);
/* What the loop thread tells a decision of policy. */
Surroundings dispatch_policy_context(const Manager *manager);
