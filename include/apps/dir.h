/* SPDX-License-Identifier: MIT */
#pragma once

/* Opens and reads directories in trees that others may change at any moment. */

#include <dirent.h>
#include <sys/stat.h>

#include "base/macro.h"

/*
 * Opens the directory `name`, a single component, for reading. -ENOTDIR or -ELOOP if it is not a
 * directory; -EXDEV if it is on another mount than its parent or not on device `dev`. Works without
 * openat2(2), too, which old kernels lack and seccomp filters may deny.
 */
int dir_open(int parent_fd, const char *name, uint64_t dev, struct stat *ret_st) must_check;

/* The same, component by component, down the first `n` bytes of a path of any length; with n = 0
 * another descriptor of the parent. `ret_st` may be NULL. */
int dir_open_path(int parent_fd, const char *path, size_t n, uint64_t dev,
                  struct stat *ret_st) must_check;

/* Adds the bits of rwx that the owner of a directory lacks. -EACCES if the daemon is not the owner,
 * or if the owner lacks none. */
int dir_permit(int parent_fd, const char *name) must_check;

/* The path of an open directory according to the kernel: absolute, without links, malloc'ed. It is
 * for messages and comparisons only, since the directory may be moved. */
int dir_path(int fd, char **ret) must_check;

/* The id of the mount that a descriptor is on; the descriptor may be O_PATH. */
int mount_id(int fd, uint64_t *ret) must_check;

static inline bool same_inode(const struct stat *a, const struct stat *b) {
        return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

/* statx(2) of a name, which does not follow links and does not ask the server of a file system that
 * is mounted on the name. */
int entry_stat(int dir_fd, const char *name, struct statx *ret) must_check;
bool entry_is_directory(const struct statx *stx, uint64_t dev, uint64_t ino);
uint64_t entry_dev(const struct statx *stx);

/* Reads the entries of a directory but "." and "..", either in the file system's order or, within
 * each buffer, by inode. The order of inodes is that of the disk, in which removal is faster. */
typedef struct DirReader {
        int fd; /* owned */
        bool by_inode;
        struct DirBuffer *buffer; /* NULL before the first read */
        size_t at, n;             /* entries of the buffer */
} DirReader;

#define DIR_READER_NULL ((DirReader){ .fd = -EBADF })

/* 1 and an entry, valid until the next call; 0 at the end. */
int dir_next(DirReader *reader, const struct dirent64 **ret) must_check;
/* Whether dir_next() has returned every entry of the buffer, and the buffer seems to have held the
 * whole directory. */
bool dir_seems_read(const DirReader *reader);
/* Continues at a `d_off`, but not for a reader by inode, or starts again with 0. */
int dir_seek(DirReader *reader, int64_t offset) must_check;
/* Closes the descriptor and keeps the buffer for another directory. */
void dir_close(DirReader *reader);
void dir_done(DirReader *reader);
