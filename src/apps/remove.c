/* SPDX-License-Identifier: MIT */

/*
 * Removes depth-first with one descriptor a level. Each entry that is read is handled once: a
 * directory is entered, anything else is unlinked by its name, which follows no link. If a user
 * replaces an entry meanwhile, at most the replacement is removed.
 *
 * The removal never goes up by "..", since the directory may have been moved. A directory that is too
 * deep for the levels or descriptors is renamed into the top of the tree, and removed there in a
 * further generation. So depth costs only renames, and memory is bounded.
 */

#include "apps/remove.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "apps/dir.h"
#include "apps/find.h"
#include "base/path.h"
#include "base/random.h"

#define LEVELS_MAX 64
#define SWAPS_MAX 16   /* how often an entry may be replaced by one of another type */
#define READINGS_MAX 4 /* how often a directory is read that others keep writing to */

typedef struct Level {
        DirReader reader;
        const char *name; /* in the level above; borrowed from its reader */
        uint64_t blocks;
        unsigned n_readings;
        bool remains; /* an entry of it was reported as remaining */
} Level;

typedef struct TreeRemoval {
        /* levels[0] is the directory that holds the tree; it is neither read nor owned. */
        Level levels[LEVELS_MAX];
        size_t n_levels;
        uint64_t dev;
        const RemovalHooks *hooks;
        RemovalFigures *figures;
        /* Directories that were raised into the top are called "RANDOM.GENERATION.N". A generation
         * removes the directories that the one before raised, so that none is handled twice. */
        char prefix[32];
        unsigned generation;
        uint64_t n_raised;
} TreeRemoval;

static void tree_removal_donep(TreeRemoval *removal) {
        for (size_t i = 1; i < LEVELS_MAX; i++)
                dir_done(&removal->levels[i].reader);
}

static Level *current_level(TreeRemoval *removal) {
        return &removal->levels[removal->n_levels - 1];
}

/* The path of `name` in the current level. */
static char *path_of(const TreeRemoval *removal, const char *name) {
        char *path, *to;
        size_t n = strlen(name) + 1;

        for (size_t i = 1; i < removal->n_levels; i++)
                n += strlen(removal->levels[i].name) + 1;
        path = to = malloc(n);
        if (!path)
                return NULL;
        for (size_t i = 1; i < removal->n_levels; i++) {
                to = stpcpy(to, removal->levels[i].name);
                *to++ = '/';
        }
        strcpy(to, name);
        return path;
}

/* Reports an entry of the current level that stays. A file system that became read-only ends the
 * removal. */
static int report_remains(TreeRemoval *removal, const char *name, int error) {
        cleanup_free char *path = NULL;

        if (error == -EROFS || error == -ENOMEM)
                return error;
        path = path_of(removal, name);
        if (!path)
                return -ENOMEM;
        current_level(removal)->remains = true;
        removal->figures->n_remaining++;
        if (removal->hooks->remaining)
                removal->hooks->remaining(removal->hooks->userdata, path, error);
        return 0;
}

/* Adds the owner's missing rights on the current level, if the daemon is the owner. */
static bool permit_level(TreeRemoval *removal) {
        int fd = current_level(removal)->reader.fd;
        struct stat st;

        return removal->n_levels > 1 && fstat(fd, &st) == 0 && st.st_uid == geteuid() &&
               (st.st_mode & 0700) != 0700 && fchmod(fd, (st.st_mode & 07777) | 0700) == 0;
}

/* Renames a directory of the current level into the top. */
static int raise_directory(TreeRemoval *removal, const char *name) {
        int from_fd = current_level(removal)->reader.fd, to_fd = removal->levels[1].reader.fd;
        char raised[80];

        snprintf(raised, sizeof(raised), "%s%u.%" PRIu64, removal->prefix, removal->generation,
                 removal->n_raised);
        /* If it replaces a directory, that one was to be removed, too. */
        if (renameat(from_fd, name, to_fd, raised) < 0)
                return -errno;
        removal->n_raised++;
        return 0;
}

static int removal_push(TreeRemoval *removal, int fd, const char *name, const struct stat *st) {
        Level *level = &removal->levels[removal->n_levels++];

        level->reader.fd = fd;
        level->name = name;
        level->blocks = (uint64_t)st->st_blocks;
        level->n_readings = 0;
        level->remains = false;
        return 0;
}

/* Enters a directory of the current level, or raises it into the top. */
static int removal_enter(TreeRemoval *removal, const char *name) {
        struct stat st;
        int fd;

        if (removal->n_levels == LEVELS_MAX)
                return raise_directory(removal, name);
        fd = dir_open(current_level(removal)->reader.fd, name, removal->dev, &st);
        if ((fd == -EMFILE || fd == -ENFILE) && removal->n_levels > 2)
                return raise_directory(removal, name);
        return fd < 0 ? fd : removal_push(removal, fd, name, &st);
}

static int unlink_entry(TreeRemoval *removal, const char *name) {
        int fd = current_level(removal)->reader.fd, r;
        struct statx stx;

        r = entry_stat(fd, name, &stx);
        if (r < 0)
                return r;
        if (S_ISDIR(stx.stx_mode))
                return -EISDIR;
        if (unlinkat(fd, name, 0) < 0)
                return -errno;
        removal->figures->n_files++;
        if (stx.stx_nlink == 1)
                removal->figures->bytes += stx.stx_blocks * 512;
        return 0;
}

static int remove_entry(TreeRemoval *removal, const char *name, bool directory) {
        unsigned n_permits = 0;
        int r = 0;

        for (unsigned i = 0; i < SWAPS_MAX; i++) {
                int fd = current_level(removal)->reader.fd;

                r = directory ? removal_enter(removal, name) : unlink_entry(removal, name);
                if (r == 0 || r == -ENOENT)
                        return 0;
                if (directory && (r == -ENOTDIR || r == -ELOOP))
                        directory = false;
                else if (!directory && r == -EISDIR)
                        directory = true;
                else if (r == -EACCES &&
                         n_permits++ < 2) { /* first the entry's, then the level's */
                        if ((!directory || dir_permit(fd, name) < 0) && !permit_level(removal))
                                break;
                } else
                        break;
        }
        return report_remains(removal, name, r);
}

/* Whether the current generation handles an entry of the top. */
static bool in_generation(const TreeRemoval *removal, const char *name) {
        size_t n = strlen(removal->prefix);
        bool raised = strncmp(name, removal->prefix, n) == 0;

        if (removal->generation == 0)
                return !raised;
        return raised && strtoul(name + n, NULL, 10) + 1 == removal->generation;
}

static int begin_generations(TreeRemoval *removal) {
        int r;

        removal->generation = 0;
        removal->n_raised = 0;
        r = random_hex(8, removal->prefix);
        return r < 0 ? r : (strcat(removal->prefix, "."), 0);
}

/* At the end of the top: 1 if there is another generation. */
static int next_generation(TreeRemoval *removal) {
        if (removal->n_raised == 0)
                return 0;
        removal->n_raised = 0;
        removal->generation++;
        return dir_seek(&removal->levels[1].reader, 0) < 0 ? -errno : 1;
}

/* Reads the current level again, since another user wrote to it. */
static int read_again(TreeRemoval *removal) {
        Level *level = current_level(removal);

        level->n_readings++;
        if (removal->n_levels == 2) {
                int r = begin_generations(removal);

                if (r < 0)
                        return r;
        }
        return dir_seek(&level->reader, 0);
}

static void count_directory(TreeRemoval *removal, const Level *level) {
        removal->figures->n_directories++;
        removal->figures->bytes += level->blocks * 512;
}

/* Removes the current level if it seems to be read to its end, which saves a getdents64(2). */
static bool leave_early(TreeRemoval *removal) {
        Level *level = current_level(removal);

        if (level->remains || !dir_seems_read(&level->reader) ||
            unlinkat(level[-1].reader.fd, level->name, AT_REMOVEDIR) < 0)
                return false;
        count_directory(removal, level);
        dir_close(&level->reader);
        removal->n_levels--;
        return true;
}

/* Removes the current level, which was read to its end, and goes up. */
static int removal_leave(TreeRemoval *removal) {
        Level *level = current_level(removal), *above = level - 1;
        bool permitted = false;
        int r;

        if (level->remains) {
                dir_close(&level->reader);
                removal->n_levels--;
                above->remains = true;
                return 0;
        }
        for (;;) {
                r = unlinkat(above->reader.fd, level->name, AT_REMOVEDIR) < 0 ? -errno : 0;
                if ((r == -ENOTEMPTY || r == -EEXIST) && level->n_readings + 1 < READINGS_MAX)
                        return read_again(removal);
                if (r != -EACCES || permitted)
                        break;
                permitted = true;
                removal->n_levels--;
                permit_level(removal);
                removal->n_levels++;
        }
        dir_close(&level->reader);
        removal->n_levels--;
        if (r == 0) {
                count_directory(removal, level);
                return 0;
        }
        if (r == -ENOENT) /* another user moved it away, empty */
                return 0;
        if (r == -ENOTDIR && removal->n_levels > 1)
                return remove_entry(removal, level->name, false);
        return report_remains(removal, level->name, r);
}

/* Goes up from a level that cannot be read. */
static int give_up(TreeRemoval *removal, int error) {
        Level *level = current_level(removal);

        dir_close(&level->reader);
        removal->n_levels--;
        return report_remains(removal, level->name, error);
}

static int remove_levels(TreeRemoval *removal) {
        while (removal->n_levels > 1) {
                const struct dirent64 *entry;
                int r;

                if (leave_early(removal))
                        continue;
                r = dir_next(&current_level(removal)->reader, &entry);
                if (r == 1) {
                        if (removal->n_levels == 2 && !in_generation(removal, entry->d_name))
                                continue;
                        r = removal->hooks->step ? removal->hooks->step(removal->hooks->userdata,
                                                                        removal->figures)
                                                 : 0;
                        if (r == 0)
                                r = remove_entry(removal, entry->d_name, entry->d_type == DT_DIR);
                } else if (r == 0) {
                        r = removal->n_levels == 2 ? next_generation(removal) : 0;
                        if (r == 0)
                                r = removal_leave(removal);
                } else
                        r = give_up(removal, r);
                if (r < 0)
                        return r;
        }
        return removal->levels[0].remains ? -ENOTEMPTY : 0;
}

static int open_top(TreeRemoval *removal, int parent_fd, const char *name, uint64_t dev,
                    uint64_t ino) {
        struct statx stx;
        struct stat st;
        int fd, r;

        r = entry_stat(parent_fd, name, &stx);
        if (r < 0)
                return r;
        if (!entry_is_directory(&stx, dev, ino))
                return -ESTALE;
        fd = dir_open(parent_fd, name, dev, &st);
        if (fd == -EACCES && dir_permit(parent_fd, name) == 0)
                fd = dir_open(parent_fd, name, dev, &st);
        if (fd == -ENOTDIR || fd == -ELOOP)
                return -ESTALE;
        if (fd < 0)
                return fd;
        if (st.st_ino != ino) {
                close(fd);
                return -ESTALE;
        }
        return removal_push(removal, fd, name, &st);
}

int tree_remove(int parent_fd, const char *name, uint64_t dev, uint64_t ino,
                const RemovalHooks *hooks, RemovalFigures *figures) {
        cleanup(tree_removal_done) TreeRemoval removal = {
                .n_levels = 1,
                .dev = dev,
                .hooks = hooks,
                .figures = figures,
        };
        int r;

        for (size_t i = 0; i < LEVELS_MAX; i++)
                removal.levels[i].reader = (DirReader){ .fd = -EBADF, .by_inode = true };
        removal.levels[0].reader.fd = parent_fd;
        r = begin_generations(&removal);
        if (r == 0)
                r = open_top(&removal, parent_fd, name, dev, ino);
        return r < 0 ? r : remove_levels(&removal);
}

int cache_remove(const AppRoot *root, const Strv *names, const char *path, uint64_t dev,
                 uint64_t ino, const RemovalHooks *hooks, RemovalFigures *figures) {
        cleanup_close int fd = cache_open_holder(root, names, path);

        return fd < 0 ? fd : tree_remove(fd, path_name(path), dev, ino, hooks, figures);
}
