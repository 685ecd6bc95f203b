/* SPDX-License-Identifier: MIT */
#pragma once

#include <string.h>

#include "store/store.h"

/* The entry of an image, or NULL. Scans the list. */
static inline SeenImage *seen_images_find(const SeenImages *list, const char *id) {
        for (size_t i = 0; i < list->n; i++)
                if (strcmp(list->v[i].id, id) == 0)
                        return &list->v[i];
        return NULL;
}
