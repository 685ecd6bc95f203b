/* SPDX-License-Identifier: MIT */

/*
 * The parent is held by a descriptor, but the entry may be replaced until the very rename. rename(2)
 * follows no link, so at worst it moves another entry of that name out of that directory. The moved
 * entry is examined in the trash, where other users cannot replace it any more, and is renamed back
 * unless it is the cache that was found.
 */

#include "apps/quarantine.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "apps/dir.h"
#include "apps/find.h"
#include "base/path.h"
#include "base/random.h"

int cache_quarantine_check(const AppRoot *root, const char *path) {
        cleanup_close int fd = cache_open_parent(root, path);

        if (fd < 0)
                return fd;
        if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
                return -errno;
        /* the rename writes to the directory: its ".." changes */
        if (faccessat(fd, path_name(path), W_OK, AT_EACCESS | AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        return 0;
}

static int rename_new(int from_fd, const char *from, int to_fd, const char *to) {
        return renameat2(from_fd, from, to_fd, to, RENAME_NOREPLACE) < 0 ? -errno : 0;
}

static int quarantine_one(const AppRoot *root, const Strv *names, int trash_fd,
                          const CacheQuarantine *cache) {
        cleanup_close int fd = cache_open_holder(root, names, cache->path);
        const char *name = path_name(cache->path);
        struct statx stx;
        int r;

        if (fd < 0)
                return fd;
        r = entry_stat(fd, name, &stx);
        if (r < 0)
                return r;
        if (!entry_is_directory(&stx, cache->dev, cache->ino))
                return -ESTALE;

        r = rename_new(fd, name, trash_fd, cache->name);
        if (r == -EACCES && dir_permit(fd, name) == 0)
                r = rename_new(fd, name, trash_fd, cache->name);
        if (r < 0)
                return r;
        r = entry_stat(trash_fd, cache->name, &stx);
        if (r == 0 && entry_is_directory(&stx, cache->dev, cache->ino))
                return 0;
        return rename_new(trash_fd, cache->name, fd, name) < 0 ? -EEXIST : -ESTALE;
}

int cache_quarantine(const AppRoot *root, const Strv *names, int trash_fd, CacheQuarantine *takes,
                     size_t n, int (*store)(void *userdata, const CacheQuarantine *takes, size_t n),
                     void *userdata) {
        int r;

        for (size_t i = 0; i < n; i++) {
                r = random_hex((TRASH_NAME_MAX - 1) / 2, takes[i].name);
                if (r < 0)
                        return r;
        }
        r = store(userdata, takes, n);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++)
                takes[i].result = quarantine_one(root, names, trash_fd, &takes[i]);
        return 0;
}
