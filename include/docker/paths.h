/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Paths to arrays in a JSON document ("", "BuildCache", "BuildCacheUsage.Items"), followed while a
 * reader walks over the document. Internal to docker/records.c; pure.
 */

#include "base/macro.h"

#define PATHS_MAX 4

typedef struct Paths {
        const char *const *v; /* NULL: none */
        size_t n;
        size_t n_components[PATHS_MAX];
        size_t n_matched[PATHS_MAX]; /* leading components the present position agrees with */
        bool is_there[PATHS_MAX];    /* a value stood in its place, or on the way to it */
        bool is_read[PATHS_MAX];     /* a value stood in its place */
} Paths;

/* False if there are too many. `v` is NULL-terminated and borrowed. */
bool paths_init(Paths *paths, const char *const *v) must_check;

/* A member of the object that lies below `depth` - 1 containers begins. */
void paths_enter(Paths *paths, size_t depth, const char *key, size_t n_key);
/* A container is over; the value it is in lies below `depth` others. */
void paths_leave(Paths *paths, size_t depth);

/* What a value that begins at `depth` is: the array, something on the way to it, or neither. */
typedef struct PathsPlace {
        bool array, on_the_way;
        const char *path; /* of either, or NULL */
        bool again;       /* the array was there before */
} PathsPlace;

PathsPlace paths_find(Paths *paths, size_t depth);

/* Whether a value was found in the place of any, or on the way to it. */
bool paths_are_there(const Paths *paths);
/* "BuildCache or BuildCacheUsage": what they begin with. Returns `ret`. */
const char *paths_names(const Paths *paths, char *ret, size_t size);
