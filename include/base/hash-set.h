/* SPDX-License-Identifier: MIT */
#pragma once

/* A set of 64-bit hashes: filled, sorted once, and then only searched, so N hashes cost N log N altogether. */

#include "base/macro.h"

typedef struct HashSet {
        uint64_t *v; /* ascending and without duplicates once it is sorted */
        size_t n, size;
} HashSet;

/* In any order. 0 or -ENOMEM. */
int hash_set_add(HashSet *set, uint64_t hash) must_check;
/* To be called once all are added. */
void hash_set_sort(HashSet *set);
bool hash_set_contains(const HashSet *set, uint64_t hash);
void hash_set_done(HashSet *set);
static inline void hash_set_donep(HashSet *set) {
        hash_set_done(set);
}
