/* SPDX-License-Identifier: MIT */

/*
 * Out of the way by a rename. The parent is held by a descriptor, but the entry may be swapped up to
 * the very rename; rename(2) follows no link, so what is moved at worst is something else of that
 * name, out of that directory. What was moved is looked at in the trash, where nobody else can swap
 * it any more, and goes back where it came from unless it is what was found.
 */

#include "apps/sweep.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "apps/dir.h"
#include "base/path.h"

int trash_trusted(int fd, const char *path, uid_t uid, Diag *reterr_diag) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if ((st.st_uid != 0 && st.st_uid != uid) || st.st_mode & 022)
                return diag_set(reterr_diag, -EPERM, "users other than root may write to %s", path);
        return 0;
}

/* Whether `fd` is the root or below it. */
static int lies_in(int fd, const AppRoot *root) {
        cleanup_close int at_fd = openat(fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

        for (uint64_t dev = 0, ino = 0;;) {
                struct stat st;
                int parent_fd;

                if (at_fd < 0 || fstat(at_fd, &st) < 0)
                        return -errno;
                if (st.st_dev == root->dev && st.st_ino == root->ino)
                        return 1;
                if (st.st_dev == dev && st.st_ino == ino) /* ".." of "/" is itself */
                        return 0;
                dev = st.st_dev;
                ino = st.st_ino;
                parent_fd = openat(at_fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
                cleanup_closep(&at_fd);
                at_fd = parent_fd;
        }
}

int trash_check(int fd, const char *path, const AppRoot *root, Diag *reterr_diag) {
        uint64_t mount = 0, root_mount = 0;
        struct stat st = { 0 };
        int r;

        r = lies_in(fd, root);
        if (r > 0)
                return diag_set(reterr_diag, -EINVAL,
                                "%s lies in the application, where a build would find it", path);
        if (r == 0)
                r = mount_id(fd, &mount);
        if (r == 0)
                r = mount_id(root->fd, &root_mount);
        if (r == 0 && fstat(fd, &st) < 0)
                r = -errno;
        if (r < 0)
                return diag_set(reterr_diag, r, "%s: %s", path, error_text(r));
        if (mount != root_mount || st.st_dev != root->dev) /* the latter: a subvolume */
                return diag_set(reterr_diag, -EXDEV, "%s is on another mount than the application",
                                path);
        return 0;
}

/* Roots and contexts of others: a trash in one of them would be found by a build, or be in the way. */
static int check_outside(int fd, const char *path, const Strv *outside, Diag *reterr_diag) {
        for (size_t i = 0; outside && i < outside->n; i++) {
                cleanup_close int other_fd = trusted_open(outside->v[i], NULL, NULL, NULL);
                AppRoot other = APP_ROOT_NULL;
                struct stat st;
                int r;

                if (other_fd == -ENOMEM)
                        return other_fd;
                if (other_fd < 0) /* what is not there holds nothing */
                        continue;
                if (fstat(other_fd, &st) < 0)
                        return -errno;
                other.dev = st.st_dev;
                other.ino = st.st_ino;
                r = lies_in(fd, &other);
                if (r != 0)
                        return diag_set(reterr_diag, r > 0 ? -EINVAL : r,
                                        "%s lies in %s, where a build would find it", path,
                                        outside->v[i]);
        }
        return 0;
}

static int open_made(int parent_fd, const char *path, const AppRoot *root, const Strv *outside,
                     int *ret_fd, Diag *reterr_diag) {
        cleanup_close int fd =
                openat(parent_fd, path_name(path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        struct stat st;
        int r;

        if (fd < 0 || fstat(fd, &st) < 0)
                return diag_set(reterr_diag, -errno, "%s: %s", path, error_text(errno));
        if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 0777) != 0700)
                return diag_set(reterr_diag, -EPERM, "users other than root may enter %s", path);
        r = check_outside(fd, path, outside, reterr_diag);
        if (r >= 0 && root)
                r = trash_check(fd, path, root, reterr_diag);
        if (r < 0)
                return r;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

int trash_open(const char *path, const AppRoot *root, const Strv *outside, int *ret_fd,
               Diag *reterr_diag) {
        cleanup_close int parent_fd = -EBADF;
        const char *name = path_name(path);
        cleanup_free char *parent = NULL;
        bool made = false;
        struct stat st;
        int r;

        if (*path != '/' || !cache_name_valid(name))
                return diag_set(reterr_diag, -EINVAL, "'%s' is no path for a trash directory",
                                path);
        parent = strndup(path, (size_t)(name - path));
        if (!parent)
                return -ENOMEM;
        parent_fd = trusted_open(parent, NULL, NULL, reterr_diag);
        if (parent_fd < 0)
                return parent_fd;
        r = trash_trusted(parent_fd, parent, geteuid(), reterr_diag);
        if (r < 0)
                return r;

        if (fstatat(parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT) {
                r = check_outside(parent_fd, path, outside, reterr_diag);
                if (r >= 0 && root)
                        r = trash_check(parent_fd, path, root, reterr_diag);
                if (r < 0)
                        return r;
                made = mkdirat(parent_fd, name, 0700) == 0;
                if (!made && errno != EEXIST)
                        return diag_set(reterr_diag, -errno, "cannot make %s: %s", path,
                                        error_text(errno));
        }
        r = open_made(parent_fd, path, root, outside, ret_fd, reterr_diag);
        if (r < 0 && made)
                (void)unlinkat(parent_fd, name, AT_REMOVEDIR); /* in vain */
        return r;
}

static int open_parent(const AppRoot *root, const char *path) {
        const char *name = path_name(path);

        return dir_open_path(root->fd, path, name > path ? (size_t)(name - path - 1) : 0, root->dev,
                             NULL);
}

/* The directory that holds what was found at `path`, which must bear a name. */
static int open_holder(const AppRoot *root, const Strv *names, const char *path) {
        int fd;

        if (!cache_name_valid(path) || !cache_name_matches(names, path, strlen(path)))
                return -EINVAL;
        fd = open_parent(root, path);
        return fd == -ELOOP ? -ENOTDIR : fd;
}

int cache_check(const AppRoot *root, const char *path) {
        cleanup_close int fd = open_parent(root, path);

        if (fd < 0)
                return fd;
        if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
                return -errno;
        /* a directory that gets another parent is written to, as it has ".." in it */
        if (faccessat(fd, path_name(path), W_OK, AT_EACCESS | AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        return 0;
}

static int rename_new(int from_fd, const char *from, int to_fd, const char *to) {
        return renameat2(from_fd, from, to_fd, to, RENAME_NOREPLACE) < 0 ? -errno : 0;
}

static int take(const AppRoot *root, const Strv *names, int trash_fd, const CacheTake *cache) {
        cleanup_close int fd = open_holder(root, names, cache->path);
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

static int random_name(char ret[static TRASH_NAME_MAX]) {
        uint64_t random[2];

        if (getrandom(random, sizeof(random), 0) < 0) /* so few bytes are never cut short */
                return -errno;
        snprintf(ret, TRASH_NAME_MAX, "%016" PRIx64 "%016" PRIx64, random[0], random[1]);
        return 0;
}

int cache_take(const AppRoot *root, const Strv *names, int trash_fd, CacheTake *takes, size_t n,
               int (*store)(void *userdata, const CacheTake *takes, size_t n), void *userdata) {
        int r;

        for (size_t i = 0; i < n; i++) {
                r = random_name(takes[i].name);
                if (r < 0)
                        return r;
        }
        r = store(userdata, takes, n);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++)
                takes[i].result = take(root, names, trash_fd, &takes[i]);
        return 0;
}

int trash_remove(int trash_fd, const char *name, uint64_t dev, uint64_t ino,
                 const SweepHooks *hooks, SweepFigures *figures) {
        if (strlen(name) != TRASH_NAME_MAX - 1 || strspn(name, "0123456789abcdef") != strlen(name))
                return -EINVAL;
        return tree_remove(trash_fd, name, dev, ino, hooks, figures);
}

int cache_remove(const AppRoot *root, const Strv *names, const char *path, uint64_t dev,
                 uint64_t ino, const SweepHooks *hooks, SweepFigures *figures) {
        cleanup_close int fd = open_holder(root, names, path);

        return fd < 0 ? fd : tree_remove(fd, path_name(path), dev, ino, hooks, figures);
}
