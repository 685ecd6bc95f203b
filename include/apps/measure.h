/* SPDX-License-Identifier: MIT */
#pragma once

#include "apps/root.h"

/*
 * How many bytes of allocated blocks the removal of a found cache would free. A file with further
 * links counts with its share, since it is not known where those links are. Entries that cannot be
 * read count nothing. Errors: those of `step`, which may be NULL, and of opening the cache; -ESTALE
 * if another directory bears the name now.
 */
int cache_measure(const AppRoot *root, const char *path, uint64_t dev, uint64_t ino,
                  int (*step)(void *userdata), void *userdata, uint64_t *ret_bytes) must_check;
