/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Remembering images from one observation to the next: what store/store.h keeps of each. Pure.
 */

#include "janitor/inventory.h"
#include "store/store.h"

/* A moment of use that is remembered as of at most so long before. */
#define SEEN_USED_COARSE_SEC 3600

/*
 * Brings the list up to an inventory, and in order of ids: adds what is new, updates names and use,
 * drops what is gone, or nothing where an image can't be read. Where the inventory has facts (OBSERVE_ALL), a LastTagTime that differs from the
 * mark counts as a new name, since a rebuild from the cache gives an image the name it has; on the
 * containerd store a later one, since there it goes back as names are taken away. Losing a name does
 * not count as being named; neither do the janitor's own tags. used_sec is exact in memory and rounded
 * to the hour in the store. -ENOMEM leaves the list usable.
 *
 * `*ret_changed` (may be NULL): since the last time an image came, went, or got or lost a name; false
 * at the first observation of all. Not that one runs or no longer does: a container that restarts for
 * ever would never leave the host quiet.
 */
int seen_update(SeenImages *list, const Inventory *inventory, const Config *config,
                int64_t age_now_sec, bool *ret_changed) must_check;

/*
 * Whether the janitor tagged the image, and the LastTagTime of that tag is not known yet. The sooner it
 * is read, the less of what others tag passes for the janitor's.
 */
bool seen_wants_own_mark(const SeenImage *seen);
void seen_set_own_mark(SeenImage *seen, int64_t tagged_sec);

/* Whether others tagged the image since its LastTagTime was last read. `sec` and `nsec` are its current
 * LastTagTime, in seconds and in nanoseconds. False where none was read. */
bool seen_was_tagged(const SeenImage *seen, ImageStore store, int64_t sec, int64_t nsec);

/* Whether a time of the engine (seconds since 1970) lies an hour or more after the observation: it was made
 * up, or stamped before the clock was set back. */
bool seen_is_ahead(const Inventory *inventory, int64_t sec);
