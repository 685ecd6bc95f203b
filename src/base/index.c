/* SPDX-License-Identifier: MIT */

#include "base/index.h"

#include <string.h>

#include "base/array.h"

int index_add(Index *index, const char *key, size_t at) {
        if (array_grow(index->v, index->n, index->size) < 0)
                return -ENOMEM;
        index->v[index->n++] = (IndexEntry){ key, at };
        return 0;
}

static int compare_entries(const void *a, const void *b) {
        const IndexEntry *x = a, *y = b;
        int c = strcmp(x->key, y->key);

        return c != 0 ? c : (x->at > y->at) - (x->at < y->at);
}

void index_sort(Index *index) {
        if (index->n > 0)
                qsort(index->v, index->n, sizeof(*index->v), compare_entries);
}

/* The entries whose keys equal `key` in their first `n_key` characters. Thousands may do so: they are counted
 * only if the caller asks for it. */
static const IndexEntry *find(const Index *index, const char *key, size_t n_key, size_t *ret_n) {
        size_t low = 0, n = index->n, end;

        while (n > 0) {
                size_t half = n / 2;

                if (strncmp(index->v[low + half].key, key, n_key) < 0) {
                        low += half + 1;
                        n -= half + 1;
                } else {
                        n = half;
                }
        }
        for (end = low; end < index->n && (ret_n || end == low) &&
                        strncmp(index->v[end].key, key, n_key) == 0;)
                end++;
        if (ret_n)
                *ret_n = end - low;
        return end > low ? &index->v[low] : NULL;
}

const IndexEntry *index_find(const Index *index, const char *key, size_t *ret_n) {
        return find(index, key, strlen(key) + 1, ret_n);
}

const IndexEntry *index_find_prefix(const Index *index, const char *prefix, size_t *ret_n) {
        return find(index, prefix, strlen(prefix), ret_n);
}

void index_done(Index *index) {
        free(index->v);
        *index = (Index){ 0 };
}
