/* SPDX-License-Identifier: MIT */
#pragma once

/* What a clear is to clear: a set of kinds of cache, or one application by its name. */

#include "base/macro.h"

typedef enum Target {
        TARGET_BUILDER = 1 << 0,
        TARGET_IMAGES = 1 << 1,
        TARGET_APPS = 1 << 2,
        TARGET_DOCKER = TARGET_BUILDER | TARGET_IMAGES,
        TARGET_ALL = TARGET_DOCKER | TARGET_APPS,
} Target;

/* "all", "docker", "builder", "images", "apps" */
extern const char *const target_names[];
extern const size_t n_target_names;

/* Whether a text is one of these names. No application may have one of them. */
bool target_is_name(const char *text);
/* The target of a name. Any other text is the name of an application: TARGET_APPS. */
Target target_of(const char *text);
const char *target_name(Target target);

/* Whether a clear of the target says whether the next build will be fresh. */
static inline bool target_speaks_of_fresh(Target target) {
        return (target & TARGET_DOCKER) == TARGET_DOCKER;
}

static inline bool target_touches_docker(Target target) {
        return target & TARGET_DOCKER;
}
