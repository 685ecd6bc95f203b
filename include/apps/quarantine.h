/* SPDX-License-Identifier: MIT */
#pragma once

/* Renames caches into the trash, so that a build no longer sees them, before their files go. */

#include "apps/root.h"
#include "base/strv.h"

#define TRASH_NAME_MAX 33 /* NUL included */

typedef struct CacheQuarantine {
        const char *path; /* as found */
        uint64_t dev, ino;
        char name[TRASH_NAME_MAX]; /* in the trash */
        int result;
} CacheQuarantine;

/* Whether the daemon's rights allow to rename a cache: 0, or the error that the rename would end
 * with. */
int cache_quarantine_check(const AppRoot *root, const char *path) must_check;

/*
 * Renames caches into the trash. `store` is called once, with every name set, before anything is
 * renamed. It stores (name, dev, ino) durably, or returns an error, which is returned. Afterwards
 * each result is one of
 *   0        the cache is in the trash
 *   -ENOENT  it is gone    -EINVAL  it bears no configured name    -ENOTDIR  a component of its path
 *            is not a directory
 *   -ESTALE  another directory bears that name now: it was left, or put back
 *   -EEXIST  another directory bore that name at the rename, and a third one has its place, so that
 *            it could not be put back: it stays in the trash as `name` and is never removed
 *   or the error of the rename, which changed nothing: -EXDEV, -EBUSY (a mount), -EACCES, -EROFS ...
 */
int cache_quarantine(const AppRoot *root, const Strv *names, int trash_fd, CacheQuarantine *takes,
                     size_t n, int (*store)(void *userdata, const CacheQuarantine *takes, size_t n),
                     void *userdata) must_check;
