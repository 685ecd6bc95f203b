/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Act: carries out a plan, each object re-checked immediately before. Never forces, never deletes
 * by id: an untagged image is first tagged wpcache-trash:ID and removed by that name, so that the
 * engine keeps it if anybody tagged it meanwhile.
 *
 * What the engine refuses (in use, has children, gone by now) is no error: the next pass finds it
 * or not, and the proof names it. Other errors end the act. Each name that goes is in `receipt` before
 * the engine is asked to remove it; names that the engine was not asked about are dropped again.
 */

#include "janitor/clear.h"

/* The engine's events since the plan's inventory tell whether a name may have moved to another image. */
typedef struct NameEvents {
        TagEvents *tag_events;     /* borrowed, or NULL: events are not heard */
        const char *docker_socket; /* borrowed */
        uint64_t since_usec;       /* CLOCK_BOOTTIME before the inventory was read */
} NameEvents;

int act_images(Docker *docker, const ClearPlan *plan, const NameEvents *events,
               const Reporter *reporter, Receipt *receipt, Diag *reterr_diag) must_check;

int act_builder(Docker *docker, const ClearOptions *options, Receipt *receipt,
                Diag *reterr_diag) must_check;

/*
 * Removes a name that was seen on its image right before: 1 when it is gone, 0 when the engine refused
 * or the name was gone already.
 */
int act_take_seen_name(Docker *docker, const char *name, Diag *reterr_diag) must_check;

/*
 * Removes an image without a name by a trash tag: 1 when the tag is off again and the engine said how
 * many images it deleted with it, 0 when the image is left: a container holds it, it has a name by
 * now, the engine refused. One that has a digest goes by a trash tag in the digest's repository, since
 * the engine drops digests with the last tag beside them. -EAGAIN: a container was made from an id at
 * `since_sec` (wall time) or later, which may be a step of a classic build; nothing untagged may go
 * then.
 */
int act_take_untagged(Docker *docker, const char *id, const char *digest, int64_t since_sec,
                      size_t *ret_deleted, Diag *reterr_diag) must_check;
