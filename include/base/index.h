/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A sorted index over an array: finds the elements with a given string key by bisection, several
 * under one key too. Built once and then only read, so N elements cost N log N altogether.
 *
 * Keys are borrowed: they must stay unchanged, and where they are, as long as the index is used.
 */

#include "base/macro.h"

typedef struct IndexEntry {
        const char *key;
        size_t at; /* position of the element in its array */
} IndexEntry;

typedef struct Index {
        IndexEntry *v;
        size_t n, size;
} Index;

/* Adds an entry, in any order. 0 or -ENOMEM. */
int index_add(Index *index, const char *key, size_t at) must_check;
/* To be called once all entries are added. */
void index_sort(Index *index);

/* The entries of `key`, by ascending position: the first of them, and in `*ret_n` how many there
 * are. NULL where there are none. `ret_n` may be NULL. */
const IndexEntry *index_find(const Index *index, const char *key, size_t *ret_n);

/* The same of all keys that begin with `prefix`, by key. */
const IndexEntry *index_find_prefix(const Index *index, const char *prefix, size_t *ret_n);

void index_done(Index *index);
static inline void index_donep(Index *index) {
        index_done(index);
}
