/* SPDX-License-Identifier: MIT */
#pragma once

/* Files: whole reads with a limit, atomic durable writes, directories. */

#include <sys/types.h>

#include "base/macro.h"

/*
 * Reads a whole regular file, at most `max_bytes`, into a fresh NUL-terminated buffer that the
 * caller frees. Errors: those of openat(2) and read(2); -EFBIG past the limit; -EISDIR and
 * -EINVAL for what is not a regular file. `ret_n` may be NULL.
 */
int file_read(int dir_fd, const char *path, size_t max_bytes, char **ret_text,
              size_t *ret_n) must_check;

/*
 * Replaces the file at `path` (relative to `dir_fd`) by `text`: written to a temporary name,
 * fsync'ed, renamed over, the directory fsync'ed. After a crash at any point the path holds the
 * old content or the new. The umask does not count. Left-over temporary names start with ".#".
 */
int file_write_atomic(int dir_fd, const char *path, const char *text, size_t n,
                      mode_t mode) must_check;

/* Makes `path` and its missing parents, all with `mode`; an existing directory is fine and keeps
 * its own. -ENOTDIR if something else is there. */
int mkdir_parents(const char *path, mode_t mode) must_check;

/* Writes all of it, restarting after short writes and EINTR; the descriptor may not be
 * non-blocking. */
int write_full(int fd, const char *data, size_t n) must_check;
