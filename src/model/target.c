/* SPDX-License-Identifier: MIT */

#include "model/target.h"

#include <string.h>

const char *const target_names[] = { "all", "docker", "builder", "images", "apps" };
const size_t n_target_names = ELEMENTSOF(target_names);

static const Target target_values[] = { TARGET_ALL, TARGET_DOCKER, TARGET_BUILDER, TARGET_IMAGES,
                                        TARGET_APPS };

/* The index of a name, or n_target_names. */
static size_t name_index(const char *text) {
        size_t i = 0;

        while (i < n_target_names && strcmp(target_names[i], text) != 0)
                i++;
        return i;
}

bool target_is_name(const char *text) {
        return name_index(text) < n_target_names;
}

Target target_of(const char *text) {
        return target_is_name(text) ? target_values[name_index(text)] : TARGET_APPS;
}

const char *target_name(Target target) {
        for (size_t i = 0; i < n_target_names; i++)
                if (target_values[i] == target)
                        return target_names[i];
        return NULL;
}
