/* SPDX-License-Identifier: MIT */

#include "docker/paths.h"

#include <stdio.h>
#include <string.h>

bool paths_init(Paths *paths, const char *const *v) {
        *paths = (Paths){ .v = v };
        for (; v && v[paths->n]; paths->n++) {
                const char *path = v[paths->n];
                size_t n = *path ? 1 : 0;

                if (paths->n == PATHS_MAX)
                        return false;
                for (; *path; path++)
                        n += *path == '.';
                paths->n_components[paths->n] = n;
        }

        return true;
}

void paths_enter(Paths *paths, size_t depth, const char *key, size_t n_key) {
        for (size_t i = 0; i < paths->n; i++) {
                const char *component = paths->v[i];
                size_t n;

                if (paths->n_matched[i] >= depth)
                        paths->n_matched[i] = depth - 1;
                if (paths->n_matched[i] != depth - 1 || paths->n_components[i] < depth)
                        continue;

                for (size_t j = 1; j < depth; j++)
                        component = strchr(component, '.') + 1;
                n = strcspn(component, ".");
                if (n == n_key && memcmp(component, key, n) == 0)
                        paths->n_matched[i] = depth;
        }
}

void paths_leave(Paths *paths, size_t depth) {
        for (size_t i = 0; i < paths->n; i++)
                paths->n_matched[i] = MIN(paths->n_matched[i], depth);
}

PathsPlace paths_find(Paths *paths, size_t depth) {
        PathsPlace place = { .path = NULL };

        for (size_t i = 0; i < paths->n; i++) {
                bool ends = paths->n_components[i] == depth;

                if (paths->n_matched[i] != depth)
                        continue;
                place.path = paths->v[i];
                place.array |= ends;
                place.on_the_way |= !ends;
                place.again |= ends && paths->is_read[i];
                paths->is_read[i] |= ends;
                paths->is_there[i] |= ends || depth > 0;
        }

        return place;
}

bool paths_are_there(const Paths *paths) {
        bool are = false;

        for (size_t i = 0; i < paths->n; i++)
                are |= paths->is_there[i];
        return are;
}

const char *paths_names(const Paths *paths, char *ret, size_t size) {
        *ret = '\0';
        for (size_t i = 0; i < paths->n; i++) {
                size_t n = strlen(ret);

                snprintf(ret + n, size - n, "%s%.*s", i > 0 ? " or " : "",
                         (int)strcspn(paths->v[i], "."), paths->v[i]);
        }
        return ret;
}
