/* SPDX-License-Identifier: MIT */
#pragma once

/* The log records of jobs that are done. */

#include "daemon/job-result.h"

/* A clear (dry runs are not logged) or a rollback. */
void log_clear_or_rollback(const Job *job);
/* Caches that an earlier daemon left in trash directories. */
void log_trash_emptied(const Job *job);
void log_policy_run(const PolicyResult *result);
/* A receipt or policy run's record that the store has in memory alone: all of it, in parts, and why it
 * is not stored. */
void log_receipt(const Job *job, const char *reason);
