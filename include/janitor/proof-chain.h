/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Decide: which images have to go together, and in which order. An image that the classic builder reaches by
 * its parents serves as long as it exists, and the engine keeps it as long as an image stands on it. Pure, and
 * linear.
 */

#include "janitor/source.h"

#define CHAIN_NO_SOURCE SIZE_MAX

typedef struct ProofChain {
        size_t *parents; /* as of plan_parents() */
        size_t *order;   /* as of plan_children_first() */
        bool *remains;   /* it is remaining by itself */
        /* Position of a source that stays as long as this image does; CHAIN_NO_SOURCE: there is none. */
        size_t *below;
        /* It is a step that a source stands on: without a name, and no source until nothing stands on it. */
        bool *step;
} ProofChain;

/* 0 or -ENOMEM. `sources` are of this inventory. */
int proof_chain_find(const Inventory *inventory, const Config *config, const Source *sources,
                     ProofChain *ret) must_check;
void proof_chain_done(ProofChain *chain);
static inline void proof_chain_donep(ProofChain *chain) {
        proof_chain_done(chain);
}

/* Whether the image has a name of others, and an image of ours was built upon it: it may be a base image. */
bool source_may_be_base(const Image *image, const Source *source);
/* A name that [images] protect keeps from the clear, or NULL. */
const char *source_protected_name(const Config *config, const Image *image);
