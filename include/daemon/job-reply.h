/* SPDX-License-Identifier: MIT */
#pragma once

/* Replies to callers that wait for a job, and to monitors. */

#include "daemon/monitors.h"
#include "daemon/status.h"
#include "daemon/waiters.h"

/* Replies to the callers that wait for the job of `event`. Once the job is done, they are removed from `waiters`. */
void waiters_reply(Waiters *waiters, const JobEvent *event, const StatusFacts *facts);
/* Tells monitors of progress, and of the end of a job that removes. */
void monitors_tell_job(const Monitors *monitors, const JobEvent *event, const StatusFacts *facts);
