/* SPDX-License-Identifier: MIT */
#pragma once

/* Directories in trees that others write: what the files of this floor share. */

#include <dirent.h>
#include <sys/stat.h>

#include "apps/sweep.h"

/*
 * Opens the directory `name`, one component, for reading. -ENOTDIR or -ELOOP where it is none,
 * -EXDEV where it is on another mount than its parent, or not on device `dev`. Where the kernel has
 * no openat2(2), or a seccomp filter denies it, the same by other means.
 */
int dir_open(int parent_fd, const char *name, uint64_t dev, struct stat *ret_st) must_check;

/* The same, component by component, down the first `n` bytes of a path of any length; with n = 0
 * another descriptor of the parent. `ret_st` may be NULL. */
int dir_open_path(int parent_fd, const char *path, size_t n, uint64_t dev,
                  struct stat *ret_st) must_check;

/* Gives us, its owner, what we lack of rwx on a directory; -EACCES where there is nothing to give. */
int dir_permit(int parent_fd, const char *name) must_check;

/* Where an open directory is, as the kernel has it: absolute and without links; malloc'ed. */
int dir_path(int fd, char **ret) must_check;

/* The mount that a descriptor, perhaps O_PATH, is on. */
int mount_id(int fd, uint64_t *ret) must_check;

static inline bool same_inode(const struct stat *a, const struct stat *b) {
        return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

/* A name's inode, links not followed. Asks no server of a file system mounted on it. */
int entry_stat(int dir_fd, const char *name, struct statx *ret) must_check;
bool entry_is_directory(const struct statx *stx, uint64_t dev, uint64_t ino);
uint64_t entry_dev(const struct statx *stx);

/* The entries of a directory without "." and "..", in the file system's order or, a buffer at a time,
 * by inode: as they lie on the disk, which is the faster order to remove them in. */
typedef struct DirReader {
        int fd; /* owned */
        bool by_inode;
        struct DirBuffer *buffer; /* NULL until it is read */
        size_t at, n;             /* entries of the buffer */
} DirReader;

#define DIR_READER_NULL ((DirReader){ .fd = -EBADF })

/* 1 and an entry, valid until the next call; 0 at the end. */
int dir_next(DirReader *reader, const struct dirent64 **ret) must_check;
/* Whether all that was read was given out, and it looks like the whole of a directory. */
bool dir_seems_read(const DirReader *reader);
/* Goes on at a `d_off`, unless by inode, or at the start with 0. */
int dir_seek(DirReader *reader, int64_t offset) must_check;
/* Closes the descriptor; the buffer stays for another. */
void dir_close(DirReader *reader);
void dir_done(DirReader *reader);

/* Removes the directory `name` and all in it; trash_remove() says the rest. */
int tree_remove(int parent_fd, const char *name, uint64_t dev, uint64_t ino,
                const SweepHooks *hooks, SweepFigures *figures) must_check;

/* Opens a directory by an absolute path, O_PATH; app_open() says which links are followed. The
 * errors of app_open(), but -EPERM and -EROFS; `reterr_diag` says which component. `visit` may look
 * at each directory on the way, from "/" on. */
int trusted_open(const char *path, void (*visit)(void *userdata, const struct stat *st),
                 void *userdata, Diag *reterr_diag) must_check;

/* Whether what is in a directory, perhaps O_PATH, could be a trash for the root: trash_open() says
 * -EXDEV and -EINVAL. */
int trash_check(int fd, const char *path, const AppRoot *root, Diag *reterr_diag) must_check;

/* Whether a directory that is to hold a trash is root's or `uid`'s, and nobody else's to write; else
 * -EPERM. */
int trash_trusted(int fd, const char *path, uid_t uid, Diag *reterr_diag) must_check;

#define TRASH_NAME ".wpcache-trash"

/* Whether a daemon of `uid` that may write there could have TRASH_NAME in a directory for a root; the
 * errors of trash_choose() for one of those above it. */
int trash_place(const char *directory, const AppRoot *root, uid_t uid,
                Diag *reterr_diag) must_check;

/* Whether the first `n` bytes of a path bear one of the names. */
bool cache_name_matches(const Strv *names, const char *path, size_t n);
