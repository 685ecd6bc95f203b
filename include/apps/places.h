/* SPDX-License-Identifier: MIT */
#pragma once

/* The directories of a host that hier(7) and Docker have, and what they are to an application. */

#include <stdbool.h>
#include <sys/stat.h>

typedef enum PlaceMark {
        PLACE_ITSELF = 1 << 0,  /* is no application, but one may lie in it */
        PLACE_TREE = 1 << 1,    /* nor is anything in it */
        PLACE_OUTSIDE = 1 << 2, /* but from here on again */
        PLACE_CLOSED = 1 << 3,  /* a service is never given all of it to write */
} PlaceMark;

/* Whether a directory is one with any of these marks; by device and inode, since a path may call it
 * anything. `ret_path` may be NULL. */
bool place_is(const struct stat *st, unsigned marks, const char **ret_path);
/* The same of a path without symlinks, for a place that may not be there. */
bool place_path_is(const char *path, unsigned marks);
