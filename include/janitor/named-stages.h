/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Stages of our multi-stage builds that bear a name of others, such as `docker build --target builder -t
 * ci/builder .` makes. The classic builder takes their steps for the next build of ours, and their
 * instructions are not in the history of our final image. What ties such an image to ours is the order: the
 * builder makes the stages of a build one after the other, so the step of ours was made after the last step
 * of the stage, and no step of another image with a name in between. Beside that it is the time, or the same
 * contents.
 */

#include "janitor/inventory.h"

/*
 * Completes made_amid_ours in inventory->facts, whose histories must be read already. An image of others is
 * made amid ours if a step of ours followed, with no step of another image with a name in between, and
 * - it followed within ten seconds, or
 * - some COPY or ADD of the image copied the same contents as one of an image of ours.
 * Excluded are images that end with CMD or ENTRYPOINT, as applications do, unless they copied a directory or
 * two other things as ours did; images that have the label of a compose project, that docker commit made, or
 * whose times are not known.
 *
 * AMID_OURS_NAMED_SINCE: when the image was first seen with its name, the newest tag was newer than the image
 * of ours. Then the image most likely had no name before.
 *
 * The mark stays when that image of ours is gone. While it is there and tells otherwise, the mark goes: a
 * build of others that was under way may have got its name, and lies in between.
 */
int named_stages_observe(Docker *docker, const Config *config, Inventory *inventory,
                         Diag *reterr_diag) must_check;
