/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The instructions in the histories of images, as far as they decide something: who built an image, how
 * a Dockerfile of ours begins, and whether an image of the classic builder begins like that.
 */

#include "janitor/inventory.h"

/* Completes inventory->facts, whose images are inspected already, and notes there which are ours. */
int image_histories_observe(Docker *docker, const Config *config, Inventory *inventory,
                            Diag *reterr_diag) must_check;
