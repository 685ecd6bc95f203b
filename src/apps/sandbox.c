/* SPDX-License-Identifier: MIT */

/*
 * The trap is a path that grants more than a rename needs. "/", all homes and what the system keeps its
 * own files in are never opened for a trash's sake: caches are removed where they lie then.
 */

#include "apps/sandbox.h"

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "apps/dir.h"
#include "apps/find.h"
#include "apps/trash.h"
#include "base/path.h"
#include "base/text.h"

/* Deeper directories of a cache are taken to be as those above them. */
#define DEPTH_MAX 64

/* A path as far as it is there. */
typedef struct Place {
        AppRoot at; /* the last directory of it, O_PATH; its inode is 0 where that is not the whole */
        bool there;
        char *path; /* without symlinks, as far as it is there; "" is the root */
        char error[128];
} Place;

#define PLACE_NULL ((Place){ .at = APP_ROOT_NULL })

static void place_donep(Place *place) {
        app_close(&place->at);
        free(place->path);
}

static const char *place_path(const Place *place) {
        return place->path && *place->path ? place->path : "/";
}

/* Who owns a directory may rename it before the kernel is asked for its name. */
static int check_path(const char *path, const struct stat *st, const char *existing,
                      Diag *reterr_diag) {
        cleanup_close int fd = trusted_open(existing, NULL, NULL, NULL);
        struct stat again;

        if (fd == -ENOMEM)
                return fd;
        if (fd < 0 || fstat(fd, &again) < 0 || !same_inode(&again, st))
                return diag_set(reterr_diag, -ESTALE, "%s: it is moved about", path);
        return 0;
}

static int place_open(const char *path, Place *ret, Diag *reterr_diag) {
        cleanup_free char *copy = strdup(path), *existing = NULL;
        struct stat st;
        int r;

        if (!copy)
                return -ENOMEM;
        for (;;) {
                char *slash;

                ret->at.fd = trusted_open(*copy ? copy : "/", NULL, NULL, NULL);
                if (ret->at.fd >= 0)
                        break;
                if (ret->at.fd == -ENOMEM || !*copy)
                        return diag_set(reterr_diag, ret->at.fd, "%s: %s", path,
                                        error_text(ret->at.fd));
                if (!*ret->error)
                        snprintf(ret->error, sizeof(ret->error), "%s", error_text(ret->at.fd));
                slash = strrchr(copy, '/');
                if (!slash)
                        return diag_set(reterr_diag, -EINVAL, "%s: %s", path, error_text(EINVAL));
                *slash = '\0';
        }
        if (fstat(ret->at.fd, &st) < 0)
                return diag_set(reterr_diag, -errno, "%s: %s", path, error_text(errno));
        r = dir_path(ret->at.fd, &existing);
        if (r < 0)
                return diag_set(reterr_diag, r, "%s: %s", path, error_text(r));
        r = path_printable(existing, reterr_diag);
        if (r == 0)
                r = path_printable(path, reterr_diag);
        if (r == 0)
                r = check_path(path, &st, existing, reterr_diag);
        if (r < 0)
                return r;
        ret->there = strlen(copy) == strlen(path);
        ret->at.dev = st.st_dev;
        ret->at.ino = ret->there ? st.st_ino : 0;
        ret->path = text_format("%s%s", strcmp(existing, "/") == 0 ? "" : existing,
                                path + strlen(copy));
        return ret->path ? 0 : -ENOMEM;
}

static int note(SandboxGrants *need, char *text) {
        cleanup_free char *owned = text;

        return owned ? strv_add(&need->notes, owned) : -ENOMEM;
}

static int set_path(SandboxGrants *need, const char *path) {
        need->path = strdup(path);
        return need->path ? 0 : -ENOMEM;
}

/* The lowest directory above both, or "/". */
static char *common_directory(const char *a, const char *b) {
        char *common = strdup(a);

        while (common && !path_within(b, common)) {
                char *slash = strrchr(common, '/');

                if (slash == common)
                        slash++;
                *slash = '\0';
        }
        return common;
}

static int in_place(SandboxGrants *need, const Place *root, const char *why) {
        int r;

        r = note(need, text_format("no trash, so that caches are removed where they lie: %s", why));
        return r < 0 ? r : set_path(need, root->path);
}

/* Whether it lies in one of them. */
static int find_outside(const char *path, const Strv *outside, bool *ret, Diag *reterr_diag) {
        *ret = false;
        for (size_t i = 0; outside && i < outside->n; i++) {
                cleanup(place_done) Place place = PLACE_NULL;
                int r;

                r = place_open(outside->v[i], &place, reterr_diag);
                if (r < 0)
                        return r;
                *ret |= path_within(path, place_path(&place));
        }
        return 0;
}

/* The lowest that can be: it is a mount there, and the topmost directory on it. */
static int choose_auto(SandboxGrants *need, const Place *root, const Strv *outside,
                       const ServiceUser *user, Diag *reterr_diag) {
        cleanup_free char *path = NULL;
        Diag why = DIAG_NULL;
        const char *place;
        char *slash;

        if (sysdir_hidden(root->path, &place) != HIDDEN_NOT) {
                diag_format(&why, "one beside them would take all of %s", place);
                return in_place(need, root, why.text);
        }
        path = strdup(root->path);
        if (!path)
                return -ENOMEM;
        while ((slash = strrchr(path, '/')) > path) {
                Diag diag = DIAG_NULL;
                bool in_build = false;
                int r;

                *slash = '\0';
                r = trash_place(path, &root->at, user->uid, &diag);
                if (r == 0 && sysdir_path_is(path, SYSDIR_CLOSED))
                        r = diag_set(&diag, -EPERM, "one beside them would take all of %s", path);
                if (r == 0) {
                        r = find_outside(path, outside, &in_build, reterr_diag);
                        if (r < 0)
                                return r;
                        if (!in_build)
                                return set_path(need, path);
                        r = diag_set(&diag, -EINVAL, "a build would find one in %s", path);
                }
                if (r == -ENOMEM)
                        return r;
                if (r != -EXDEV && !*why.text)
                        why = diag;
        }
        if (!*why.text)
                diag_format(&why, "nothing but / is above them on their mount");
        return in_place(need, root, why.text);
}

static int choose_configured(SandboxGrants *need, const Place *root, const char *trash,
                             const ServiceUser *user, Diag *reterr_diag) {
        cleanup_free char *directory = strndup(trash, (size_t)(strrchr(trash, '/') - trash));
        cleanup_free char *common = NULL;
        cleanup(place_done) Place parent = PLACE_NULL;
        const char *at;
        Diag diag = DIAG_NULL;
        int r;

        if (!directory)
                return -ENOMEM;
        r = place_open(directory, &parent, reterr_diag);
        if (r < 0)
                return r;
        if (parent.there)
                r = trash_trusted(parent.at.fd, directory, user->uid, &diag);
        if (r == 0)
                r = trash_check(parent.at.fd, trash, &root->at, &diag);
        if (r < 0 && r != -EXDEV)
                return r == -ENOMEM ? r : in_place(need, root, diag_text(&diag, r));

        at = place_path(&parent);
        common = common_directory(root->path, at);
        if (!common)
                return -ENOMEM;
        if (r == 0 && (strcmp(common, "/") == 0 || sysdir_path_is(common, SYSDIR_CLOSED)))
                diag_format(&diag, "only %s holds them and %s", common, trash);
        if (*diag.text) {
                need->other = text_format("%s/%s", at[1] ? at : "", path_name(trash));
                return need->other ? in_place(need, root, diag.text) : -ENOMEM;
        }
        return set_path(need, common);
}

/* What the user may. */

typedef struct Rights {
        int error;
        bool trash;       /* has one, may make it, or none can be had */
        char lacks[1024]; /* a path that it may not write */
} Rights;

typedef struct Check {
        const AppRoot *root;
        const char *path; /* of it */
        Rights *rights;
} Check;

static void lacks(Rights *rights, const char *directory, const char *path) {
        cleanup_free char *text = path_text(path);

        if (!*rights->lacks)
                snprintf(rights->lacks, sizeof(rights->lacks), "%s%s%s", directory,
                         path[0] ? "/" : "", text ?: "");
}

static bool may_write(int fd) {
        return faccessat(fd, ".", R_OK | W_OK | X_OK, AT_EACCESS) == 0 || errno != EACCES;
}

/* Whether all directories in it can be emptied. */
static bool may_empty(int parent_fd, const char *name, uint64_t dev, unsigned depth) {
        DirReader reader = DIR_READER_NULL;
        const struct dirent64 *entry;
        struct stat st;
        bool may = true;

        reader.fd = dir_open(parent_fd, name, dev, &st);
        if (reader.fd < 0)
                return reader.fd != -EACCES;
        may = may_write(reader.fd);
        while (may && depth < DEPTH_MAX && dir_next(&reader, &entry) > 0)
                if (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN)
                        may = may_empty(reader.fd, entry->d_name, dev, depth + 1);
        dir_done(&reader);
        return may;
}

static int on_found(void *userdata, const Cache *cache) {
        Check *check = userdata;
        const char *name = path_name(cache->path);
        cleanup_close int fd = -EBADF;

        if (cache->kind == CACHE_UNSEARCHED && cache->error == -EACCES)
                lacks(check->rights, check->path, cache->path);
        if (cache->kind != CACHE_DIRECTORY)
                return 0;
        fd = dir_open_path(check->root->fd, cache->path,
                           name > cache->path ? (size_t)(name - cache->path - 1) : 0,
                           check->root->dev, NULL);
        if (fd < 0)
                return 0;
        if (!may_write(fd) || !may_empty(fd, name, check->root->dev, 0))
                lacks(check->rights, check->path, cache->path);
        return *check->rights->lacks ? -ECANCELED : 0;
}

static void check_root(const Place *root, const Strv *caches, Rights *rights) {
        cleanup(app_close) AppRoot opened = APP_ROOT_NULL;
        Check check = { .root = &opened, .path = root->path, .rights = rights };
        CacheHooks hooks = { .found = on_found, .userdata = &check };
        int r = 0;

        /* The way to what is hidden is the sandbox's own, and open. */
        if (sysdir_hidden(root->path, NULL) == HIDDEN_NOT) {
                cleanup_close int fd = trusted_open(root->path, NULL, NULL, NULL);

                r = fd;
        }
        opened = (AppRoot){ .dev = root->at.dev, .ino = root->at.ino };
        opened.fd = r < 0 ? r : openat(root->at.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (opened.fd < 0 || !may_write(opened.fd)) {
                lacks(rights, root->path, "");
                return;
        }
        r = cache_find(&opened, caches, &hooks);
        if (r < 0 && r != -ECANCELED)
                lacks(rights, root->path, "");
}

/* Whether a trash is there that it may use, or may be made. */
static bool usable(const char *directory, const char *name) {
        cleanup_close int parent_fd = trusted_open(directory, NULL, NULL, NULL), fd = -EBADF;
        struct stat st;

        if (parent_fd < 0)
                return false;
        fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0)
                return fstat(fd, &st) == 0 && (st.st_mode & 0777) == 0700 && may_write(fd);
        return errno == ENOENT && faccessat(parent_fd, ".", W_OK | X_OK, AT_EACCESS) == 0;
}

static bool has_trash(const SandboxGrants *need, const char *trash) {
        if (trash) {
                cleanup_free char *path = strdup(trash);
                char *slash;

                if (!path)
                        return false;
                slash = strrchr(path, '/');
                *slash = '\0';
                return usable(*path ? path : "/", slash + 1);
        }
        return usable(need->path, TRASH_NAME); /* nothing below it could hold one */
}

static int become(const ServiceUser *user) {
        return setgroups(user->n_groups, user->groups) < 0 ||
                               setresgid(user->gid, user->gid, user->gid) < 0 ||
                               setresuid(user->uid, user->uid, user->uid) < 0
                       ? -errno
                       : 0;
}

static int read_rights(int fd, Rights *ret) {
        size_t n = 0;

        while (n < sizeof(*ret)) {
                ssize_t k = read(fd, (char *)ret + n, sizeof(*ret) - n);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k <= 0)
                        return k < 0 ? -errno : -ECHILD;
                n += (size_t)k;
        }
        return ret->error;
}

static int ask(const SandboxGrants *need, const Place *root, const Strv *caches, const char *trash,
               const ServiceUser *user, Rights *ret) {
        int fds[2], status, r;
        pid_t pid;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        pid = fork();
        if (pid == 0) {
                Rights rights = { .error = become(user) };

                if (rights.error == 0) {
                        check_root(root, caches, &rights);
                        rights.trash =
                                strcmp(need->path, root->path) == 0 || has_trash(need, trash);
                }
                _exit(write(fds[1], &rights, sizeof(rights)) == sizeof(rights) ? 0 : 1);
        }
        r = pid < 0 ? -errno : 0;
        close(fds[1]);
        if (r == 0)
                r = read_rights(fds[0], ret);
        close(fds[0]);
        while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        return r;
}

static int look_at_rights(SandboxGrants *need, const Place *root, const Strv *caches,
                          const char *trash, const ServiceUser *user, Diag *reterr_diag) {
        Rights rights = { 0 };
        int r;

        if (!user->known || !root->there) {
                need->capability =
                        user->known
                                ? text_format("%s is not there yet; print this again when it is",
                                              root->path)
                                : text_format("there is no user %s yet; print this again when "
                                              "there is",
                                              user->name);
                return need->capability ? 0 : -ENOMEM;
        }
        r = ask(need, root, caches, trash, user, &rights);
        if (r < 0)
                return diag_set(reterr_diag, r, "cannot see what %s may write: %s", user->name,
                                error_text(r));
        if (*rights.lacks) {
                need->capability = text_format("%s may not write %s", user->name, rights.lacks);
                return need->capability ? 0 : -ENOMEM;
        }
        if (rights.trash)
                return 0;
        need->make_trash = trash ? strdup(trash) : text_format("%s/%s", need->path, TRASH_NAME);
        return need->make_trash ? 0 : -ENOMEM;
}

int sandbox_grants(const char *path, const Strv *caches, const char *trash, const Strv *outside,
                   const ServiceUser *user, SandboxGrants *ret, Diag *reterr_diag) {
        cleanup(sandbox_grants_done) SandboxGrants need = { 0 };
        cleanup(place_done) Place root = PLACE_NULL;
        struct statvfs vfs;
        int r;

        r = place_open(path, &root, reterr_diag);
        if (r < 0)
                return r;
        if (!root.there)
                r = note(&need, text_format("%s: %s", path, root.error));
        else if (fstatvfs(root.at.fd, &vfs) == 0 && vfs.f_flag & ST_RDONLY)
                r = note(&need,
                         text_format("%s is mounted read-only on the host, too: nothing here "
                                     "changes that",
                                     path));
        if (r >= 0)
                r = trash ? choose_configured(&need, &root, trash, user, reterr_diag)
                          : choose_auto(&need, &root, outside, user, reterr_diag);
        if (r >= 0)
                need.hidden = sysdir_hidden(need.path, NULL);
        if (r >= 0)
                r = look_at_rights(&need, &root, caches, trash, user, reterr_diag);
        if (r < 0)
                return r;
        *ret = need;
        need = (SandboxGrants){ 0 };
        return 0;
}

void sandbox_grants_done(SandboxGrants *need) {
        free(need->path);
        free(need->other);
        free(need->capability);
        free(need->make_trash);
        strv_done(&need->notes);
        *need = (SandboxGrants){ 0 };
}
