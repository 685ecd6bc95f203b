/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Who has a path of this host mounted. The list of containers tells each mount's source as it was
 * given when the container was made; what it is now is told by its inode and those above it as well,
 * since a path may lead there by other ways (symlinks, binds on the host).
 */

#include "base/index.h"
#include "conf/config.h"
#include "docker/model.h"
#include "wire/json.h"

#define LINEAGE_MAX 64

/* A directory and those above it, from itself on; empty where it is not to be seen. */
typedef struct Lineage {
        struct {
                uint64_t dev, ino;
        } v[LINEAGE_MAX];
        size_t n;
} Lineage;

/* Of a directory, perhaps O_PATH. */
void lineage_read(int fd, Lineage *ret);

typedef struct Mounted {
        const Container *container; /* borrowed, as is the mount */
        const Mount *mount;
        char *path; /* without symlinks, if it is there */
} Mounted;

/* A directory that is the source of a mount, or above it. */
typedef struct MountedDirectory {
        uint64_t dev, ino;
        size_t at; /* position of the mount in its set */
        bool source;
} MountedDirectory;

typedef struct MountedSet {
        Mounted *v;
        size_t n, size;
        Index by_path;
        MountedDirectory *directories; /* sorted by device and inode, sources first */
        size_t n_directories, size_directories;
} MountedSet;

/*
 * Of the containers that run. The whole host ("/") does not count: it is what monitors mount, who
 * serve nothing of it.
 */
int mounted_read(const ContainerSet *containers, MountedSet *ret) must_check;
void mounted_done(MountedSet *set);
static inline void mounted_donep(MountedSet *set) {
        mounted_done(set);
}

/* Finds a mount at, above or below a directory, which is at `path` below a root, whose path without
 * symlinks is `root_path`; any of several. `*ret` is NULL where there is none. 0 or -ENOMEM. */
int mounted_find(const MountedSet *set, const Lineage *root, const char *root_path,
                 const char *path, uint64_t dev, uint64_t ino, const Mounted **ret) must_check;

/* Type Volume[] of the interface, or NULL on out of memory: volumes in which containers of the
 * application's compose projects have static files or caches. */
Json *mounted_volumes_json(const Config *config, const ContainerSet *containers);
