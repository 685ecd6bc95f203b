/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Whose an untagged image of the classic builder is, as far as its parents do not tell: what docker commit
 * made, what bore names of others alone, and stages of images of others.
 */

#include "janitor/inventory.h"

/*
 * Notes in inventory->facts which images bear a name of others (of_others), and which bear a rollback tag
 * in a repository of ours, whose image was ours (ours). Asks the engine for each untagged image of the
 * classic builder without children, once for an id:
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

/*
 * From a stage's last step to the next new step of the same build the classic builder needs little more than
 * the time of that step. Between two builds lie the end of the one client, the start of the other, and the
 * transfer of its context.
 */
#define STAGE_OF_OTHERS_NSEC (NSEC_PER_SEC / 10)

/*
 * Sets next_step of untagged images of the classic builder without children that are stages of others: the
 * first step that was made since, by any classic build, followed within STAGE_OF_OTHERS_NSEC, and only images
 * with a name of others (or that had one), or another such stage, stand on it. To be called after
 * stages_observe(), which finds the stages of ours.
 *
 * A leaf of a build of ours that failed, or was not named, is followed by a later build, if by any, so it is
 * not taken for a stage of others. Where the first step that follows takes longer, and where the exact
 * times are not known, next_step stays NULL. `others` build Dockerfiles of ours as well, for a trial under
 * another name: where an image that stands on the step is like ours, its stage has to count as ours, too.
 */
int stages_of_others_observe(Docker *docker, const Config *config, Inventory *inventory,
                             Diag *reterr_diag) must_check;
