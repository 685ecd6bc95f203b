/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Stages of our multi-stage builds that bear a name of others: `docker build --target builder -t ci/builder .`
 * The classic builder takes their steps for the next build of ours, and their instructions are not in the
 * history of our final image. What ties such an image to ours is the time: the builder makes the stages of
 * a build one after the other, so a step of ours was made right after the last step of the stage, and no
 * other step of a named image in between.
 */

#include "janitor/inventory.h"

/*
 * Completes inventory->facts, whose histories are read already. Notes an image as ours where it got its name
 * only after an image of ours was made from the step that followed it, within an hour: until then it was a stage
 * without a name. Where it had its name before, it may as well be an application of others that was
 * built just before ours: then made_amid_ours, if a step of ours followed within ten seconds and the
 * image does not end with CMD or ENTRYPOINT, as applications do. What docker commit made is neither.
 */
int named_stages_observe(Docker *docker, const Config *config, Inventory *inventory,
                         Diag *reterr_diag) must_check;
