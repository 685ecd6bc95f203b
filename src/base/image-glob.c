/* SPDX-License-Identifier: MIT */

#include "base/image-glob.h"

#include <string.h>

const char *image_name_familiar(const char *name) {
        static const char *const hosts[] = { "docker.io/", "index.docker.io/" };
        static const char library[] = "library/";

        for (size_t i = 0; i < ELEMENTSOF(hosts); i++)
                if (strncmp(name, hosts[i], strlen(hosts[i])) == 0) {
                        name += strlen(hosts[i]);
                        break;
                }
        if (strncmp(name, library, strlen(library)) == 0 && !strchr(name + strlen(library), '/'))
                name += strlen(library);
        return name;
}

/* The ']' of the bracket expression that opens at `p`, or NULL if it has none. */
static const char *bracket_end(const char *p) {
        p++;
        if (*p == '!' || *p == '^')
                p++;
        if (*p == ']')
                p++;

        for (; *p && *p != ']'; p++) {
                if (*p == '\\' && p[1]) {
                        p++;
                } else if (*p == '[' && (p[1] == ':' || p[1] == '.' || p[1] == '=')) {
                        const char close[] = { p[1], ']', '\0' };
                        const char *end = strstr(p + 2, close);

                        if (end)
                                p = end + 1;
                }
        }

        return *p ? p : NULL;
}

const char *image_glob_element(const char *p) {
        const char *last = *p == '[' ? bracket_end(p) : p + (*p == '\\');

        return last && *last ? last + 1 : NULL;
}

int image_glob_divide(const char *glob, ImageGlob *ret) {
        const char *colon = NULL;
        bool slash = false;

        for (const char *p = glob, *end; *p; p = end) {
                end = image_glob_element(p);
                if (!end)
                        return -EINVAL;
                if (*p == '/') {
                        slash = true;
                        colon = NULL;
                } else if (*p == ':') {
                        colon = p;
                }
        }
        *ret = (ImageGlob){
                .n_repository = colon ? (size_t)(colon - glob) : strlen(glob),
                .slash = slash,
                .tag = colon ? colon + 1 : NULL,
        };
        return 0;
}
