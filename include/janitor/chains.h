/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The classic builder's chains of parents, for all images of an inventory at once. Pure, and N log N:
 * a chain may be thousands of images long, and an engine's answer may hold a circle.
 */

#include "janitor/inventory.h"

#define CHAIN_NO_IMAGE SIZE_MAX
#define CHAIN_BROKEN SIZE_MAX

typedef struct ImageChain {
        size_t parent; /* position in the inventory; CHAIN_NO_IMAGE: none, or not there */
        /*
         * The classic builder reaches the image: its parents are all there (the graphdriver store keeps
         * them as long as the image lives; the containerd store does not), down to an image that FROM
         * can name or to the first step of a build FROM scratch.
         */
        bool whole;
        /* How many steps the image has of its own, down to its base image, the image itself included.
         * 0: the classic builder did not make it here; CHAIN_BROKEN: not known. */
        size_t n_own;
        /* Position of the base image; CHAIN_NO_IMAGE: FROM scratch if chain_tells_base(), else
         * unknown. */
        size_t base;
} ImageChain;

static inline bool chain_tells_base(const ImageChain *chain) {
        return chain->n_own != 0 && chain->n_own != CHAIN_BROKEN;
}

/* One for each image, at the same position; malloc'ed. 0 or -ENOMEM. */
int chains_find(const Inventory *inventory, const Config *config, ImageChain **ret) must_check;

/* How many of the oldest entries of an image's history are its base image's: exactly where its chain
 * tells, else at least. */
size_t image_base_entries(const ImageFacts *facts, const ImageChain *chain);
