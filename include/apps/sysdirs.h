/* SPDX-License-Identifier: MIT */
#pragma once

/* The system directories: those of hier(7) and Docker's, and what they mean for an application. */

#include <stdbool.h>
#include <sys/stat.h>

typedef enum SysdirMark {
        SYSDIR_ITSELF = 1 << 0,  /* is no application, but may hold one */
        SYSDIR_TREE = 1 << 1,    /* is no application, and holds none at any depth */
        SYSDIR_OUTSIDE = 1 << 2, /* ends such a tree: an application may be below it */
        SYSDIR_CLOSED = 1 << 3,  /* a service is never granted all of it to write to */
} SysdirMark;

/* Whether a directory is one with any of these marks. It is recognised by device and inode, since
 * several paths may lead to it. `ret_path` may be NULL. */
bool sysdir_is(const struct stat *st, unsigned marks, const char **ret_path);
/* The same for a path without symlinks, which need not exist. */
bool sysdir_path_is(const char *path, unsigned marks);

typedef enum Hidden {
        HIDDEN_NOT,
        HIDDEN_HOME, /* by ProtectHome= */
        HIDDEN_TMP,  /* by PrivateTmp= */
} Hidden;

/* Which setting of systemd's sandbox hides a path without symlinks from a service. `ret_dir` may
 * be NULL: the directory that is hidden, borrowed. */
Hidden sysdir_hidden(const char *path, const char **ret_dir);
