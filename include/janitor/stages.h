/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Stages of the classic builder. A multi-stage build leaves the last image of each stage but the final
 * one without a name and without children, which looks like the newest step of a build under way. What
 * tells them apart is the image that bears the name: the builder makes one stage after the other and
 * tags the last, so an image of ours that was made and named after a stage shows that the stage's build
 * has ended.
 *
 * Two classic builds at the same time can't be told apart by this: one that ends makes the newest step
 * of the other look ended, unless that has a container.
 */

#include "janitor/inventory.h"

/* A build may take so long from a stage's last step to its name. */
#define STAGE_SEC 3600

typedef struct NamedBuild {
        int64_t created_nsec;
        size_t image; /* position in the inventory */
        bool ours;
} NamedBuild;

/* The classic images that bear a name, by age. */
typedef struct NamedBuilds {
        NamedBuild *v;
        size_t n;
        int64_t newest_of_ours_nsec; /* INT64_MIN: there is none */
} NamedBuilds;

int named_builds_find(const Inventory *inventory, const Config *config,
                      NamedBuilds *ret) must_check;
void named_builds_done(NamedBuilds *builds);
static inline void named_builds_donep(NamedBuilds *builds) {
        named_builds_done(builds);
}

/* An untagged image of the classic builder without children: a stage, or the newest step of a build. */
bool image_is_classic_leaf(const Inventory *inventory, const Image *image);
/* Whether a step of a build made the leaf, by the newest entry of its history: docker commit leaves its
 * comment there, or the command of its container. Asks the engine unless the facts tell; they may be NULL.
 * True where the history can't be read, false where it is empty. */
int leaf_is_step(Docker *docker, const Image *leaf, const ImageFacts *facts, bool *ret,
                 Diag *reterr_diag) must_check;
/* Whether the build that a leaf is of has ended. */
bool stage_has_ended(const NamedBuilds *builds, const Image *leaf);
/* Whether it was a build of ours: it may be a stage, and the first image that was made and named since,
 * within STAGE_SEC, is ours. */
bool stage_is_ours(const NamedBuilds *builds, const Image *leaf);

/*
 * Asks the engine for the exact time of leaves, and of images that bear a name, ours or not, where both
 * were made in one second: builds of compose follow each other quickly. An image that is gone or
 * can't be read, and those past a few dozen, keep their seconds, and the leaf counts as the newer one.
 */
int stages_ask_times(Docker *docker, const Config *config, Inventory *inventory,
                     Diag *reterr_diag) must_check;

/*
 * Sets may_be_stage of the leaves that are stages of ours, as far as the engine tells, and notes in their
 * facts that they are ours, so that their instructions are known, which the history of the final image
 * lacks. inventory->facts must hold their histories.
 */
int stages_observe(Docker *docker, const Config *config, Inventory *inventory,
                   Diag *reterr_diag) must_check;

/* Adds the stages of ours, and the untagged steps they stand on, to the images that a clear knows as
 * its own; these are prepared then. 0 or -ENOMEM. */
int stages_add(const Inventory *inventory, const Config *config, NamedImages *suspects) must_check;
