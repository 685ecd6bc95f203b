/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * References to images as people, services and containers have them: "NAME[:TAG][@DIGEST]", an image id
 * or its beginning. Pure functions. Facts are of moby's source and of engines 20.10 and 28.5.
 */

#include "docker/model.h"

/* Finds what references name. Borrows the images, which must not change meanwhile. */
typedef struct References {
        const ImageSet *images;
        Index digests, ids;
} References;

/* 0 or -ENOMEM. */
int references_init(References *references, const ImageSet *images) must_check;
void references_done(References *references);
static inline void references_donep(References *references) {
        references_done(references);
}

/*
 * The image that a reference names, by the engine's own rules: a digest before the tag beside it, a name
 * without a tag as ":latest", an id by its beginning. Where no image has the digest, the tag counts. NULL
 * in `*ret`: none. `*ret_by_name`: the tag was followed, which may move from one image to another; false
 * for an id or a digest. 0 or -ENOMEM.
 */
int references_find(const References *references, const char *reference, const Image **ret,
                    bool *ret_by_name) must_check;

/*
 * "NAME:TAG" of a reference in the form in which the engine lists names, malloc'ed; "NAME:latest" where it
 * has neither tag nor digest. `*ret` is NULL with a return of 0 where it has a digest alone, or is an id that
 * begins with "sha256:"; it is NULL, too, after -ENOMEM.
 */
int reference_name(const char *reference, char **ret) must_check;

/* The repository of a name, digest or reference in the form in which the engine lists names, malloc'ed. */
char *reference_repository(const char *reference);

/* Whether the reference is the id of this image, or the beginning of that id. */
bool reference_is_id_of(const char *reference, const char *id);
