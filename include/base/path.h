/* SPDX-License-Identifier: MIT */
#pragma once

/* Paths as text. A path is bytes, of any length; no file system is asked. */

#include "base/diag.h"

/* The last component of a path. Borrowed. */
const char *path_name(const char *path);

/* Whether `path` is `directory` or lies below it. Both are absolute and have no slash too many. */
bool path_within(const char *path, const char *directory);

/* filepath.Clean() of Go, in place. The path is not empty. */
void path_clean(char *path);

/*
 * The path as text for a person: malloc'ed, NULL on out of memory. Newlines, tabs and backslashes
 * become \n, \t and \\; other characters of text_unprintable() and bytes that are not UTF-8 become
 * \xNN. A text of more than PATH_TEXT_BYTES_MAX bytes loses its middle.
 */
#define PATH_TEXT_BYTES_MAX 1000
char *path_text(const char *path);

/* 0, or -EINVAL if the path has a character of text_unprintable(). */
int path_printable(const char *path, Diag *reterr_diag) must_check;
