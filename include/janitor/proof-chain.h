/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Decide: which images have to go together, and in which order. An image that the classic builder reaches by
 * its parents serves as long as it exists, and the engine keeps it as long as an image stands on it. Pure, and
 * N log N. The order of the images in the inventory plays no part.
 */

#include "janitor/source.h"

#define CHAIN_NO_SOURCE SIZE_MAX

typedef struct ProofChain {
        size_t *parents; /* as of plan_parents() */
        size_t *order;   /* as of plan_children_first() */
        bool *remains;   /* it is remaining by itself */
        /* Position of a source that stays as long as this image does; CHAIN_NO_SOURCE: there is none. */
        size_t *below;
        /* It is a step that a source stands on: it has no name, and becomes a source once nothing stands on it. */
        bool *step;
} ProofChain;

/* 0 or -ENOMEM. `sources` are of this inventory. */
int proof_chain_find(const Inventory *inventory, const Config *config, const Source *sources,
                     ProofChain *ret) must_check;
void proof_chain_done(ProofChain *chain);
static inline void proof_chain_donep(ProofChain *chain) {
        proof_chain_done(chain);
}

/*
 * Whether the image may be a base image: an image of ours was built upon it, and no name of ours tells that it is a
 * stage. Either that is all that it has in common with ours (`below_ours`; it need not have a name), or it is in
 * the parent chain of a cleared image, has a name, and no clear took that.
 */
bool source_may_be_base(const Image *image, const Source *source);
/* A name that [images] protect keeps from the clear, or NULL. */
const char *source_protected_name(const Config *config, const Image *image);
