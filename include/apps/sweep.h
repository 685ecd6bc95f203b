/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Caches of an application: found below its root, put out of the way by one rename, removed.
 *
 * Whoever may write below a root counts as hostile, before, during and after each call. All work is
 * done on descriptors of directories and single names: no symlink is followed, no other mount or
 * file system entered, nothing but directories opened. Only what bears a configured name goes, or
 * what lies in the trash directory under a stored name with the stored device and inode. Inside a
 * root the names alone decide: who may rename a directory there may name it like a cache.
 *
 * Paths are relative to the root, of any length, and bytes; path_text() makes them text.
 */

#include "base/diag.h"
#include "base/strv.h"

/* A root. */

typedef struct AppRoot {
        int fd;
        uint64_t dev, ino;
        bool writable; /* whether we may add and remove names in it */
} AppRoot;

#define APP_ROOT_NULL ((AppRoot){ .fd = -EBADF })

/*
 * Opens a root; an absolute path. A symlink in it is followed only where it and the directory it is
 * in belong to root, and nobody else may write that directory. Refused, by identity, whatever the
 * path calls them: the directories of hier(7) and trees that are the system's or the engine's own (a
 * project may lie below /opt, /srv, /home/USER, /usr/local, /var/lib ...), and homes.
 *
 *   -EINVAL not an absolute path       -EPERM a system directory or a home: refuse it
 *   -ENOTDIR no directory              -ELOOP a link that is not followed, or too many
 *   -ENOENT missing   -EACCES we may not read it   -EROFS mounted read-only   -ESTALE what systemd
 *   bound there lies elsewhere: it followed a link of the owner's: states of an app
 */
int app_open(const char *path, AppRoot *ret, Diag *reterr_diag) must_check;
void app_close(AppRoot *root);

static inline void app_closep(AppRoot *root) {
        app_close(root);
}

/* The name of a file in the root that makes it a project ("package.json", "manage.py", ".git" ...);
 * NULL where there is none to be seen. */
const char *app_marker(const AppRoot *root);
/* All such names, NULL at the end. */
const char *const *app_markers(void);

/* Whether nothing is in it, or but a new file system's lost+found; false where that can't be seen. */
bool app_is_empty(const AppRoot *root);

/* Where it is, absolute and without symlinks, malloc'ed; for telling and comparing alone, since it may
 * be moved. */
int app_path(const AppRoot *root, char **ret) must_check;

/* Caches in it. */

/* ".next", "node_modules/.cache": relative, no empty component, neither "." nor "..". A name without
 * a slash is one of a directory anywhere below the root, one with a slash a path below it. */
bool cache_name_valid(const char *name);

typedef enum CacheKind {
        CACHE_DIRECTORY,
        CACHE_MOUNT,      /* bears the name, and a file system is mounted on it */
        CACHE_LINK,       /* bears the name, and is a symlink: no cache */
        CACHE_OTHER,      /* bears the name, and is a file or the like: no cache */
        CACHE_UNSEARCHED, /* a directory that may hold caches and was not entered: `error` */
} CacheKind;

typedef struct Cache {
        const char *path; /* borrowed */
        CacheKind kind;
        int error; /* -errno; -EXDEV: another mount; -ESTALE: moved while it was searched */
        uint64_t dev, ino;
} Cache;

typedef struct CacheHooks {
        int (*found)(void *userdata, const Cache *cache); /* an error ends the search */
        int (*step)(void *userdata); /* the same, before each directory; may be NULL */
        void *userdata;
} CacheHooks;

/*
 * Every cache below the root, in one pass. A found one is not searched itself; nor, for names without
 * a slash, are `.git` and `node_modules`, unless a configured name. Memory and descriptors do not
 * grow with the tree. An error is that of a hook, -EINVAL (a name), or of the root itself.
 */
int cache_find(const AppRoot *root, const Strv *names, const CacheHooks *hooks) must_check;

/*
 * What removing a found cache would free, in bytes of allocated blocks: of a file with other links
 * its share, since who else has those is not known. What can't be read counts nothing. Errors of
 * `step`, which may be NULL, and of the way there; -ESTALE where another bears the name now.
 */
int cache_measure(const AppRoot *root, const char *path, uint64_t dev, uint64_t ino,
                  int (*step)(void *userdata), void *userdata, uint64_t *ret_bytes) must_check;

/* Removal. */

typedef struct SweepFigures {
        uint64_t n_files, n_directories; /* removed */
        uint64_t n_remaining;            /* reported as remaining */
        uint64_t bytes;                  /* allocated blocks that no link is left to */
} SweepFigures;

typedef struct SweepHooks {
        int (*step)(void *userdata,
                    const SweepFigures *figures); /* before each entry; an error ends it */
        /* Left behind, with -errno: -EXDEV and -EBUSY for mounts, -EPERM for immutable files,
         * -ENOTEMPTY where others kept writing. The path begins with the removed one's name. */
        void (*remaining)(void *userdata, const char *path, int error);
        void *userdata;
} SweepHooks;

/*
 * The trash directory, made where it is missing, mode 0700; the directory it is in exists and, like
 * the trash itself, is root's or ours and nobody else's to write. With a root: -EXDEV if it is not
 * on the same mount (and subvolume), so that nothing could be renamed into it; -EINVAL if it lies in
 * the root, or one of the directories `outside` (may be NULL), where a build would find it. Other
 * errors as app_open()'s, and -EPERM where others may write.
 */
int trash_open(const char *path, const AppRoot *root, const Strv *outside, int *ret_fd,
               Diag *reterr_diag) must_check;

/*
 * Opens a trash for a root that has none configured: `state_path` where that can be one; else
 * ".wpcache-trash" in the topmost directory above the root that lies on its mount, is root's (or
 * ours) and nobody else's to write or to move, and has no marker of a project, "/" last. -ENOTSUP:
 * there is no such place; a cache can only be removed where it lies. None is left behind that was
 * made in vain. `*ret_path` is malloc'ed.
 */
int trash_choose(const AppRoot *root, const char *state_path, const Strv *outside, char **ret_path,
                 int *ret_fd, Diag *reterr_diag) must_check;

#define TRASH_NAME_MAX 33

typedef struct CacheTake {
        const char *path; /* as found */
        uint64_t dev, ino;
        char name[TRASH_NAME_MAX]; /* what it is called in the trash */
        int result;
} CacheTake;

/* Whether a cache could be taken by us, as far as rights tell: 0, or the error it would end with. */
int cache_check(const AppRoot *root, const char *path) must_check;

/*
 * Renames caches into the trash. `store` is called once, before anything is renamed, with every
 * name set, and keeps (name, dev, ino) durably, or returns an error, which is handed through. Then
 * each result is
 *   0        it is in the trash
 *   -ENOENT  gone    -EINVAL  bears no configured name    -ENOTDIR  a component is no directory
 *   -ESTALE  another bears that name now: left, or put back
 *   -EEXIST  another bore that name when it was renamed, and could not be put back since a third
 *            has the place: it stays in the trash as `name`, and is never removed
 *   or the error of the rename: -EXDEV, -EBUSY (a mount), -EACCES, -EROFS ...; untouched.
 */
int cache_take(const AppRoot *root, const Strv *names, int trash_fd, CacheTake *takes, size_t n,
               int (*store)(void *userdata, const CacheTake *takes, size_t n),
               void *userdata) must_check;

/*
 * Removes what cache_take() put in the trash, or what an earlier process left there, with everything
 * in it. 0: nothing is left of it. -ENOENT: it is not there. -ESTALE: not the stored device and
 * inode: untouched. -ENOTEMPTY: something remains, and was reported. Otherwise the error of a hook,
 * or -EROFS, -EINVAL (no name of the trash), -ENOMEM.
 */
int trash_remove(int trash_fd, const char *name, uint64_t dev, uint64_t ino,
                 const SweepHooks *hooks, SweepFigures *figures) must_check;

/* The same for a cache where it lies, where no trash can be had. -EINVAL: bears no configured name. */
int cache_remove(const AppRoot *root, const Strv *names, const char *path, uint64_t dev,
                 uint64_t ino, const SweepHooks *hooks, SweepFigures *figures) must_check;
