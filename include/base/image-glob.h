/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How a glob on names of images is divided into its parts: docker/name.h matches by it, and conf/
 * checks by it whether any image can have such a name. And the form in which the engine lists names.
 */

#include "base/macro.h"

typedef struct ImageGlob {
        size_t n_repository; /* bytes of the repository part, which comes first */
        bool slash;          /* the repository part has a '/' */
        const char *tag;     /* what follows the ':' behind the last '/'; NULL: no ':'. Borrowed */
} ImageGlob;

/* The part of a name or glob that the engine lists: "docker.io/library/redis" and "index.docker.io/redis" are
 * "redis" (moby, distribution/reference). Points into `name`. */
const char *image_name_familiar(const char *name);

/* '/' and ':' count outside of bracket expressions only, and not behind a backslash. -EINVAL: a '['
 * without its ']', or a backslash at the end. */
int image_glob_divide(const char *glob, ImageGlob *ret) must_check;

/* The end of the element that starts at `p`: one character, with the backslash before it, '*', '?' or
 * a bracket expression. NULL where image_glob_divide() would fail. */
const char *image_glob_element(const char *p);
