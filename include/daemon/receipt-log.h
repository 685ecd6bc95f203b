/* SPDX-License-Identifier: MIT */
#pragma once

/* The log keeps what the store has in memory alone: a clear's receipt or a policy pass's record. */

#include "janitor/job.h"

/* Logs the result of a job, in parts, and why it is not stored. */
void receipt_log(const Job *job, const char *reason);
