/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Walks a tree depth-first. The tree may be changed by others meanwhile. Memory does not grow with
 * the tree, and a bounded number of directories is open, however deep the tree is. The walk stays on
 * one mount and device, and only reads.
 */

#include "apps/dir.h"

typedef struct WalkEntry {
        int dir_fd; /* of the directory that holds it */
        const char *name;
        unsigned char type; /* DT_DIR, DT_UNKNOWN ... */
        const char *path;   /* below the top of the walk; borrowed until the hook returns */
        size_t n_path;      /* bytes of the path */
} WalkEntry;

/* An error that a hook returns ends the walk and is returned. */
typedef struct WalkHooks {
        int (*entry)(void *userdata, const WalkEntry *entry); /* 1: walk into it; 0: do not */
        int (*unsearched)(void *userdata, const char *path, int error); /* a directory left out */
        int (*step)(void *userdata); /* before each directory; may be NULL */
        void *userdata, *step_userdata;
} WalkHooks;

/*
 * Walks the directory `fd`, which is closed, of device `dev` and inode `ino`. Errors: those of the
 * hooks, -ENOMEM, and those of reading the top itself. `unsearched` is told of every other directory
 * that cannot be read, is on another mount (-EXDEV), is nested too deep (-ENAMETOOLONG), or was
 * moved away during the walk (-ESTALE).
 */
int walk_tree(int fd, uint64_t dev, uint64_t ino, const WalkHooks *hooks) must_check;
