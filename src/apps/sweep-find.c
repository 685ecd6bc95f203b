/* SPDX-License-Identifier: MIT */

/*
 * Names with a slash are looked up, each alone; names without one are searched for depth-first, with
 * a bounded number of directories open, however deep the tree. One that was closed on the way down
 * is opened again through the ".." of its child on the way up.
 *
 * The trap is a directory that was moved meanwhile: its ".." leads elsewhere. So it must have the
 * device and inode of the one that was left; else the search goes on from the nearest directory
 * still open, and what was skipped is reported as not searched. Nothing but reading hangs on it.
 */

#include "apps/sweep.h"

#include <fcntl.h>
#include <string.h>

#include "apps/dir.h"
#include "base/array.h"
#include "base/path.h"

#define OPEN_MAX_LEVELS 32
/* A level takes 40 bytes and its name: no build finds its way down there. */
#define LEVELS_MAX 16384

typedef struct Level {
        uint64_t ino;
        int64_t offset;    /* of the next entry, while it is closed */
        size_t n_path;     /* of its path */
        DirReader *reader; /* NULL while it is closed */
} Level;

typedef struct Search {
        const AppRoot *root;
        const Strv *names;
        const CacheHooks *hooks;
        Level *levels;
        size_t n_levels, size_levels;
        DirReader readers[OPEN_MAX_LEVELS];
        char *path;
        size_t n_path, size_path;
        uint64_t *bytes; /* not NULL: everything is added up, and nothing looked for */
} Search;

static void search_donep(Search *search) {
        for (size_t i = 0; i < ELEMENTSOF(search->readers); i++)
                dir_done(&search->readers[i]);
        free(search->levels);
        free(search->path);
}

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
                        return true; /* one with a slash equals no component */
        }
        return false;
}

static int report(Search *search, const char *path, CacheKind kind, int error,
                  const struct statx *stx) {
        Cache cache = { .path = path, .kind = kind, .error = error };

        if (stx) {
                cache.dev = entry_dev(stx);
                cache.ino = stx->stx_ino;
        }
        return search->hooks->found(search->hooks->userdata, &cache);
}

/* Reports what bears a cache's name. */
static int report_named(Search *search, int dir_fd, const char *name, const char *path) {
        CacheKind kind = CACHE_DIRECTORY;
        struct statx stx;
        int r;

        r = entry_stat(dir_fd, name, &stx);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return report(search, path, CACHE_UNSEARCHED, r, NULL);
        if (S_ISLNK(stx.stx_mode))
                kind = CACHE_LINK;
        else if (!S_ISDIR(stx.stx_mode))
                kind = CACHE_OTHER;
        else if (entry_dev(&stx) != search->root->dev ||
                 (stx.stx_attributes & stx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT))
                kind = CACHE_MOUNT;
        return report(search, path, kind, 0, &stx);
}

/* A name with a slash; one below another cache goes with that. */
static int look_up(Search *search, const char *name) {
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
                        return report(search, path, CACHE_UNSEARCHED, child_fd, NULL);
                cleanup_closep(&fd);
                fd = child_fd;
        }
        return report_named(search, fd, path_name(name), name);
}

/* Makes `name` in the directory at hand the path. */
static int set_name(Search *search, const char *name) {
        size_t n = search->levels[search->n_levels - 1].n_path, n_name = strlen(name);
        char *path;

        path = array_reserve(search->path, &search->size_path, n, n_name + 2, 1);
        if (!path)
                return -ENOMEM;
        search->path = path;
        if (n > 0)
                path[n++] = '/';
        memcpy(path + n, name, n_name + 1);
        search->n_path = n + n_name;
        return 0;
}

/* Closes the open level nearest to the root, but the root's; false if there is none. The offset of
 * the entry it stands at was kept when that was entered. */
static bool close_oldest(Search *search) {
        for (size_t i = 1; i < search->n_levels; i++) {
                Level *level = &search->levels[i];

                if (!level->reader)
                        continue;
                dir_close(level->reader);
                level->reader = NULL;
                return true;
        }
        return false;
}

static DirReader *free_reader(Search *search) {
        for (;;) {
                for (size_t i = 0; i < ELEMENTSOF(search->readers); i++)
                        if (search->readers[i].fd < 0)
                                return &search->readers[i];
                if (!close_oldest(search))
                        return NULL;
        }
}

static int push(Search *search, int fd, uint64_t ino) {
        DirReader *reader;

        reader = free_reader(search);
        if (!reader || array_grow(search->levels, search->n_levels, search->size_levels) < 0) {
                close(fd);
                return -ENOMEM;
        }
        reader->fd = fd;
        search->levels[search->n_levels++] = (Level){
                .ino = ino,
                .n_path = search->n_path,
                .reader = reader,
        };
        return search->hooks->step ? search->hooks->step(search->hooks->userdata) : 0;
}

/* Goes down into `entry`, which the path names. */
static int enter(Search *search, const struct dirent64 *entry) {
        Level *level = &search->levels[search->n_levels - 1];
        struct stat st;
        int fd;

        level->offset = entry->d_off;
        if (search->n_levels == LEVELS_MAX)
                return report(search, search->path, CACHE_UNSEARCHED, -ENAMETOOLONG, NULL);
        do
                fd = dir_open(level->reader->fd, entry->d_name, search->root->dev, &st);
        while ((fd == -EMFILE || fd == -ENFILE) && search->n_levels > 2 &&
               search->levels[search->n_levels - 2].reader && close_oldest(search));
        if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP) /* swapped meanwhile */
                return 0;
        if (fd < 0)
                return report(search, search->path, CACHE_UNSEARCHED, fd, NULL);
        return push(search, fd, st.st_ino);
}

/* Goes up from the level at hand, whose descriptor leads to its parent if that was closed. */
static int leave(Search *search) {
        DirReader *reader = search->levels[search->n_levels - 1].reader;
        cleanup_close int fd = TAKE_FD(reader->fd);
        struct stat st = { 0 };
        Level *parent;
        int r;

        dir_close(reader);
        if (--search->n_levels == 0)
                return 0;
        parent = &search->levels[search->n_levels - 1];
        if (parent->reader)
                return 0;

        parent->reader = free_reader(search);
        if (!parent->reader)
                return -ENOMEM;
        parent->reader->fd = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = parent->reader->fd < 0 || fstat(parent->reader->fd, &st) < 0 ? -errno : 0;
        if (r == 0 && (st.st_dev != search->root->dev || st.st_ino != parent->ino))
                r = -ESTALE;
        if (r == 0)
                r = dir_seek(parent->reader, parent->offset);
        if (r == 0)
                return 0;

        dir_close(parent->reader);
        parent->reader = NULL;
        while (!search->levels[search->n_levels - 1].reader) /* the root's is always open */
                search->n_levels--;
        search->path[search->levels[search->n_levels].n_path] = '\0';
        return report(search, search->path, CACHE_UNSEARCHED, r, NULL);
}

static int measure(Search *search, const struct dirent64 *entry) {
        struct statx stx;
        int r;

        r = entry_stat(search->levels[search->n_levels - 1].reader->fd, entry->d_name, &stx);
        if (r < 0)
                return 0;
        /* With each of its links a part: together they are the file. */
        *search->bytes +=
                stx.stx_blocks * 512 / (S_ISDIR(stx.stx_mode) ? 1 : MAX(stx.stx_nlink, 1U));
        return S_ISDIR(stx.stx_mode) ? enter(search, entry) : 0;
}

static int on_entry(Search *search, const struct dirent64 *entry) {
        const Level *level = &search->levels[search->n_levels - 1];
        unsigned char type = entry->d_type;
        int r;

        r = set_name(search, entry->d_name);
        if (r < 0)
                return r;
        if (search->bytes)
                return measure(search, entry);
        if (cache_name_matches(search->names, search->path, search->n_path)) {
                if (level > search->levels && strv_contains(search->names, search->path))
                        return 0; /* looked up already */
                return report_named(search, level->reader->fd, entry->d_name, search->path);
        }
        if (type == DT_UNKNOWN) {
                struct statx stx;

                r = entry_stat(level->reader->fd, entry->d_name, &stx);
                if (r == -ENOENT)
                        return 0;
                if (r < 0)
                        return report(search, search->path, CACHE_UNSEARCHED, r, NULL);
                type = S_ISDIR(stx.stx_mode) ? DT_DIR : DT_REG;
        }
        if (type != DT_DIR || strcmp(entry->d_name, ".git") == 0 ||
            strcmp(entry->d_name, "node_modules") == 0)
                return 0;
        return enter(search, entry);
}

/* Takes the directory over. */
static int search_tree(Search *search, int fd, uint64_t ino) {
        int r;

        r = push(search, fd, ino);
        while (r == 0 && search->n_levels > 0) {
                const Level *level = &search->levels[search->n_levels - 1];
                const struct dirent64 *entry;

                r = dir_next(level->reader, &entry);
                if (r == 1) {
                        r = on_entry(search, entry);
                        continue;
                }
                if (r < 0 && r != -ENOMEM && search->n_levels > 1) {
                        search->path[level->n_path] = '\0';
                        r = report(search, search->path, CACHE_UNSEARCHED, r, NULL);
                }
                if (r == 0)
                        r = leave(search);
        }
        return r;
}

static Search search_in(const AppRoot *root, const CacheHooks *hooks) {
        Search search = { .root = root, .hooks = hooks };

        for (size_t i = 0; i < ELEMENTSOF(search.readers); i++)
                search.readers[i] = DIR_READER_NULL;
        return search;
}

int cache_find(const AppRoot *root, const Strv *names, const CacheHooks *hooks) {
        cleanup(search_done) Search search = search_in(root, hooks);
        bool anywhere = false;
        int fd, r;

        for (size_t i = 0; i < names->n; i++)
                if (!cache_name_valid(names->v[i]))
                        return -EINVAL;
        search.names = names;
        for (size_t i = 0; i < names->n; i++) {
                if (!strchr(names->v[i], '/')) {
                        anywhere = true;
                        continue;
                }
                r = look_up(&search, names->v[i]);
                if (r < 0)
                        return r;
        }
        if (!anywhere)
                return 0;
        fd = dir_open_path(root->fd, "", 0, root->dev, NULL);
        return fd < 0 ? fd : search_tree(&search, fd, root->ino);
}

static int found_nothing(void *userdata, const Cache *cache) {
        (void)userdata, (void)cache;
        return 0;
}

int cache_measure(const AppRoot *root, const char *path, uint64_t dev, uint64_t ino,
                  int (*step)(void *userdata), void *userdata, uint64_t *ret_bytes) {
        const CacheHooks hooks = { .found = found_nothing, .step = step, .userdata = userdata };
        cleanup(search_done) Search search = search_in(root, &hooks);
        struct stat st;
        uint64_t bytes;
        int fd, r;

        fd = dir_open_path(root->fd, path, strlen(path), root->dev, &st);
        if (fd < 0)
                return fd;
        if (st.st_dev != dev || st.st_ino != ino) {
                close(fd);
                return -ESTALE;
        }
        bytes = (uint64_t)st.st_blocks * 512;
        search.bytes = &bytes;
        r = search_tree(&search, fd, ino);
        if (r == 0)
                *ret_bytes = bytes;
        return r;
}
