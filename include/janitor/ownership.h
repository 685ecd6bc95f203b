/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Whose an image is, and what it stands on. Pure: no clock, no I/O. Every walk along parents is
 * bounded, whatever an engine answers, and the cost of each function is at most N log N in the
 * images. `suspects` should be indexed by named_images_prepare().
 */

#include "janitor/inventory.h"
#include "store/store.h"

/* The parent of each image as an index, malloc'ed; PLAN_NO_PARENT where it has none or none that is
 * there. */
#define PLAN_NO_PARENT SIZE_MAX
int plan_parents(const Inventory *inventory, size_t **ret) must_check;
/* All `n` positions, children before parents; the members of a circle last. malloc'ed. 0 or -ENOMEM. */
int plan_children_first(const size_t *parents, size_t n, size_t **ret) must_check;

typedef enum Claim { CLAIM_NONE, CLAIM_OURS, CLAIM_FOREIGN } Claim;

/*
 * Who owns each image that has no name (the application owns all of them with dangling=all),
 * malloc'ed; CLAIM_NONE for images that have a name. `parents` by plan_parents().
 */
int plan_claims(const Inventory *inventory, const Config *config, const NamedImages *suspects,
                const size_t *parents, Claim **ret) must_check;

/* What is remembered of each image, in the order of the inventory; malloc'ed. An element is NULL where
 * nothing is, and borrowed from `seen` (which may be NULL) otherwise. */
int plan_recall(const Inventory *inventory, const SeenImages *seen,
                const SeenImage ***ret) must_check;

/*
 * Adds to `suspects` every image that a name in scope names (with that name) or that had one when last
 * remembered and has none now (with the name ""), and the members of the parent chain of both (with
 * the name ""), up to the image that the Dockerfile's FROM named. `seen` may be NULL. The list is indexed
 * afterwards.
 */
int plan_suspects(const Inventory *inventory, const Config *config, const SeenImages *seen,
                  NamedImages *suspects) must_check;

/*
 * The name that an untagged image in use went by: a rebuild takes the name from a release that still
 * runs, and its container remembers. NULL if it has none in scope; else malloc'ed into `*ret`.
 */
int plan_former_name(const Inventory *inventory, const Config *config, const Image *image,
                     char **ret) must_check;

/* The first name of the image that matches [images] match or project and is not a base image, borrowed;
 * NULL if there is none. */
const char *image_name_of_ours(const Config *config, const Image *image);
/* Whether the image has such a name. */
bool image_is_ours(const Config *config, const Image *image);
