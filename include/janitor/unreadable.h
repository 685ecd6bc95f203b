/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a clear says of objects that the engine lists in a form that can't be read: what they serve or
 * use is not known, so each is remaining.
 */

#include "janitor/inventory.h"

/* 0 or -ENOMEM. */
int unreadable_remaining(const Inventory *inventory, RemainingList *list) must_check;
