/* SPDX-License-Identifier: MIT */

/*
 * Where nothing is configured: as high above the root as its mount goes, since what is high above is
 * in nobody's build context. Whoever may move a directory could move a trash in it into one, so that
 * below what others may write nothing is trusted; "/" comes last, as the place for it is elsewhere.
 */

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "apps/dir.h"
#include "base/text.h"

int dir_path(int fd, char **ret) {
        char link[64], path[PATH_MAX];
        ssize_t n;

        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = readlink(link, path, sizeof(path));
        if (n < 0)
                return -errno;
        if ((size_t)n == sizeof(path))
                return -ENAMETOOLONG;
        if (n == 0 || *path != '/') /* out of reach from our root directory */
                return -ENOENT;
        *ret = strndup(path, (size_t)n);
        return *ret ? 0 : -ENOMEM;
}

typedef struct Way {
        uid_t uid;
        bool open;    /* others may move what is in the last one */
        bool movable; /* others may move the last one, or what it is in */
} Way;

static void on_directory(void *userdata, const struct stat *st) {
        Way *way = userdata;
        bool ours = st->st_uid == 0 || st->st_uid == way->uid;

        way->movable |= way->open;
        way->open = !ours || (st->st_mode & 022 && !(st->st_mode & S_ISVTX));
}

int trash_place(const char *directory, const AppRoot *root, uid_t uid, Diag *reterr_diag) {
        cleanup(app_close) AppRoot place = APP_ROOT_NULL;
        Way way = { .uid = uid };
        const char *marker;
        int r;

        place.fd = trusted_open(directory, on_directory, &way, reterr_diag);
        if (place.fd < 0)
                return place.fd;
        r = trash_check(place.fd, directory, root, reterr_diag);
        if (r < 0)
                return r;
        if (way.movable)
                return diag_set(reterr_diag, -EPERM, "users other than root may move %s",
                                directory);
        marker = app_marker(&place);
        if (marker)
                return diag_set(reterr_diag, -EPERM, "%s is a project: it has %s", directory,
                                marker);
        return trash_trusted(place.fd, directory, uid, reterr_diag);
}

static int try(const char *directory, const AppRoot *root, const Strv *outside, char **ret_path,
               int *ret_fd, Diag *reterr_diag) {
        cleanup_free char *path = text_format("%s/%s", directory, TRASH_NAME);
        int r;

        if (!path)
                return -ENOMEM;
        r = trash_place(*directory ? directory : "/", root, geteuid(), reterr_diag);
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
                r = try(slash ? path : "", root, outside, ret_path, ret_fd, &diag);
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
