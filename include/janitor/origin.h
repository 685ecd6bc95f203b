/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Whose an untagged image of the classic builder is, as far as its parents do not tell: what bore names of
 * others, and what bore a name at all. And which images docker commit made.
 */

#include "janitor/inventory.h"

/*
 * Notes in inventory->facts which images bear a name of others (of_others) or of ours, a rollback tag in a
 * repository of ours included (ours), and which got such a name since the last observation, as
 * inventory->tag_events tells; where it is untagged by now, that name is image->former.
 *
 * Asks the engine, once for an id, about the images of the classic builder that are untagged and have no
 * children; have a name of ours or a rollback tag; or have a name, and a parent with a name of ours. And about
 * the untagged image that something stands on which docker commit made.
 *  - commit: docker commit writes its comment, or the command of its container, into the newest entry of
 *    the history. An image whose command differs from its parent's without an instruction that says so
 *    was committed with --change.
 *  - bore_name: the graphdriver store keeps the time of the last tag. (On the containerd store that time is
 *    set for images without a name, too, and tells nothing.)
 *  - created_nsec.
 * The histories must be read already. What the engine can't tell of an image stays unknown.
 */
int origins_observe(Docker *docker, const Config *config, Inventory *inventory,
                    Diag *reterr_diag) must_check;
