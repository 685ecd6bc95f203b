/* SPDX-License-Identifier: MIT */

#include "base/hash-set.h"

#include "base/array.h"

/* A set that is smaller is not searched for what is there twice while it grows. */
#define DUPLICATES_MIN 4096

static int compare_hashes(const void *a, const void *b) {
        const uint64_t *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

void hash_set_sort(HashSet *set) {
        size_t n = 0;

        if (set->n == 0)
                return;
        qsort(set->v, set->n, sizeof(*set->v), compare_hashes);
        for (size_t i = 0; i < set->n; i++)
                if (i == 0 || set->v[i] != set->v[n - 1])
                        set->v[n++] = set->v[i];
        set->n = n;
}

/* What is there twice goes before the set grows. */
int hash_set_add(HashSet *set, uint64_t hash) {
        const bool full = set->n == set->size;

        if (full && set->n >= DUPLICATES_MIN)
                hash_set_sort(set);
        if (full && set->n >= set->size / 2) {
                uint64_t *v = array_reserve(set->v, &set->size, set->size, 1, sizeof(*v));

                if (!v)
                        return -ENOMEM;
                set->v = v;
        }
        set->v[set->n++] = hash;
        return 0;
}

bool hash_set_contains(const HashSet *set, uint64_t hash) {
        return set->n > 0 && bsearch(&hash, set->v, set->n, sizeof(*set->v), compare_hashes);
}

void hash_set_done(HashSet *set) {
        free(set->v);
        *set = (HashSet){ 0 };
}
