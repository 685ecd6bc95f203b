/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The instructions of all stages of a Dockerfile, as BuildKit's record of a build names them, on engines that keep
 * one (24 and later): what neither the layers nor the history of the final image tell. Only the builds
 * of images that are still here are asked for, and only where some image of others may serve: the
 * classic builder's, or one with inline cache metadata.
 */

#include "janitor/inventory.h"

/* Completes inventory->facts with `stages`. -ENOMEM, -ECANCELED. */
int built_stages_observe(Docker *docker, Inventory *inventory) must_check;
