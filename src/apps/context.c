/* SPDX-License-Identifier: MIT */

/* Reads the .dockerignore of a build context, a file in a tree that others may change. */

#include "apps/context.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "apps/dir.h"
#include "base/io.h"
#include "base/path.h"
#include "base/text.h"
#include "ignore-internal.h"

#define FILE_BYTES_MAX (1U << 20)

struct Context {
        char *above; /* the root's path below the context; "" or NULL if they are the same */
        char *below; /* the context's path below the root, if it lies there */
        bool outside;
        IgnoreRules ignored;
};

const char *context_status_to_string(ContextStatus reach) {
        static const char *const names[CONTEXT_STATUS_MAX] = {
                [CONTEXT_INSIDE] = "context",
                [CONTEXT_IGNORED] = "ignored",
                [CONTEXT_OUTSIDE] = "outside",
        };

        return (unsigned)reach < CONTEXT_STATUS_MAX ? names[reach] : NULL;
}

/* The part of `path` below `top`, "" for the same path; NULL if it does not lie there. */
static const char *path_below(const char *path, const char *top) {
        size_t n = strlen(top);

        if (n > 0 && top[n - 1] == '/')
                n--;
        if (strncmp(path, top, n) != 0 || (path[n] != '/' && path[n] != '\0'))
                return NULL;
        return path + n + (path[n] == '/');
}

ContextStatus context_status(const Context *context, const char *path) {
        cleanup_free char *whole = NULL;
        const char *rest;

        if (context->outside)
                return CONTEXT_OUTSIDE;
        if (context->below) {
                rest = path_below(path, context->below);
                if (!rest)
                        return path_below(context->below, path) ? CONTEXT_INSIDE : CONTEXT_OUTSIDE;
        } else {
                bool same = !context->above || !*context->above;

                whole = text_format("%s%s%s", same ? "" : context->above, same ? "" : "/", path);
                rest = whole;
        }
        return rest && *rest && ignore_matches(&context->ignored, rest) ? CONTEXT_IGNORED
                                                                        : CONTEXT_INSIDE;
}

/* -EINVAL: not a regular file. The server of another mount is not asked for the type of a file. */
static int read_text(int dir_fd, const char *name, char **ret_text, size_t *ret_n) {
        cleanup_close int fd = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        uint64_t mount = 0, dir_mount = 0;
        char path[64];
        struct stat st;
        int r;

        if (fd < 0)
                return -errno;
        r = mount_id(fd, &mount);
        if (r == 0)
                r = mount_id(dir_fd, &dir_mount);
        if (r < 0)
                return r;
        if (mount != dir_mount)
                return -EINVAL;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EINVAL;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        return file_read(AT_FDCWD, path, FILE_BYTES_MAX, ret_text, ret_n);
}

static int read_patterns(Context *context, int dir_fd, const char *name, Diag *reterr_diag) {
        cleanup_free char *text = NULL;
        size_t n;
        int r;

        r = read_text(dir_fd, name, &text, &n);
        if (r == -ENOENT || r == -ENOMEM)
                return r;
        if (r < 0 || !text)
                return diag_set(reterr_diag, r, "%s: %s", name,
                                r == -EINVAL ? "no regular file" : error_text(r));
        if (strlen(text) < n)
                return diag_set(reterr_diag, -EINVAL, "%s is not text", name);

        n = 1;
        for (char *line = text + (strncmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0), *next; line;
             line = next, n++) {
                next = strchr(line, '\n');
                if (next)
                        *next++ = '\0';
                r = ignore_add(&context->ignored, line);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        return diag_set(reterr_diag, r, "%s, line %zu: %s", name, n,
                                        r == -E2BIG ? "too many patterns"
                                                    : "a pattern that is not understood");
        }
        return 0;
}

/* Opens the directory of the Dockerfile. `fd` is the context at `path`. */
static int open_beside(int fd, const char *path, char *dockerfile, Diag *reterr_diag) {
        const char *rest;
        struct stat st;
        int r;

        *strrchr(dockerfile, '/') = '\0';
        rest = path_below(*dockerfile ? dockerfile : "/", path);
        if (!rest)
                return trusted_open(*dockerfile ? dockerfile : "/", NULL, NULL, reterr_diag);
        if (fstat(fd, &st) < 0)
                return -errno;
        r = dir_open_path(fd, rest, strlen(rest), st.st_dev, NULL);
        return r < 0 ? diag_set(reterr_diag, r, "%s: %s", dockerfile, error_text(r)) : r;
}

static int read_ignored(Context *context, int fd, const char *path, const char *dockerfile,
                        Diag *reterr_diag) {
        cleanup_free char *whole = NULL, *name = NULL;
        cleanup_close int beside_fd = -EBADF;
        int r;

        whole = text_format("%s/%s", *dockerfile == '/' ? "" : path, dockerfile);
        if (!whole)
                return -ENOMEM;
        path_clean(whole);
        name = text_format("%s.dockerignore", path_name(whole));
        if (!name)
                return -ENOMEM;
        beside_fd = open_beside(fd, path, whole, reterr_diag);
        r = beside_fd < 0 ? beside_fd : read_patterns(context, beside_fd, name, reterr_diag);
        if (r == -ENOENT)
                r = read_patterns(context, fd, ".dockerignore", reterr_diag);
        return r == -ENOENT ? 0 : r;
}

static int read_context(Context *context, const AppRoot *root, const char *path,
                        const char *dockerfile, Diag *reterr_diag) {
        cleanup_free char *root_path = NULL, *context_path = NULL;
        cleanup_close int path_fd = -EBADF;
        int fd = root->fd, r;
        const char *rest;

        r = dir_path(root->fd, &root_path);
        if (r < 0)
                return r;
        if (path) {
                path_fd = trusted_open(path, NULL, NULL, reterr_diag);
                if (path_fd < 0)
                        return path_fd;
                fd = path_fd;
        }
        r = dir_path(fd, &context_path);
        if (r < 0)
                return r;

        if ((rest = path_below(root_path, context_path))) {
                context->above = strdup(rest);
                if (!context->above)
                        return -ENOMEM;
        } else if ((rest = path_below(context_path, root_path))) {
                context->below = strdup(rest);
                if (!context->below)
                        return -ENOMEM;
        } else {
                context->outside = true;
                return 0;
        }
        return read_ignored(context, fd, context_path, dockerfile, reterr_diag);
}

int context_new(const AppRoot *root, const char *path, const char *dockerfile, Context **ret,
                Diag *reterr_diag) {
        cleanup(context_free) Context *context = calloc(1, sizeof(*context));
        Diag diag = DIAG_NULL;
        int r;

        if (!context)
                return -ENOMEM;
        r = read_context(context, root, path, dockerfile, &diag);
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                ignore_done(&context->ignored);
                diag_set(reterr_diag, r, "what is ignored is not known: %s", diag_text(&diag, r));
        }
        *ret = TAKE_PTR(context);
        return 0;
}

Context *context_free(Context *context) {
        if (context) {
                free(context->above);
                free(context->below);
                ignore_done(&context->ignored);
                free(context);
        }
        return NULL;
}
