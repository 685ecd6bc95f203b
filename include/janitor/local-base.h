/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Decide: which images of the application others of its images are built upon. Pure, and N log N.
 */

#include "janitor/inventory.h"

/*
 * A local base image: ours by a name in scope, with at least one layer, and the beginning of another image
 * of ours, present or remembered, that has more layers, or the same and a longer history. That other image
 * never bore a name that this one bears now: else this image is a later release of it, from a Dockerfile
 * that has become shorter.
 * One answer for each image of the inventory, malloc'ed. 0 or -ENOMEM.
 */
int local_bases_find(const Inventory *inventory, const Config *config, bool **ret) must_check;
