/* SPDX-License-Identifier: MIT */

/* The trap: a ':' is the tag's only after the last '/' ("localhost:5000/web" has none). */

#include "docker/name.h"

#include <fnmatch.h>
#include <string.h>

#include "base/image-glob.h"
#include "base/text.h"

/* A reference by digest ends its name at the '@'. */
static size_t name_length(const char *name) {
        return strcspn(name, "@");
}

size_t name_repository_length(const char *name) {
        size_t n = name_length(name);

        for (size_t i = n; i > 0 && name[i - 1] != '/'; i--)
                if (name[i - 1] == ':')
                        return i - 1;

        return n;
}

uint64_t name_repository_hash(const char *name) {
        return text_hash_slice(name, name_repository_length(name));
}

const char *name_tag(const char *name) {
        size_t n = name_repository_length(name);

        return name[n] == ':' && !strchr(name + n, '@') ? name + n + 1 : NULL;
}

/* fnmatch(3) over pieces that are not NUL-terminated. */
static bool piece_matches(const char *glob, size_t n_glob, const char *text, size_t n_text) {
        char g[512], t[512];

        if (n_glob >= sizeof(g) || n_text >= sizeof(t))
                return false;

        memcpy(g, glob, n_glob);
        g[n_glob] = '\0';
        memcpy(t, text, n_text);
        t[n_text] = '\0';
        return fnmatch(g, t, FNM_PATHNAME) == 0;
}

bool name_matches(const char *glob, const char *name) {
        size_t n = name_repository_length(name);
        const char *repository = name;
        ImageGlob parts;

        if (image_glob_divide(glob, &parts) < 0)
                return false;

        if (!parts.slash) {
                const char *last = memrchr(name, '/', n);

                if (last) {
                        repository = last + 1;
                        n -= (size_t)(repository - name);
                }
        }
        if (!piece_matches(glob, parts.n_repository, repository, n))
                return false;

        if (parts.tag) {
                const char *tag = name_tag(name);

                return tag && fnmatch(parts.tag, tag, 0) == 0;
        }

        return true;
}

bool name_matches_any(const Strv *globs, const char *name) {
        for (size_t i = 0; i < globs->n; i++)
                if (name_matches(globs->v[i], name))
                        return true;

        return false;
}
