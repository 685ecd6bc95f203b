/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What BuildKit's records of builds tell about images, on engines that keep such records (24 and later):
 *  - the instructions of all stages of a Dockerfile, which neither the layers nor the history of the final
 *    image tell
 *  - whether the image carries inline cache metadata, where its configuration can't be read
 *  - which images a build needed: those that FROM and COPY --from name, also of a build that failed
 * A record holds all that its build printed. Each is read once as long as the daemon runs, the newest first.
 */

#include "janitor/inventory.h"

/*
 * Reads the steps of inventory->builds.ended, and completes inventory->facts with `stages`, `needs` and
 * `inline_cache`. Once some dozens are read the next run goes on. A record that can't be read tells nothing.
 * -ENOMEM, -ECANCELED.
 */
int build_steps_observe(Docker *docker, const Config *config, Inventory *inventory) must_check;

/* The image that a step of a build names, borrowed from the step's name, or NULL: "[1/3] FROM NAME", of
 * COPY --from "FROM NAME", and "[internal] load metadata for NAME" (dockerfile2llb/convert.go in BuildKit's
 * source). */
const char *build_step_image(const char *name);
