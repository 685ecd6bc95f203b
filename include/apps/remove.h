/* SPDX-License-Identifier: MIT */
#pragma once

/* Removes a directory with everything in it. */

#include "apps/root.h"
#include "base/strv.h"

typedef struct RemovalFigures {
        uint64_t n_files, n_directories; /* removed */
        uint64_t n_remaining;            /* reported as remaining */
        uint64_t bytes;                  /* allocated blocks of files whose last link was removed */
} RemovalFigures;

typedef struct RemovalHooks {
        /* Called before each entry; an error ends the removal and is returned. May be NULL. */
        int (*step)(void *userdata, const RemovalFigures *figures);
        /* Told of each entry that stays, with -errno: -EXDEV and -EBUSY for mounts, -EPERM for
         * immutable files, -ENOTEMPTY where others kept writing. The path begins with the name of
         * the removed directory. May be NULL. */
        void (*remaining)(void *userdata, const char *path, int error);
        void *userdata;
} RemovalHooks;

/*
 * Removes the directory `name` of `parent_fd`. 0: nothing of it is left. -ENOENT: there is no such
 * name. -ESTALE: it has another device or inode, and was not touched. -ENOTEMPTY: something of it
 * remains and was reported. Otherwise the error of a hook, -EROFS, or -ENOMEM.
 */
int tree_remove(int parent_fd, const char *name, uint64_t dev, uint64_t ino,
                const RemovalHooks *hooks, RemovalFigures *figures) must_check;

/* The same for a cache in its place, where no trash can be had. -EINVAL: the path bears no
 * configured name. */
int cache_remove(const AppRoot *root, const Strv *names, const char *path, uint64_t dev,
                 uint64_t ino, const RemovalHooks *hooks, RemovalFigures *figures) must_check;
