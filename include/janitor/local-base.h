/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Decide: which images of the application its builds need, as base images or as images that COPY --from
 * names. A clear that takes the name of such an image makes the next build fail. Pure, and N log N
 * unless thousands of releases of one repository differ in one layer (see local-base.c).
 */

#include "janitor/inventory.h"

typedef enum LocalBase {
        LOCAL_BASE_NOT,
        /* The next two are guesses. Where containers are made from images of the same repository, the image
         * is a release of the application instead; that is for the caller to find out. */
        LOCAL_BASE_POSSIBLY, /* by the number of its layers */
        LOCAL_BASE_LIKELY,   /* by its repository or its history */
        LOCAL_BASE_KNOWN,
} LocalBase;

/*
 * One answer for each image of the inventory, malloc'ed. A local base image has a name of ours, which may be
 * protected, and one of these is true:
 *  - A build named it: BuildKit's records of builds tell names of images, and what they told is kept in the
 *    facts (`needs`). Likely, where the build named another tag of the repository.
 *  - It is the beginning of another image of ours, present or remembered, that has more layers, or the same
 *    and a longer history, and docker commit did not make that one.
 *  - A stage of ours stands on it, by the classic builder's parents.
 *  - Likely: its history is the beginning of that of another image of ours of another repository, and it has
 *    instructions of its own. It was built anew since that image was.
 *  - Possibly, where the engine keeps no records of builds (20.10 and 23): the build cache tells that a build
 *    named an image with as many layers, and no image of others and no other local base image has as many.
 * That other image, or the stage, never bore a name that this one bears now, nor that name with other numbers
 * in its tag (name_release_hash()): else both are releases of one image, whose Dockerfile has become shorter or
 * longer. 0 or -ENOMEM.
 */
int local_bases_find(const Inventory *inventory, const Config *config, LocalBase **ret) must_check;

/* Keeps in inventory->facts which images are possibly local base images, since a clear takes the build cache
 * that tells it. 0 or -ENOMEM. */
int local_bases_note(const Config *config, Inventory *inventory) must_check;
