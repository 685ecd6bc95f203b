/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Whether an image begins like one of ours, present or remembered: by its layers, or by the
 * instructions in its history. Pure.
 *
 * A build takes the steps of another image from its first instruction on, as long as they are equal;
 * so one instruction in common, beyond the base image, is enough for a cached step.
 */

#include "store/facts.h"

/* Hashes in ascending order, to be searched. */
typedef struct HashSet {
        uint64_t *v;
        size_t n, size;
} HashSet;

typedef struct Likeness {
        bool histories_known; /* the history of some image of ours */
        HashSet steps;      /* of images of ours: beginnings of the history, past the base image */
        HashSet beginnings; /* of their layers: fewer than all of them */
        HashSet wholes;     /* all of their layers */
        HashSet bases;      /* all layers of images that are known to be no build of ours */
} Likeness;

/* Adds what is known of an image of ours. 0 or -ENOMEM, as those below. */
int likeness_add_ours(Likeness *likeness, const ImageFacts *facts) must_check;
/* Adds an image of others that was pulled, imported, or built by the classic builder: layers that
 * BuildKit's images share with it are those of a common base image. */
int likeness_add_base(Likeness *likeness, const ImageFacts *facts) must_check;
/* To be called once all are added. */
void likeness_sort(Likeness *likeness);
void likeness_done(Likeness *likeness);
static inline void likeness_donep(Likeness *likeness) {
        likeness_done(likeness);
}

/* An image of the classic builder; true as well where its history or every history of ours is unknown.
 * `facts` may be NULL. */
bool likeness_of_classic(const Likeness *likeness, const ImageFacts *facts);

/*
 * An image of BuildKit's. Where it is known to carry inline cache metadata: it shares a layer with ours
 * beyond a common base. Where that is unknown: one of the two has all layers of the other, since a
 * shorter beginning in common is taken for a common base; so is an image that was pulled and that ours
 * only goes on from.
 */
bool likeness_of_buildkit(const Likeness *likeness, const ImageFacts *facts, bool pulled);
