/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The root directory of an application.
 *
 * Everyone who may write below a root counts as hostile, before, during and after each call of
 * apps/. All work is therefore done on descriptors of directories and on single names: no symlink is
 * followed, no other mount or file system is entered, and only directories are opened. A directory
 * is removed only if it bears a configured name, or if it lies in the trash under a stored name and
 * has the stored device and inode. Inside a root the names alone decide: a user who may rename a
 * directory there may give it the name of a cache.
 *
 * Paths are relative to the root, are bytes, and have any length; path_text() makes them text.
 */

#include <sys/stat.h>

#include "base/diag.h"

typedef struct AppRoot {
        int fd;
        uint64_t dev, ino;
        bool writable; /* the daemon may add and remove names in it */
} AppRoot;

#define APP_ROOT_NULL ((AppRoot){ .fd = -EBADF })

/*
 * Opens the root at an absolute path. A symlink in the path is followed only if the link and the
 * directory that holds it belong to root and nobody else may write to that directory. System
 * directories (apps/sysdirs.h) and homes are refused. They are recognised by device and inode, so no
 * other path to them helps. A project below /opt, /srv, /home/USER, /usr/local or /var/lib is fine.
 *
 *   -EINVAL  not an absolute path             -EPERM   a system directory or a home
 *   -ENOTDIR not a directory                  -ELOOP   a link that is not followed, or too many
 *   -ENOENT  missing                          -EACCES  the daemon may not read it
 *   -EROFS   mounted read-only                -ESTALE  systemd bound another directory to the path,
 *                                                      because it followed a link of the owner
 */
int app_open(const char *path, AppRoot *ret, Diag *reterr_diag) must_check;
void app_close(AppRoot *root);

static inline void app_closep(AppRoot *root) {
        app_close(root);
}

/* Whether the root is empty or holds only the lost+found of a new file system; false on error. */
bool app_is_empty(const AppRoot *root);

/*
 * Opens a directory by an absolute path, O_PATH, following the links that app_open() follows.
 * `visit`, which may be NULL, is called for each directory on the way, from "/" on. Errors: those of
 * app_open() but -EPERM and -EROFS; `reterr_diag` says which component failed.
 */
int trusted_open(const char *path, void (*visit)(void *userdata, const struct stat *st),
                 void *userdata, Diag *reterr_diag) must_check;
