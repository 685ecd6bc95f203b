/* SPDX-License-Identifier: MIT */
#pragma once

/* Finds the caches below a root. */

#include "apps/root.h"
#include "base/strv.h"

/* Whether a configured name can be a cache's, as ".next" or "node_modules/.cache": relative, without
 * an empty component, "." or "..". A name without a slash means a directory of that name anywhere
 * below the root, a name with a slash means that path below the root. */
bool cache_name_valid(const char *name);

/* Whether the first `n` bytes of a path bear one of the names. */
bool cache_name_matches(const Strv *names, const char *path, size_t n);

typedef enum CacheKind {
        CACHE_DIRECTORY,
        CACHE_MOUNT,      /* bears the name, and a file system is mounted on it */
        CACHE_LINK,       /* bears the name, and is a symlink: not a cache */
        CACHE_OTHER,      /* bears the name, and is a file or the like: not a cache */
        CACHE_UNSEARCHED, /* a directory that may hold caches and was not entered: `error` */
} CacheKind;

typedef struct Cache {
        const char *path; /* borrowed */
        CacheKind kind;
        int error; /* -errno; -EXDEV: another mount; -ESTALE: moved while it was searched */
        uint64_t dev, ino;
} Cache;

/* 0, or an error that ends the search and is returned. */
typedef struct CacheHooks {
        int (*found)(void *userdata, const Cache *cache);
        int (*step)(void *userdata); /* before each directory; may be NULL */
        void *userdata;
} CacheHooks;

/*
 * Reports every cache below the root in one walk. It does not search a cache for further caches,
 * nor, for names without a slash, `.git` and `node_modules`, unless those are configured names.
 * Memory and open descriptors do not grow with the tree. Errors: those of the hooks, -EINVAL for a
 * name that is not valid, and those of reading the root itself.
 */
int cache_find(const AppRoot *root, const Strv *names, const CacheHooks *hooks) must_check;

/* Opens the directory that holds what was found at `path`. */
int cache_open_parent(const AppRoot *root, const char *path) must_check;
/* The same, but -EINVAL if the path bears none of the names, and -ENOTDIR for a symlink in it. */
int cache_open_holder(const AppRoot *root, const Strv *names, const char *path) must_check;
