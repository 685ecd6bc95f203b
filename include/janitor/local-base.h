/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Decide: which images of the application others of its images are built upon. Pure, and N log N.
 */

#include "janitor/inventory.h"

/*
 * A local base image: it has a name of ours, which may be protected, at least one layer, and is the
 * beginning of another image of ours, present or remembered, that has more layers, or the same and a longer
 * history. That other image never bore a name that this one bears now, nor that name with other numbers in its
 * tag (name_release_hash()): else both are releases of one image, whose Dockerfile has become shorter or
 * longer. `ret`: one answer for each image of the inventory, malloc'ed. 0 or -ENOMEM.
 */
int local_bases_find(const Inventory *inventory, const Config *config, bool **ret) must_check;
