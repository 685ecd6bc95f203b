/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Handles callers that wait: grants inhibitors and submits waiting clears as soon as the core `inhibitors` allows
 * it, and ends waits at their deadline or when the peer is gone.
 */

#include "daemon/manager.h"
#include "daemon/submit.h"

/* CLOCK_BOOTTIME of this turn of the loop. Timers run by it; no test moves it. */
uint64_t loop_now_usec(const Manager *manager);
/* The submitter for this turn of the loop. */
Submitter requests_submitter(Manager *manager);

/* Lets go all requests that need not wait any longer. To be called when a job has ended, and when a request
 * came. */
void requests_advance(Manager *manager);
/* The peer is gone: its inhibitor ends, its waiting clear is forgotten, a job that
 * removes nothing is withdrawn if no other caller waits for it. */
void requests_gone(Manager *manager, const Connection *connection);
/* Takes back a policy run that has not started: an inhibitor need not wait for it. */
void requests_withdraw_policy(Manager *manager);
/* Ends waits and inhibitors whose time is over. */
void requests_expire(Manager *manager);
/* The time of the next requests_expire(); USEC_INFINITY: none. */
uint64_t requests_deadline(const Manager *manager);
/* The daemon stops: callers whose requests wait are told. Held inhibitors end with their connections. */
void requests_stop(Manager *manager);
