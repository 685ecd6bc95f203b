/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/macro.h"

/*
 * Makes room for one more element in a growing array of `*size` elements of which `n` are used:
 * `array_grow((void **)&list->v, list->n, &list->size, sizeof(*list->v))`. -ENOMEM leaves it as
 * it was.
 */
static inline int must_check array_grow(void **array, size_t n, size_t *size, size_t element_size) {
        size_t new_size;
        void *p;

        if (n < *size)
                return 0;
        new_size = *size ? *size + *size / 2 : 8;
        p = reallocarray(*array, new_size, element_size);
        if (!p)
                return -ENOMEM;
        *array = p;
        *size = new_size;
        return 0;
}
