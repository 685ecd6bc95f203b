/* SPDX-License-Identifier: MIT */

/*
 * A path, a newline and a .dockerignore of any content. What is ignored is so with all in it,
 * whatever the patterns; what is not understood is told, and then nothing is ignored.
 */

#undef NDEBUG
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "apps/context.h"
#include "apps/root.h"
#include "base/io.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char directory[] = "/tmp/fuzz-context-XXXXXX";
static AppRoot root = APP_ROOT_NULL;

static void close_root(void) {
        unlinkat(root.fd, ".dockerignore", 0);
        app_close(&root);
        rmdir(directory);
}

static void open_root(void) {
        struct stat st;

        if (!mkdtemp(directory))
                abort();
        root.fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (root.fd < 0 || fstat(root.fd, &st) < 0)
                abort();
        root.dev = st.st_dev;
        root.ino = st.st_ino;
        atexit(close_root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        const uint8_t *newline = n > 0 ? memchr(data, '\n', n) : NULL;
        cleanup(context_free) Context *context = NULL;
        cleanup_close int fd = -EBADF;
        cleanup_free char *path = NULL;
        Diag diag = DIAG_NULL;
        bool ignored = false;

        if (!newline || newline == data || memchr(data, '\0', (size_t)(newline - data)))
                return 0;
        if (root.fd < 0)
                open_root();
        path = strndup((const char *)data, (size_t)(newline - data));
        fd = openat(root.fd, ".dockerignore", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (!path || fd < 0 ||
            write_full(fd, (const char *)newline + 1, n - (size_t)(newline + 1 - data)) < 0)
                abort();
        if (context_new(&root, NULL, "Dockerfile", &context, &diag) < 0)
                abort();

        for (char *end = path; end; end = strchr(end + 1, '/')) {
                ContextStatus reach;

                if (end == path)
                        continue;
                *end = '\0';
                reach = context_status(context, path);
                *end = '/';
                assert(reach == CONTEXT_IGNORED || reach == CONTEXT_INSIDE);
                assert(!ignored || reach == CONTEXT_IGNORED);
                ignored = reach == CONTEXT_IGNORED;
        }
        assert(!ignored || context_status(context, path) == CONTEXT_IGNORED);
        assert(!ignored || !*diag.text);
        return 0;
}
