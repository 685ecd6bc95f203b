/* SPDX-License-Identifier: MIT */

/*
 * Without a configured trash the topmost directory on the root's mount is preferred, since no build
 * context contains it. A user who may move a directory could move a trash in it into a build context,
 * so no directory below one that others may write to is trusted. "/" comes last: it is no place for
 * such a directory.
 */

#include "apps/trash.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "apps/dir.h"
#include "apps/find.h"
#include "apps/marker.h"
#include "apps/quarantine.h"
#include "base/path.h"
#include "base/text.h"

int trash_owner_check(int fd, const char *path, uid_t uid, Diag *reterr_diag) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if ((st.st_uid != 0 && st.st_uid != uid) || st.st_mode & 022)
                return diag_set(reterr_diag, -EPERM, "users other than root may write to %s", path);
        return 0;
}

/* Whether `fd` is the root or lies below it: 1, 0, or -errno. */
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

int trash_mount_check(int fd, const char *path, const AppRoot *root, Diag *reterr_diag) {
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

/* Refuses a trash in a root or build context of another application. */
static int check_outside(int fd, const char *path, const Strv *outside, Diag *reterr_diag) {
        for (size_t i = 0; outside && i < outside->n; i++) {
                cleanup_close int other_fd = trusted_open(outside->v[i], NULL, NULL, NULL);
                AppRoot other = APP_ROOT_NULL;
                struct stat st;
                int r;

                if (other_fd == -ENOMEM)
                        return other_fd;
                if (other_fd < 0) /* a directory that does not exist holds nothing */
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
                r = trash_mount_check(fd, path, root, reterr_diag);
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
        r = trash_owner_check(parent_fd, parent, geteuid(), reterr_diag);
        if (r < 0)
                return r;

        if (fstatat(parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT) {
                r = check_outside(parent_fd, path, outside, reterr_diag);
                if (r >= 0 && root)
                        r = trash_mount_check(parent_fd, path, root, reterr_diag);
                if (r < 0)
                        return r;
                made = mkdirat(parent_fd, name, 0700) == 0;
                if (!made && errno != EEXIST)
                        return diag_set(reterr_diag, -errno, "cannot make %s: %s", path,
                                        error_text(errno));
        }
        r = open_made(parent_fd, path, root, outside, ret_fd, reterr_diag);
        if (r < 0 && made)
                unlinkat(parent_fd, name, AT_REMOVEDIR);
        return r;
}

typedef struct Way {
        uid_t uid;
        bool open;    /* others may move entries of the last directory */
        bool movable; /* others may move the last directory or one above it */
} Way;

static void on_trash_directory(void *userdata, const struct stat *st) {
        Way *way = userdata;
        bool ours = st->st_uid == 0 || st->st_uid == way->uid;

        way->movable |= way->open;
        way->open = !ours || (st->st_mode & 022 && !(st->st_mode & S_ISVTX));
}

int trash_directory_check(const char *directory, const AppRoot *root, uid_t uid,
                          Diag *reterr_diag) {
        cleanup(app_close) AppRoot place = APP_ROOT_NULL;
        Way way = { .uid = uid };
        const char *marker;
        int r;

        place.fd = trusted_open(directory, on_trash_directory, &way, reterr_diag);
        if (place.fd < 0)
                return place.fd;
        r = trash_mount_check(place.fd, directory, root, reterr_diag);
        if (r < 0)
                return r;
        if (way.movable)
                return diag_set(reterr_diag, -EPERM, "users other than root may move %s",
                                directory);
        marker = app_marker(&place);
        if (marker)
                return diag_set(reterr_diag, -EPERM, "%s is a project: it has %s", directory,
                                marker);
        return trash_owner_check(place.fd, directory, uid, reterr_diag);
}

static int try_directory(const char *directory, const AppRoot *root, const Strv *outside,
                         char **ret_path, int *ret_fd, Diag *reterr_diag) {
        cleanup_free char *path = text_format("%s/%s", directory, TRASH_NAME);
        int r;

        if (!path)
                return -ENOMEM;
        r = trash_directory_check(*directory ? directory : "/", root, geteuid(), reterr_diag);
        if (r == 0)
                r = trash_open(path, root, outside, ret_fd, reterr_diag);
        if (r == 0)
                *ret_path = TAKE_PTR(path);
        return r;
}

int trash_choose(const AppRoot *root, const char *state_path, const Strv *outside, char **ret_path,
                 int *ret_fd, Diag *reterr_diag) {
        cleanup_free char *copy = NULL, *path = NULL;
        Diag why = DIAG_NULL;
        int r;

        copy = strdup(state_path);
        if (!copy)
                return -ENOMEM;
        r = trash_open(copy, root, outside, ret_fd, NULL);
        if (r == 0)
                *ret_path = TAKE_PTR(copy);
        if (r == 0 || r == -ENOMEM)
                return r;

        r = dir_path(root->fd, &path);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return diag_set(reterr_diag, -ENOTSUP,
                                "where the application lies is not known: %s", error_text(r));
        for (char *slash = path; slash;) {
                Diag diag = DIAG_NULL;

                slash = strchr(slash + 1, '/');
                if (slash)
                        *slash = '\0';
                r = try_directory(slash ? path : "", root, outside, ret_path, ret_fd, &diag);
                if (slash)
                        *slash = '/';
                if (r == 0 || r == -ENOMEM)
                        return r;
                if (r != -EXDEV && !*why.text)
                        diag_set(&why, r, "%s", diag_text(&diag, r));
        }
        return diag_set(reterr_diag, -ENOTSUP, "nothing above %s can hold its trash: %s", path,
                        *why.text ? why.text : "it is a mount of its own");
}

int trash_remove(int trash_fd, const char *name, uint64_t dev, uint64_t ino,
                 const RemovalHooks *hooks, RemovalFigures *figures) {
        if (strlen(name) != TRASH_NAME_MAX - 1 || strspn(name, "0123456789abcdef") != strlen(name))
                return -EINVAL;
        return tree_remove(trash_fd, name, dev, ino, hooks, figures);
}
