/* SPDX-License-Identifier: MIT */
#pragma once

/* The workers as the loop thread has them: what is submitted, what they tell, what is kept of it.
 * Part of the manager; manager_submit() and its kin are here too. */

#include "daemon/manager.h"

/* What is known of earlier clears and passes, from the store; before the workers have it. */
int jobs_remember(Manager *manager, Diag *reterr_diag) must_check;
int jobs_start(Manager *manager) must_check;
/* Raises and clears alarms, and tells people: after every poll, failed polls too. */
void jobs_update_alarms(Manager *manager);
/* No poll has ended for `usec`. */
void jobs_poll_overdue(Manager *manager, uint64_t usec);
void jobs_free(Manager *manager);
