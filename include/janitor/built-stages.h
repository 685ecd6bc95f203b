/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The instructions of all stages of a Dockerfile, which neither the layers nor the history of the final
 * image tell. BuildKit's record of a build names them, on engines that keep such records (24 and later).
 * Only the builds of images that are still here are asked for, and only where an image of others may
 * serve: an image of the classic builder, or one with inline cache metadata.
 */

#include "janitor/inventory.h"

/* Completes inventory->facts with `stages`. -ENOMEM, -ECANCELED. */
int built_stages_observe(Docker *docker, Inventory *inventory) must_check;
