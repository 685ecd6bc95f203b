/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The base image of an image: the image that FROM named. For an image of the classic builder the chain of
 * parents tells it. The engine knows no parents of other images; there it is the image whose layers are
 * the longest beginning of theirs. Pure, and N log N.
 */

#include "janitor/chains.h"

#define BASE_IS_SCRATCH (SIZE_MAX - 1)
#define BASE_NOT_KNOWN SIZE_MAX

/*
 * Whether an image of ours may be built upon this one: others made it, and it was pulled, imported, or made
 * by the classic builder or another tool. Images that BuildKit built here are excluded, also after a push:
 * they may be stages of ours. `facts` may be NULL.
 */
bool image_may_be_base(const Image *image, const ImageFacts *facts);

/* A position in the inventory for each image, or one of the values above; malloc'ed. 0 or -ENOMEM. */
int image_bases_find(const Inventory *inventory, const ImageChain *chains, size_t **ret) must_check;

/* How many entries the history of the image at position `base` has, if it is the beginning of this image's; else
 * 0. `base` may be one of the values above. */
size_t image_base_history(const Inventory *inventory, size_t base, const ImageFacts *facts);

/* Hashes of the repositories that name the image at position `base`, or of the words in store/facts.h;
 * empty where it is not known. 0 or -ENOMEM. */
int image_base_repositories(const Inventory *inventory, size_t base, HashList *ret) must_check;

/*
 * Notes in the facts of each image how many entries of its history are the base image's: exactly where its
 * chain tells, else at least. For images that teach (facts_teach()) it also notes the repositories that name
 * the base image. Those that named it before are kept when it has no name any more.
 */
int image_bases_note(const Config *config, Inventory *inventory) must_check;
