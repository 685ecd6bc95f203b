/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Observe what the engine's list of images leaves out: who built an image, its layers, the
 * instructions in its history, whether it has inline cache metadata.
 *
 * An image that the classic builder made here has a ParentId, but for the first step of a build FROM
 * scratch. For an image without a parent, the newest history entry tells which builder made it. Facts
 * about an id never change (but for the time it was last tagged), so they are asked for once, and
 * remembered.
 */

#include "janitor/inventory.h"

/*
 * Completes inventory->facts, as far as `inventory->images` and what follows from them needs it. An
 * image is inspected that is not known yet, or whose names differ from when it was inspected, since
 * then its LastTagTime may differ, too. One that goes away meanwhile is left out.
 */
int image_facts_observe(Docker *docker, const Config *config, Inventory *inventory,
                        Diag *reterr_diag) must_check;

/*
 * Puts what earlier runs learned into an inventory that has no facts yet, and keeps what this one
 * learned. A store that fails costs calls to the engine, and what was known of images of ours that are
 * gone; neither is a reason to end a job, so there is no error.
 */
void image_facts_recall(Store *store, Inventory *inventory);
void image_facts_remember(Store *store, Inventory *inventory);

/* A run that looks several times has image_facts_refresh() inspect images once more at each look. */
void image_facts_age(Inventory *inventory);

/*
 * Inspects those of the marked images that this run has not inspected yet, for their LastTagTime; the
 * marks are one for each image of the inventory. Returns how many it inspected, or an error.
 */
int image_facts_refresh(Docker *docker, Inventory *inventory, const bool *marks,
                        Diag *reterr_diag) must_check;
