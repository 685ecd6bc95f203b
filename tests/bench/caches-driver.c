/* SPDX-License-Identifier: MIT */

/* caches-driver ROOT TRASH NAMES: takes and removes the caches, and says what it took, in seconds. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "apps/find.h"
#include "apps/quarantine.h"
#include "apps/remove.h"
#include "apps/root.h"
#include "apps/trash.h"
#include "base/array.h"
#include "base/span.h"

typedef struct Takes {
        CacheQuarantine *v;
        size_t n, size;
} Takes;

static int on_found(void *userdata, const Cache *cache) {
        Takes *takes = userdata;

        if (cache->kind != CACHE_DIRECTORY)
                return 0;
        if (array_grow(takes->v, takes->n, takes->size) < 0)
                return -ENOMEM;
        takes->v[takes->n] = (CacheQuarantine){ .path = strdup(cache->path),
                                                .dev = cache->dev,
                                                .ino = cache->ino };
        return takes->v[takes->n++].path ? 0 : -ENOMEM;
}

static int store_nothing(void *userdata, const CacheQuarantine *takes, size_t n) {
        (void)userdata, (void)takes, (void)n;
        return 0;
}

static void on_remaining(void *userdata, const char *path, int error) {
        (void)userdata;
        fprintf(stderr, "%s: %s\n", path, error_text(error));
}

static double since(uint64_t begin_usec) {
        return (double)(now_boottime_usec() - begin_usec) / 1e6;
}

static int sweep(const char *root_path, const char *trash_path, const char *names_text) {
        RemovalHooks remove_hooks = { .remaining = on_remaining };
        uint64_t begin_usec = now_boottime_usec();
        double found, clean, removed;
        RemovalFigures figures = { 0 };
        AppRoot root = APP_ROOT_NULL;
        Strv names = STRV_NULL;
        Takes takes = { 0 };
        CacheHooks hooks = { .found = on_found, .userdata = &takes };
        Diag diag = DIAG_NULL;
        int trash_fd, r;

        r = strv_split(&names, names_text);
        if (r == 0)
                r = app_open(root_path, &root, &diag);
        if (r == 0)
                r = trash_open(trash_path, &root, NULL, &trash_fd, &diag);
        if (r == 0)
                r = cache_find(&root, &names, &hooks);
        found = since(begin_usec);
        if (r == 0)
                r = cache_quarantine(&root, &names, trash_fd, takes.v, takes.n, store_nothing,
                                     NULL);
        clean = since(begin_usec);
        for (size_t i = 0; r == 0 && i < takes.n; i++) {
                r = takes.v[i].result;
                if (r == 0)
                        r = trash_remove(trash_fd, takes.v[i].name, takes.v[i].dev, takes.v[i].ino,
                                         &remove_hooks, &figures);
        }
        removed = since(begin_usec);
        if (r < 0) {
                fprintf(stderr, "caches-driver: %s\n", diag_text(&diag, r));
                return r;
        }
        printf("{\"caches\": %zu, \"found\": %.6f, \"clean\": %.6f, \"removed\": %.6f, "
               "\"files\": %" PRIu64 ", \"directories\": %" PRIu64 ", \"bytes\": %" PRIu64 "}\n",
               takes.n, found, clean, removed, figures.n_files, figures.n_directories,
               figures.bytes);
        return 0;
}

int main(int argc, char *argv[]) {
        if (argc != 4) {
                fputs("usage: caches-driver ROOT TRASH NAMES\n", stderr);
                return 2;
        }
        return sweep(argv[1], argv[2], argv[3]) < 0;
}
