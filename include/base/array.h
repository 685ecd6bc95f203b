/* SPDX-License-Identifier: MIT */
#pragma once

/* Growing arrays: a pointer, `n` elements in use, `size` elements of room. */

#include "base/macro.h"

/*
 * Makes room for `n_more` elements behind the `n` of an array. Returns the array, perhaps moved, or
 * NULL when out of memory: the old one is untouched then. It grows by half, so that a large array
 * never stands beside a copy twice its size.
 */
static inline void *array_reserve(void *v, size_t *size, size_t n, size_t n_more,
                                  size_t element_size) {
        size_t want, bytes;

        if (__builtin_add_overflow(n, n_more, &want))
                return NULL;
        if (v && want <= *size)
                return v;

        want = MAX(want, MAX(*size + *size / 2, (size_t)8));
        if (__builtin_mul_overflow(want, element_size, &bytes))
                return NULL;

        v = realloc(v, bytes);
        if (v)
                *size = want;
        return v;
}

/* Room for one more: `if (array_grow(list->v, list->n, list->size) < 0) return -ENOMEM;` */
#define array_grow(v, n, size)                                                    \
        ({                                                                        \
                void *_grown = array_reserve((v), &(size), (n), 1, sizeof(*(v))); \
                if (_grown)                                                       \
                        (v) = _grown;                                             \
                _grown ? 0 : -ENOMEM;                                             \
        })
