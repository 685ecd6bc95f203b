/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The trash: a directory that caches are renamed into and removed from. It lies on the mount of the
 * root, since rename(2) does not leave a mount, and outside of what builds read.
 */

#include "apps/remove.h"

#define TRASH_NAME ".wpcache-trash"

/*
 * Opens the trash at `path` and makes it, mode 0700, if it is missing. The directory that holds it
 * must exist. That directory and the trash must belong to root or the daemon, and nobody else may
 * write to them: otherwise -EPERM. With a root: -EXDEV if the trash is on another mount or
 * subvolume; -EINVAL if it lies in the root or in one of the directories `outside`, where a build
 * would find it. `outside` may be NULL. Other errors are those of app_open().
 */
int trash_open(const char *path, const AppRoot *root, const Strv *outside, int *ret_fd,
               Diag *reterr_diag) must_check;

/*
 * Opens a trash for a root that has none configured: `state_path` if that can be one; otherwise
 * TRASH_NAME in the topmost directory above the root that trash_directory_check() allows, "/" last. -ENOTSUP:
 * there is no such directory, so a cache can only be removed in its place. A trash that was made and
 * then refused is removed again. `*ret_path` is malloc'ed.
 */
int trash_choose(const AppRoot *root, const char *state_path, const Strv *outside, char **ret_path,
                 int *ret_fd, Diag *reterr_diag) must_check;

/*
 * Whether a daemon of `uid` may have TRASH_NAME in a directory: it lies on the mount of the root and
 * outside of it, belongs to root or `uid`, nobody else may write to it or move it, and it is no
 * project. Errors are those of trash_open().
 */
int trash_directory_check(const char *directory, const AppRoot *root, uid_t uid,
                          Diag *reterr_diag) must_check;
/* The part of it about the mount: -EXDEV and -EINVAL as trash_open() says. `fd` may be O_PATH. */
int trash_mount_check(int fd, const char *path, const AppRoot *root, Diag *reterr_diag) must_check;
/* The part of it about the owner and the mode: -EPERM. */
int trash_owner_check(int fd, const char *path, uid_t uid, Diag *reterr_diag) must_check;

/*
 * Removes a directory that cache_quarantine() put into the trash, in this process or an earlier one.
 * -EINVAL: not a name that cache_quarantine() makes. Otherwise as tree_remove().
 */
int trash_remove(int trash_fd, const char *name, uint64_t dev, uint64_t ino,
                 const RemovalHooks *hooks, RemovalFigures *figures) must_check;
