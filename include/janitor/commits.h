/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Images that docker commit made. Such an image has the image of its container as parent, as a step of the
 * classic builder has the step before, but no build made it. Pure.
 */

#include "janitor/chains.h"

/* So many commits, one upon the other, are looked through: an engine's answer may hold a circle. What is below
 * them counts as no commit. */
#define COMMITS_MAX 128

/* By the facts about it. */
bool image_is_commit(const Inventory *inventory, const Image *image);

/* What an image that docker commit made stands on, past other such images. */
typedef struct CommitBase {
        size_t image; /* position; CHAIN_NO_IMAGE: it is not there */
        size_t n;     /* so many commits are above it, this one included */
        /* It is a step that the classic builder reaches, and no base image. Both stores keep it, without a
         * name, as long as something stands on it. */
        bool is_step;
} CommitBase;

CommitBase commit_base(const Inventory *inventory, const ImageChain *chains, size_t commit);
