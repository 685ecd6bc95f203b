/* SPDX-License-Identifier: MIT */

/*
 * A grant must not open more than a rename needs. "/", all homes together, and the directories that
 * the system keeps its own files in are never granted for the sake of a trash: caches are then
 * removed in their place.
 */

#include "apps/sandbox.h"

#include <assert.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "apps/dir.h"
#include "apps/find.h"
#include "apps/trash.h"
#include "base/path.h"
#include "base/text.h"

/* Directories of a cache below this depth are taken to be like those above them. */
#define DEPTH_MAX 64

/* A path that may not exist to its end. */
typedef struct PathState {
        AppRoot at; /* its last directory that exists, O_PATH; inode 0 unless that is the whole path */
        bool there; /* it is the whole path */
        char *path; /* absolute, without symlinks where it exists */
        char error[128];
} PathState;

#define PATH_STATE_NULL ((PathState){ .at = APP_ROOT_NULL })

static void path_state_donep(PathState *place) {
        app_close(&place->at);
        free(place->path);
}

/* The owner of a directory may rename it before dir_path() asks for its path. */
static int check_moved(const char *path, const struct stat *st, const char *existing,
                       Diag *reterr_diag) {
        cleanup_close int fd = trusted_open(existing, NULL, NULL, NULL);
        struct stat again;

        if (fd == -ENOMEM)
                return fd;
        if (fd < 0 || fstat(fd, &again) < 0 || !same_inode(&again, st))
                return diag_set(reterr_diag, -ESTALE, "%s: it is moved about", path);
        return 0;
}

/* Shortens `path` until a directory of that path exists. */
static int open_existing(char *path, PathState *place) {
        for (;;) {
                char *slash = strrchr(path, '/');

                place->at.fd = trusted_open(*path ? path : "/", NULL, NULL, NULL);
                if (place->at.fd >= 0)
                        return 0;
                if (!*place->error)
                        snprintf(place->error, sizeof(place->error), "%s",
                                 error_text(place->at.fd));
                if (place->at.fd == -ENOMEM || !*path)
                        return place->at.fd;
                if (!slash)
                        return -EINVAL;
                *slash = '\0';
        }
}

static int path_state_open(const char *path, PathState *ret, Diag *reterr_diag) {
        cleanup_free char *copy = strdup(path), *existing = NULL;
        struct stat st;
        int r;

        if (!copy)
                return -ENOMEM;
        r = open_existing(copy, ret);
        if (r == 0)
                r = fstat(ret->at.fd, &st) < 0 ? -errno : dir_path(ret->at.fd, &existing);
        if (r != 0)
                return diag_set(reterr_diag, r, "%s: %s", path, error_text(r));
        assert(existing);
        r = path_printable(existing, reterr_diag);
        if (r == 0)
                r = path_printable(path, reterr_diag);
        if (r == 0)
                r = check_moved(path, &st, existing, reterr_diag);
        if (r < 0)
                return r;
        ret->there = strlen(copy) == strlen(path);
        ret->at.dev = st.st_dev;
        ret->at.ino = ret->there ? st.st_ino : 0;
        ret->path = text_format("%s%s",
                                strcmp(existing, "/") == 0 && path[strlen(copy)] ? "" : existing,
                                path + strlen(copy));
        return ret->path ? 0 : -ENOMEM;
}

static int set_path(SandboxGrants *grants, const char *path) {
        grants->path = strdup(path);
        return grants->path ? 0 : -ENOMEM;
}

/* Grants the root alone. */
static int grant_root(SandboxGrants *grants, const PathState *root, const char *why) {
        cleanup_free char *note =
                text_format("no trash, so that caches are removed where they lie: %s", why);
        int r = note ? strv_add(&grants->notes, note) : -ENOMEM;

        return r < 0 ? r : set_path(grants, root->path);
}

/* The directories `outside` without symlinks. */
static int resolve_outside(const Strv *outside, Strv *ret, Diag *reterr_diag) {
        int r = 0;

        for (size_t i = 0; outside && i < outside->n && r >= 0; i++) {
                cleanup(path_state_done) PathState place = PATH_STATE_NULL;

                r = path_state_open(outside->v[i], &place, reterr_diag);
                if (r >= 0)
                        r = strv_add(ret, place.path);
        }
        return r;
}

/* Whether a directory may be granted for a trash in it: 0, or an error with the reason. */
static int check_directory(const char *path, const PathState *root, const Strv *outside,
                           const ServiceUser *user, Diag *diag) {
        int r = trash_directory_check(path, &root->at, user->uid, diag);

        if (r < 0)
                return r;
        if (sysdir_path_is(path, SYSDIR_CLOSED))
                return diag_set(diag, -EPERM, "one beside them would take all of %s", path);
        for (size_t i = 0; i < outside->n; i++)
                if (path_within(path, outside->v[i]))
                        return diag_set(diag, -EINVAL, "a build would find one in %s", path);
        return 0;
}

/* Grants the lowest directory that is possible: in the sandbox it is a mount, and so the topmost
 * directory that trash_choose() can take. */
static int choose_auto(SandboxGrants *grants, const PathState *root, const Strv *outside,
                       const ServiceUser *user, Diag *reterr_diag) {
        cleanup(strv_done) Strv resolved = STRV_NULL;
        cleanup_free char *path = strdup(root->path);
        Diag why = DIAG_NULL;
        const char *hidden;
        char *slash;
        int r;

        if (!path)
                return -ENOMEM;
        if (sysdir_hidden(path, &hidden) != HIDDEN_NOT) {
                diag_format(&why, "one beside them would take all of %s", hidden);
                return grant_root(grants, root, why.text);
        }
        r = resolve_outside(outside, &resolved, reterr_diag);
        if (r < 0)
                return r;
        while ((slash = strrchr(path, '/')) > path) {
                Diag diag = DIAG_NULL;

                *slash = '\0';
                r = check_directory(path, root, &resolved, user, &diag);
                if (r == 0)
                        return set_path(grants, path);
                if (r == -ENOMEM)
                        return r;
                if (r != -EXDEV && !*why.text)
                        why = diag;
        }
        if (!*why.text)
                diag_format(&why, "nothing but / is above them on their mount");
        return grant_root(grants, root, why.text);
}

/* The lowest directory that holds both, or "/". */
static char *common_directory(const char *a, const char *b) {
        char *common = strdup(a);

        while (common && !path_within(b, common)) {
                char *slash = strrchr(common, '/');

                slash[slash == common] = '\0';
        }
        return common;
}

/* Grants a directory that holds the root and the configured trash. */
static int choose_configured(SandboxGrants *grants, const PathState *root, const char *trash,
                             const ServiceUser *user, Diag *reterr_diag) {
        cleanup_free char *directory = strndup(trash, (size_t)(path_name(trash) - 1 - trash));
        cleanup_free char *common = NULL;
        cleanup(path_state_done) PathState parent = PATH_STATE_NULL;
        Diag why = DIAG_NULL;
        int r;

        if (!directory)
                return -ENOMEM;
        r = path_state_open(directory, &parent, reterr_diag);
        if (r < 0)
                return r;
        assert(parent.path);
        if (parent.there)
                r = trash_owner_check(parent.at.fd, directory, user->uid, &why);
        if (r == 0)
                r = trash_mount_check(parent.at.fd, trash, &root->at, &why);
        if (r == -ENOMEM)
                return r;
        if (r < 0 && r != -EXDEV)
                return grant_root(grants, root, diag_text(&why, r));

        common = common_directory(root->path, parent.path);
        if (!common)
                return -ENOMEM;
        if (r == 0 && (strcmp(common, "/") == 0 || sysdir_path_is(common, SYSDIR_CLOSED)))
                r = diag_set(&why, -EPERM, "only %s holds them and %s", common, trash);
        if (r == 0)
                return set_path(grants, common);
        grants->other = text_format("%s/%s", parent.path[1] ? parent.path : "", path_name(trash));
        return grants->other ? grant_root(grants, root, why.text) : -ENOMEM;
}

/* What the user may do, checked with the user's rights. */

typedef struct Rights {
        const PathState *root;
        const Strv *caches;
        const char *trash; /* configured, or NULL */
        const SandboxGrants *grants;
        AppRoot opened;
        char lacks[1024]; /* a path that the user may not write to */
        bool has_trash; /* there is a trash that it may use, it may make one, or none is possible */
} Rights;

static void set_lacks(Rights *rights, const char *path) {
        cleanup_free char *text = path_text(path);

        if (!*rights->lacks)
                snprintf(rights->lacks, sizeof(rights->lacks), "%s%s%s", rights->root->path,
                         *path ? "/" : "", text ?: "");
}

static bool may_write(int fd) {
        return faccessat(fd, ".", R_OK | W_OK | X_OK, AT_EACCESS) == 0 || errno != EACCES;
}

/* Whether the user may write to each directory of a cache. */
static bool may_empty(int parent_fd, const char *name, uint64_t dev, unsigned depth) {
        DirReader reader = DIR_READER_NULL;
        const struct dirent64 *entry;
        struct stat st;
        bool may;

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

static int on_cache(void *userdata, const Cache *cache) {
        Rights *rights = userdata;
        cleanup_close int fd = -EBADF;

        if (cache->kind == CACHE_UNSEARCHED && cache->error == -EACCES)
                set_lacks(rights, cache->path);
        if (cache->kind != CACHE_DIRECTORY)
                return 0;
        fd = cache_open_parent(&rights->opened, cache->path);
        if (fd >= 0 &&
            (!may_write(fd) || !may_empty(fd, path_name(cache->path), rights->opened.dev, 0)))
                set_lacks(rights, cache->path);
        return *rights->lacks ? -ECANCELED : 0;
}

static void check_root_rights(Rights *rights) {
        const CacheHooks hooks = { .found = on_cache, .userdata = rights };
        const PathState *root = rights->root;
        /* In the sandbox the way to a hidden path is the sandbox's own, and open. */
        bool hidden = sysdir_hidden(root->path, NULL) != HIDDEN_NOT;
        cleanup_close int way_fd = trusted_open(root->path, NULL, NULL, NULL), fd = -EBADF;
        int r;

        if (way_fd >= 0 || hidden)
                fd = openat(root->at.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        rights->opened = (AppRoot){ .fd = fd, .dev = root->at.dev, .ino = root->at.ino };
        r = fd < 0 || !may_write(fd) ? -EACCES
                                     : cache_find(&rights->opened, rights->caches, &hooks);
        if (r < 0 && r != -ECANCELED)
                set_lacks(rights, "");
}

static bool check_trash_rights(const Rights *rights) {
        const char *trash = rights->trash;
        cleanup_free char *directory =
                trash ? strndup(trash, MAX((size_t)(path_name(trash) - 1 - trash), (size_t)1))
                      : strdup(rights->grants->path); /* nothing below it could hold a trash */
        cleanup_close int parent_fd = -EBADF, fd = -EBADF;
        struct stat st;

        if (!directory)
                return false;
        parent_fd = trusted_open(directory, NULL, NULL, NULL);
        if (parent_fd < 0)
                return false;
        fd = openat(parent_fd, trash ? path_name(trash) : TRASH_NAME,
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0)
                return fstat(fd, &st) == 0 && (st.st_mode & 0777) == 0700 && may_write(fd);
        return errno == ENOENT && faccessat(parent_fd, ".", W_OK | X_OK, AT_EACCESS) == 0;
}

/* Checks with the rights of the user and takes the process's own back; the kernel applies the rules. */
static int check_rights(Rights *rights, const ServiceUser *user) {
        const uid_t uid = geteuid();
        const gid_t gid = getegid();
        int n = getgroups(0, NULL), r = 0;
        cleanup_free gid_t *groups = calloc((size_t)MAX(n, 0) + 1, sizeof(*groups));

        if (!groups)
                return -ENOMEM;
        n = getgroups(n, groups);
        if (n < 0 || setgroups(user->n_groups, user->groups) < 0)
                return -errno;
        if (setegid(user->gid) < 0 || seteuid(user->uid) < 0)
                r = -errno;
        else {
                check_root_rights(rights);
                rights->has_trash = strcmp(rights->grants->path, rights->root->path) == 0 ||
                                    check_trash_rights(rights);
        }
        if (seteuid(uid) < 0 || setegid(gid) < 0 || setgroups((size_t)n, groups) < 0)
                abort();
        return r;
}

/* Finds out whether the user needs the capability, or a trash made for it. */
static int grant_rights(SandboxGrants *grants, const PathState *root, const Strv *caches,
                        const char *trash, const ServiceUser *user, Diag *reterr_diag) {
        Rights rights = { .root = root, .caches = caches, .trash = trash, .grants = grants };
        int r;

        if (!user->known)
                grants->capability = text_format("there is no user %s yet; print this again when "
                                                 "there is",
                                                 user->name);
        else if (!root->there)
                grants->capability =
                        text_format("%s is not there yet; print this again when it is", root->path);
        if (!user->known || !root->there)
                return grants->capability ? 0 : -ENOMEM;
        r = check_rights(&rights, user);
        if (r < 0)
                return diag_set(reterr_diag, r, "cannot see what %s may write: %s", user->name,
                                error_text(r));
        if (*rights.lacks) {
                grants->capability = text_format("%s may not write %s", user->name, rights.lacks);
                return grants->capability ? 0 : -ENOMEM;
        }
        if (rights.has_trash)
                return 0;
        grants->make_trash = trash ? strdup(trash) : text_format("%s/%s", grants->path, TRASH_NAME);
        return grants->make_trash ? 0 : -ENOMEM;
}

/* Notes that a root is missing or mounted read-only. */
static int note_state(SandboxGrants *grants, const char *path, const PathState *root) {
        cleanup_free char *note = NULL;
        struct statvfs vfs;

        if (root->there && (fstatvfs(root->at.fd, &vfs) < 0 || !(vfs.f_flag & ST_RDONLY)))
                return 0;
        note = root->there ? text_format("%s is mounted read-only on the host, too: nothing here "
                                         "changes that",
                                         path)
                           : text_format("%s: %s", path, root->error);
        return note ? strv_add(&grants->notes, note) : -ENOMEM;
}

int sandbox_grants(const char *path, const Strv *caches, const char *trash, const Strv *outside,
                   const ServiceUser *user, SandboxGrants *ret, Diag *reterr_diag) {
        cleanup(sandbox_grants_done) SandboxGrants grants = { 0 };
        cleanup(path_state_done) PathState root = PATH_STATE_NULL;
        int r;

        r = path_state_open(path, &root, reterr_diag);
        if (r < 0)
                return r;
        r = note_state(&grants, path, &root);
        if (r >= 0)
                r = trash ? choose_configured(&grants, &root, trash, user, reterr_diag)
                          : choose_auto(&grants, &root, outside, user, reterr_diag);
        if (r < 0)
                return r;
        grants.hidden = sysdir_hidden(grants.path, NULL);
        r = grant_rights(&grants, &root, caches, trash, user, reterr_diag);
        if (r < 0)
                return r;
        *ret = grants;
        grants = (SandboxGrants){ 0 };
        return 0;
}

void sandbox_grants_done(SandboxGrants *grants) {
        free(grants->path);
        free(grants->other);
        free(grants->capability);
        free(grants->make_trash);
        strv_done(&grants->notes);
        *grants = (SandboxGrants){ 0 };
}
