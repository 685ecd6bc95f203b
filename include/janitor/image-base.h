/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The base image of an image: what FROM named. The chain of parents tells it of an image of the classic
 * builder; of others, whose parents no engine knows, their layers do: the base image's are the beginning
 * of theirs. Pure, and N log N.
 */

#include "janitor/chains.h"

#define BASE_IS_SCRATCH (SIZE_MAX - 1)
#define BASE_NOT_KNOWN SIZE_MAX

/*
 * Whether FROM may name this image of others: it was pulled, imported, or made by the classic builder or
 * another tool. What BuildKit built here is left out, since it may be a stage of ours, or a copy of it; and so it
 * does where it was pushed from here. `facts` may be NULL.
 */
bool image_may_be_base(const Image *image, const ImageFacts *facts);

/* A position in the inventory for each image, or one of the values above; malloc'ed. 0 or -ENOMEM. */
int image_bases_find(const Inventory *inventory, const ImageChain *chains, size_t **ret) must_check;

/* Hashes of the repositories that name the image at position `base`, or of the words in store/facts.h;
 * empty where it is not known. 0 or -ENOMEM. */
int image_base_repositories(const Inventory *inventory, size_t base, HashList *ret) must_check;

/* Notes in the facts where the base image of each image of ours ends, as exactly as its chain tells, and
 * what names it has. A base image that lost its name keeps in these facts those that it had. */
int image_bases_note(const Config *config, Inventory *inventory) must_check;
