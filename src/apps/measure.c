/* SPDX-License-Identifier: MIT */

#include "apps/measure.h"

#include <string.h>

#include "apps/dir.h"
#include "walk-internal.h"

static int measure_on_entry(void *userdata, const WalkEntry *entry) {
        uint64_t *bytes = userdata;
        struct statx stx;
        bool directory;

        if (entry_stat(entry->dir_fd, entry->name, &stx) < 0)
                return 0;
        directory = S_ISDIR(stx.stx_mode);
        /* Each of a file's links counts as its share of the file. */
        *bytes += stx.stx_blocks * 512 / (directory ? 1 : MAX(stx.stx_nlink, 1U));
        return directory;
}

static int measure_on_unsearched(void *userdata, const char *path, int error) {
        return 0;
}

int cache_measure(const AppRoot *root, const char *path, uint64_t dev, uint64_t ino,
                  int (*step)(void *userdata), void *userdata, uint64_t *ret_bytes) {
        uint64_t bytes;
        const WalkHooks hooks = {
                .entry = measure_on_entry,
                .unsearched = measure_on_unsearched,
                .step = step,
                .userdata = &bytes,
                .step_userdata = userdata,
        };
        struct stat st;
        int fd, r;

        fd = dir_open_path(root->fd, path, strlen(path), root->dev, &st);
        if (fd < 0)
                return fd;
        if (st.st_dev != dev || st.st_ino != ino) {
                close(fd);
                return -ESTALE;
        }
        bytes = (uint64_t)st.st_blocks * 512;
        r = walk_tree(fd, dev, ino, &hooks);
        if (r == 0)
                *ret_bytes = bytes;
        return r;
}
