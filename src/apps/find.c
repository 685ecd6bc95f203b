/* SPDX-License-Identifier: MIT */

/* A name with a slash is looked up alone. Names without one are searched for in the whole tree. */

#include "apps/find.h"

#include <dirent.h>
#include <string.h>

#include "apps/dir.h"
#include "base/path.h"
#include "walk-internal.h"

typedef struct Search {
        const AppRoot *root;
        const Strv *names;
        const CacheHooks *hooks;
} Search;

bool cache_name_valid(const char *name) {
        for (;;) {
                size_t n = strcspn(name, "/");

                if (n == 0 || n > NAME_MAX || (n <= 2 && strncmp(name, "..", n) == 0))
                        return false;
                if (name[n] == '\0')
                        return true;
                name += n + 1;
        }
}

bool cache_name_matches(const Strv *names, const char *path, size_t n) {
        const char *slash = memrchr(path, '/', n), *last = slash ? slash + 1 : path;
        size_t n_last = (size_t)(path + n - last);

        for (size_t i = 0; i < names->n; i++) {
                const char *name = names->v[i];
                size_t n_name = strlen(name);

                if (n_name == n && memcmp(name, path, n) == 0)
                        return true;
                if (n_name == n_last && memcmp(name, last, n_last) == 0)
                        return true; /* a name with a slash equals no single component */
        }
        return false;
}

int cache_open_parent(const AppRoot *root, const char *path) {
        const char *name = path_name(path);

        return dir_open_path(root->fd, path, name > path ? (size_t)(name - path - 1) : 0, root->dev,
                             NULL);
}

int cache_open_holder(const AppRoot *root, const Strv *names, const char *path) {
        int fd;

        if (!cache_name_valid(path) || !cache_name_matches(names, path, strlen(path)))
                return -EINVAL;
        fd = cache_open_parent(root, path);
        return fd == -ELOOP ? -ENOTDIR : fd;
}

static int report_cache(const Search *search, const char *path, CacheKind kind, int error,
                        const struct statx *stx) {
        Cache cache = { .path = path, .kind = kind, .error = error };

        if (stx) {
                cache.dev = entry_dev(stx);
                cache.ino = stx->stx_ino;
        }
        return search->hooks->found(search->hooks->userdata, &cache);
}

static int find_on_unsearched(void *userdata, const char *path, int error) {
        return report_cache(userdata, path, CACHE_UNSEARCHED, error, NULL);
}

/* Reports an entry that bears a cache's name. */
static int report_named(Search *search, int dir_fd, const char *name, const char *path) {
        CacheKind kind = CACHE_DIRECTORY;
        struct statx stx;
        int r;

        r = entry_stat(dir_fd, name, &stx);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return find_on_unsearched(search, path, r);
        if (S_ISLNK(stx.stx_mode))
                kind = CACHE_LINK;
        else if (!S_ISDIR(stx.stx_mode))
                kind = CACHE_OTHER;
        else if (entry_dev(&stx) != search->root->dev ||
                 (stx.stx_attributes & stx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT))
                kind = CACHE_MOUNT;
        return report_cache(search, path, kind, 0, &stx);
}

/* Looks up a name with a slash. A cache below another cache is removed with that one. */
static int look_up_cache(Search *search, const char *name) {
        cleanup_close int fd = -EBADF;
        const char *slash;

        for (slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/'))
                if (cache_name_matches(search->names, name, (size_t)(slash - name)))
                        return 0;

        for (slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
                cleanup_free char *path = strndup(name, (size_t)(slash - name));
                struct stat st;
                int child_fd;

                if (!path)
                        return -ENOMEM;
                child_fd = dir_open(fd < 0 ? search->root->fd : fd, path_name(path),
                                    search->root->dev, &st);
                if (child_fd == -ENOENT)
                        return 0;
                if (child_fd == -ENOTDIR || child_fd == -ELOOP)
                        return report_named(search, fd < 0 ? search->root->fd : fd, path_name(path),
                                            path);
                if (child_fd < 0)
                        return find_on_unsearched(search, path, child_fd);
                cleanup_closep(&fd);
                fd = child_fd;
        }
        return report_named(search, fd, path_name(name), name);
}

static int find_on_entry(void *userdata, const WalkEntry *entry) {
        Search *search = userdata;
        unsigned char type = entry->type;
        int r;

        if (cache_name_matches(search->names, entry->path, entry->n_path)) {
                if (strchr(entry->path, '/') && strv_contains(search->names, entry->path))
                        return 0; /* look_up_cache() reported it */
                return report_named(search, entry->dir_fd, entry->name, entry->path);
        }
        if (type == DT_UNKNOWN) {
                struct statx stx;

                r = entry_stat(entry->dir_fd, entry->name, &stx);
                if (r == -ENOENT)
                        return 0;
                if (r < 0)
                        return find_on_unsearched(search, entry->path, r);
                type = S_ISDIR(stx.stx_mode) ? DT_DIR : DT_REG;
        }
        return type == DT_DIR && strcmp(entry->name, ".git") != 0 &&
               strcmp(entry->name, "node_modules") != 0;
}

int cache_find(const AppRoot *root, const Strv *names, const CacheHooks *hooks) {
        Search search = { .root = root, .names = names, .hooks = hooks };
        const WalkHooks walk_hooks = {
                .entry = find_on_entry,
                .unsearched = find_on_unsearched,
                .step = hooks->step,
                .userdata = &search,
                .step_userdata = hooks->userdata,
        };
        bool anywhere = false;
        int fd, r;

        for (size_t i = 0; i < names->n; i++)
                if (!cache_name_valid(names->v[i]))
                        return -EINVAL;
        for (size_t i = 0; i < names->n; i++) {
                if (!strchr(names->v[i], '/')) {
                        anywhere = true;
                        continue;
                }
                r = look_up_cache(&search, names->v[i]);
                if (r < 0)
                        return r;
        }
        if (!anywhere)
                return 0;
        fd = dir_open_path(root->fd, "", 0, root->dev, NULL);
        return fd < 0 ? fd : walk_tree(fd, root->dev, root->ino, &walk_hooks);
}
