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
 * Completes inventory->facts, whose histories must be read already. Two cases are noted:
 *
 * ours: a step of ours followed within an hour, and the image got its name only after the image of ours
 * was made. Until then it was a stage without a name.
 *
 * made_amid_ours: the image had its name before, so it may as well be an application of others that was
 * built just before ours. Therefore a step of ours must have followed within ten seconds, and the image
 * must not end with CMD or ENTRYPOINT, as applications do.
 *
 * An image that docker commit made is neither.
 */
int named_stages_observe(Docker *docker, const Config *config, Inventory *inventory,
                         Diag *reterr_diag) must_check;
