/* SPDX-License-Identifier: MIT */

/*
 * At most OPEN_LEVELS_MAX directories are open. A directory that was closed on the way down is
 * opened again on the way up, through the ".." of its child.
 *
 * If somebody moves the child meanwhile, its ".." leads elsewhere. So the directory found there must
 * have the device and inode of the one that was closed. Otherwise the walk goes on in the nearest
 * directory that is still open, and the one that was lost is reported as not searched.
 */

#include "walk-internal.h"

#include <fcntl.h>
#include <string.h>

#include "base/array.h"

#define OPEN_LEVELS_MAX 32
/* Bounds memory: a level takes 40 bytes and its name. No build nests directories that deep. */
#define LEVELS_MAX 16384

typedef struct Level {
        uint64_t ino;
        int64_t offset;    /* of the next entry, while the directory is closed */
        size_t n_path;     /* bytes of its path */
        DirReader *reader; /* NULL while the directory is closed */
} Level;

typedef struct TreeWalk {
        const WalkHooks *hooks;
        uint64_t dev;
        Level *levels; /* from the top to the current directory */
        size_t n_levels, size_levels;
        DirReader readers[OPEN_LEVELS_MAX];
        char *path; /* of the current entry */
        size_t n_path, size_path;
} TreeWalk;

static void tree_walk_donep(TreeWalk *walk) {
        for (size_t i = 0; i < ELEMENTSOF(walk->readers); i++)
                dir_done(&walk->readers[i]);
        free(walk->levels);
        free(walk->path);
}

static int report_unsearched(TreeWalk *walk, int error) {
        return walk->hooks->unsearched(walk->hooks->userdata, walk->path, error);
}

/* Sets the path to that of `name` in the current directory. */
static int set_name(TreeWalk *walk, const char *name) {
        size_t n = walk->levels[walk->n_levels - 1].n_path, n_name = strlen(name);
        char *path;

        path = array_reserve(walk->path, &walk->size_path, n, n_name + 2, 1);
        if (!path)
                return -ENOMEM;
        walk->path = path;
        if (n > 0)
                path[n++] = '/';
        memcpy(path + n, name, n_name + 1);
        walk->n_path = n + n_name;
        return 0;
}

/* Closes the open directory nearest to the top, but never the top itself; false if there is none.
 * Its offset was kept when the walk went into its child. */
static bool close_oldest(TreeWalk *walk) {
        for (size_t i = 1; i < walk->n_levels; i++) {
                Level *level = &walk->levels[i];

                if (!level->reader)
                        continue;
                dir_close(level->reader);
                level->reader = NULL;
                return true;
        }
        return false;
}

static DirReader *free_reader(TreeWalk *walk) {
        for (;;) {
                for (size_t i = 0; i < ELEMENTSOF(walk->readers); i++)
                        if (walk->readers[i].fd < 0)
                                return &walk->readers[i];
                if (!close_oldest(walk))
                        return NULL;
        }
}

/* Makes the directory `fd`, which it takes over, the current one. */
static int push_level(TreeWalk *walk, int fd, uint64_t ino) {
        DirReader *reader;

        reader = free_reader(walk);
        if (!reader || array_grow(walk->levels, walk->n_levels, walk->size_levels) < 0) {
                close(fd);
                return -ENOMEM;
        }
        reader->fd = fd;
        walk->levels[walk->n_levels++] = (Level){
                .ino = ino,
                .n_path = walk->n_path,
                .reader = reader,
        };
        return walk->hooks->step ? walk->hooks->step(walk->hooks->step_userdata) : 0;
}

/* Goes down into the current entry. */
static int enter_level(TreeWalk *walk, const struct dirent64 *entry) {
        Level *level = &walk->levels[walk->n_levels - 1];
        struct stat st;
        int fd;

        level->offset = entry->d_off;
        if (walk->n_levels == LEVELS_MAX)
                return report_unsearched(walk, -ENAMETOOLONG);
        do
                fd = dir_open(level->reader->fd, entry->d_name, walk->dev, &st);
        while ((fd == -EMFILE || fd == -ENFILE) && walk->n_levels > 2 &&
               walk->levels[walk->n_levels - 2].reader && close_oldest(walk));
        if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP) /* replaced meanwhile */
                return 0;
        if (fd < 0)
                return report_unsearched(walk, fd);
        return push_level(walk, fd, st.st_ino);
}

/* Opens `parent` again through the ".." of its child `fd`. */
static int reopen_level(TreeWalk *walk, Level *parent, int fd) {
        struct stat st;

        parent->reader->fd = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (parent->reader->fd < 0 || fstat(parent->reader->fd, &st) < 0)
                return -errno;
        if (st.st_dev != walk->dev || st.st_ino != parent->ino)
                return -ESTALE;
        return dir_seek(parent->reader, parent->offset);
}

/* Goes up from the current directory. */
static int leave_level(TreeWalk *walk) {
        DirReader *reader = walk->levels[walk->n_levels - 1].reader;
        cleanup_close int fd = TAKE_FD(reader->fd);
        Level *parent;
        int r;

        dir_close(reader);
        if (--walk->n_levels == 0)
                return 0;
        parent = &walk->levels[walk->n_levels - 1];
        if (parent->reader)
                return 0;

        parent->reader = free_reader(walk);
        if (!parent->reader)
                return -ENOMEM;
        r = reopen_level(walk, parent, fd);
        if (r == 0)
                return 0;

        dir_close(parent->reader);
        parent->reader = NULL;
        while (!walk->levels[walk->n_levels - 1].reader) /* the top is always open */
                walk->n_levels--;
        walk->path[walk->levels[walk->n_levels].n_path] = '\0';
        return report_unsearched(walk, r);
}

static int walk_entry(TreeWalk *walk, const Level *level, const struct dirent64 *entry) {
        int r = set_name(walk, entry->d_name);

        if (r < 0)
                return r;
        r = walk->hooks->entry(walk->hooks->userdata, &(WalkEntry){
                                                              .dir_fd = level->reader->fd,
                                                              .name = entry->d_name,
                                                              .type = entry->d_type,
                                                              .path = walk->path,
                                                              .n_path = walk->n_path,
                                                      });
        return r == 1 ? enter_level(walk, entry) : r;
}

int walk_tree(int fd, uint64_t dev, uint64_t ino, const WalkHooks *hooks) {
        cleanup(tree_walk_done) TreeWalk walk = { .hooks = hooks, .dev = dev };
        int r;

        for (size_t i = 0; i < ELEMENTSOF(walk.readers); i++)
                walk.readers[i] = DIR_READER_NULL;
        r = push_level(&walk, fd, ino);
        while (r == 0 && walk.n_levels > 0) {
                const Level *level = &walk.levels[walk.n_levels - 1];
                const struct dirent64 *entry;

                r = dir_next(level->reader, &entry);
                if (r == 1) {
                        r = walk_entry(&walk, level, entry);
                        continue;
                }
                if (r < 0 && r != -ENOMEM && walk.n_levels > 1) {
                        walk.path[level->n_path] = '\0';
                        r = report_unsearched(&walk, r);
                }
                if (r == 0)
                        r = leave_level(&walk);
        }
        return r;
}
