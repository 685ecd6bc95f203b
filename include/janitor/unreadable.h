/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a clear says of objects that the engine lists in a form that can't be read: what they serve or
 * use is not known, so each is remaining.
 */

#include "janitor/inventory.h"

/* Adds those that matter to a target; containers matter to all of Docker's. 0 or -ENOMEM. */
int unreadable_remaining(const Inventory *inventory, Target target, RemainingList *list) must_check;
