/* SPDX-License-Identifier: MIT */
#pragma once

/* What callers that wait for a job, and monitors, are told of it. */

#include "daemon/monitors.h"
#include "daemon/status.h"
#include "daemon/waiters.h"

/* Tells the callers that wait for this job; they wait no more once it is done. */
void waiters_reply(Waiters *waiters, const JobEvent *event, const StatusFacts *facts);
/* Tells monitors of progress, and of the end of a job that removes. */
void monitors_tell_job(const Monitors *monitors, const JobEvent *event, const StatusFacts *facts);
