/* SPDX-License-Identifier: MIT */

/*
 * The trap: a ':' is the tag's only after the last '/' ("localhost:5000/web" has none), and in a
 * glob neither counts inside brackets ("[[:alpha:]]*") or behind a backslash.
 */

#include "docker/name.h"

#include <fnmatch.h>
#include <string.h>

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

const char *name_tag(const char *name) {
        size_t n = name_repository_length(name);

        return name[n] == ':' && !strchr(name + n, '@') ? name + n + 1 : NULL;
}

/* The end of the bracket expression that opens at `p`, or NULL if it has none. */
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

typedef struct Glob {
        const char *slash; /* the last one, or NULL */
        const char *tag;   /* behind the ':' that follows it, or NULL */
        bool broken;
} Glob;

static Glob glob_read(const char *glob) {
        Glob ret = { NULL, NULL, false };

        for (const char *p = glob; *p; p++) {
                if (*p == '\\') {
                        if (!*++p) {
                                ret.broken = true;
                                break;
                        }
                } else if (*p == '[') {
                        p = bracket_end(p);
                        if (!p) {
                                ret.broken = true;
                                break;
                        }
                } else if (*p == '/') {
                        ret.slash = p;
                        ret.tag = NULL;
                } else if (*p == ':') {
                        ret.tag = p + 1;
                }
        }

        return ret;
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
        Glob g = glob_read(glob);
        size_t n_glob = g.tag ? (size_t)(g.tag - 1 - glob) : strlen(glob);
        size_t n = name_repository_length(name);
        const char *repository = name;

        if (g.broken)
                return false;

        if (!g.slash) {
                const char *last = memrchr(name, '/', n);

                if (last) {
                        repository = last + 1;
                        n -= (size_t)(repository - name);
                }
        }
        if (!piece_matches(glob, n_glob, repository, n))
                return false;

        if (g.tag) {
                const char *tag = name_tag(name);

                return tag && fnmatch(g.tag, tag, 0) == 0;
        }

        return true;
}

bool name_matches_any(const Strv *globs, const char *name) {
        for (size_t i = 0; i < globs->n; i++)
                if (name_matches(globs->v[i], name))
                        return true;

        return false;
}

int name_glob_check(const char *glob) {
        Glob g = glob_read(glob);
        size_t n = g.tag ? (size_t)(g.tag - 1 - glob) : strlen(glob);

        if (g.broken || n == 0 || strlen(glob) >= 512)
                return -EINVAL;
        for (const char *p = glob; *p; p++)
                if ((unsigned char)*p <= ' ' || *p == 0x7f)
                        return -EINVAL;
        /* An empty tag, an empty last component, a digest: no name has these. */
        if ((g.tag && !*g.tag) || glob[n - 1] == '/' || strchr(glob, '@'))
                return -EINVAL;

        return 0;
}
