/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Whether an image begins like one of ours, present or remembered: by its layers, or by the
 * instructions in its history. Pure.
 *
 * A build takes the steps of another image from its first instruction on, as long as they are equal;
 * so one instruction in common, beyond the base image, is enough for a cached step. The base image is
 * the same if its instructions are, or if one repository names or named both, in whatever version. Where
 * the base image of ours is there, but lost its name before the name could be seen, it is enough that both
 * base images begin with the same instruction; where it is not there, that both end with the same one.
 */

#include "base/hash-set.h"
#include "store/facts.h"

typedef struct Likeness {
        bool histories_known; /* the history of some image of ours */
        /* Of images of ours: */
        HashSet steps;       /* beginnings of the history that reach past the base image */
        HashSet below;       /* those that do not, of images that the classic builder made here */
        HashSet on_named;    /* the first step, with a repository of the base image; each step past
                              * n_base where the base image may be longer (not CLASSIC) */
        HashSet on_nameless; /* the same, with the first instruction of a base image without a name */
        HashSet on_unknown; /* the same, with the last instruction of a base image that is not here */
        HashSet stages;     /* the instructions of all stages, of builds that BuildKit told of */
        HashSet beginnings; /* beginnings of the layers: fewer than all of them */
        HashSet wholes;     /* all of the layers */
        HashSet builds;     /* for each build in `stages` a hash of all its instructions */
        HashSet projects;   /* the compose projects that label them */

        /* Of those that BuildKit made upon steps of the classic builder: the hash of the history up to the last
         * such step, ascending, one an image. */
        uint64_t *classic_parts;
        size_t n_classic_parts, classic_parts_size;

        HashSet bases; /* all layers of each image that is known to be no build of ours */
} Likeness;

/* Adds what is known of an image of ours. Builds made the oldest `n_steps` entries of its history. 0 or -ENOMEM, as
 * those below. */
int likeness_add_ours(Likeness *likeness, const ImageFacts *facts, size_t n_steps) must_check;
/* Adds an image of others that ours may be built upon: layers that BuildKit's images share with it are
 * those of a common base image. */
int likeness_add_base(Likeness *likeness, const ImageFacts *facts) must_check;
/* To be called once all are added. */
void likeness_sort(Likeness *likeness);
void likeness_done(Likeness *likeness);
static inline void likeness_donep(Likeness *likeness) {
        likeness_done(likeness);
}

/*
 * An image, and the repositories that name its base image now: some entry of its history gives a step to the
 * classic builder, and
 * - with those before it, it is the beginning of the history of an image of ours, or it is the first step of
 *   ours on the same base image;
 * - or the image holds instructions of a stage of ours that BuildKit told of.
 * `exact`: facts->n_base is the exact number of its base image's entries. Else any entry may be the first
 * instruction of a Dockerfile, and each is compared.
 */
bool likeness_of_history(const Likeness *likeness, const ImageFacts *facts, const HashList *bases,
                         bool exact);

/* The same of an image of the classic builder. True as well where its history or every history of ours is
 * unknown, or where HASHES_MAX entries of its history are the base image's, so that its own are not kept.
 * `facts` may be NULL. */
bool likeness_of_classic(const Likeness *likeness, const ImageFacts *facts, const HashList *bases,
                         bool exact);

/* BuildKit made the image upon steps of the classic builder, and several images of ours upon the same ones: then
 * these are most likely their base image's, which no build of ours begins with. */
bool likeness_shares_base(const Likeness *likeness, const ImageFacts *facts);

/* The whole history of an image is the beginning of the base image of ours: ours was built upon it, or upon
 * an image that was. */
bool likeness_is_below(const Likeness *likeness, const ImageFacts *facts);

/*
 * An image of BuildKit's. Where it is known to carry inline cache metadata: it shares a layer with ours
 * beyond a common base, or has the same base image and first instruction, or all instructions of its build
 * are in stages of ours, and they are not exactly those of one of our builds. Where that is unknown: one of
 * the two has all layers of the other, since a shorter beginning in common is taken for a common base; so is
 * an image that was pulled and that ours only goes on from.
 */
bool likeness_of_buildkit(const Likeness *likeness, const ImageFacts *facts, bool pulled);

/* An image with the label of this compose project, which labels or labelled an image of ours. */
bool likeness_of_project(const Likeness *likeness, const char *project);
