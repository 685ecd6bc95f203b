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

/* "v1.2" is "v#" here. */
static bool is_version(const char *tag) {
        return strcmp(tag, "latest") == 0 || strcmp(tag, "v#") == 0;
}

int name_release_hash(const char *name, uint64_t *ret) {
        cleanup_free char *text = strdup(name);
        char *tag;

        if (!text)
                return -ENOMEM;
        tag = text + name_repository_length(name);
        text_replace_numbers(tag);
        if (*tag && is_version(tag + 1))
                strcpy(tag + 1, "#");
        *ret = text_hash(text);
        return 0;
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

static bool repository_matches(const char *glob, const char *name, ImageGlob *ret_parts) {
        size_t n = name_repository_length(name);
        const char *repository = name;

        if (image_glob_divide(glob, ret_parts) < 0)
                return false;

        if (!ret_parts->slash) {
                const char *last = memrchr(name, '/', n);

                if (last) {
                        repository = last + 1;
                        n -= (size_t)(repository - name);
                }
        }
        return piece_matches(glob, ret_parts->n_repository, repository, n);
}

bool name_matches(const char *glob, const char *name) {
        ImageGlob parts;

        if (!repository_matches(glob, name, &parts))
                return false;

        if (parts.tag) {
                const char *tag = name_tag(name);

                return tag && fnmatch(parts.tag, tag, 0) == 0;
        }

        return true;
}

bool name_repository_matches_any(const Strv *globs, const char *name) {
        ImageGlob parts;

        for (size_t i = 0; i < globs->n; i++)
                if (repository_matches(globs->v[i], name, &parts))
                        return true;

        return false;
}

bool name_matches_any(const Strv *globs, const char *name) {
        for (size_t i = 0; i < globs->n; i++)
                if (name_matches(globs->v[i], name))
                        return true;

        return false;
}
