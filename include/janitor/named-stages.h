/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Stages of our multi-stage builds that bear a name of others, such as `docker build --target builder -t
 * ci/builder .` makes. The classic builder takes their steps for the next build of ours, and their
 * instructions are not in the history of our final image. The time ties such an image to ours: the builder
 * makes the stages of a build one after the other, so a step of ours was made right after the last step of
 * the stage, and no step of another image with a name in between.
 */

#include "janitor/inventory.h"

/*
 * Completes made_amid_ours in inventory->facts, whose histories must be read already. An image of others is
 * made amid ours if a step of ours followed within ten seconds, with no step of another image with a name in
 * between. Excluded are images that end with CMD or ENTRYPOINT, as applications do, that have the label of a
 * compose project, that docker commit made, or whose times are not known.
 *
 * AMID_OURS_NAMED_SINCE: when the image was first seen with its name, the newest tag was newer than the image
 * of ours. Then the image most likely had no name before.
 *
 * The mark stays when that image of ours is gone. While it is there and tells otherwise, the mark goes: a
 * build of others that was under way may have got its name, and lies in between.
 */
int named_stages_observe(Docker *docker, const Config *config, Inventory *inventory,
                         Diag *reterr_diag) must_check;
