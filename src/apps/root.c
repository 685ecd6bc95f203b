/* SPDX-License-Identifier: MIT */

/*
 * The absolute path of a root is walked component by component. A symlink in it decides where files
 * are removed, so only root may have made it. Directories that must not be a root are recognised by
 * device and inode on the way, since many paths may lead to one.
 */

#include "apps/root.h"

#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "apps/dir.h"
#include "apps/sysdirs.h"

#define LINKS_MAX 40
#define UID_PERSON_MIN \
        1000 /* the home of an account below may well be the application that it runs */
#define UID_NOBODY 65534

/* Whether a link in `dir_fd` may be followed. */
static bool link_trusted(int dir_fd, const struct stat *link) {
        struct stat dir;

        return link->st_uid == 0 && fstat(dir_fd, &dir) == 0 && dir.st_uid == 0 &&
               (dir.st_mode & 022) == 0;
}

/* Puts the target of a link before the rest of the path. */
static int read_link(int fd, char **rest, const char *after) {
        char target[PATH_MAX];
        char *path;
        ssize_t n;

        n = readlinkat(fd, "", target, sizeof(target));
        if (n < 0)
                return -errno;
        if ((size_t)n == sizeof(target))
                return -ENAMETOOLONG;
        if (asprintf(&path, "%.*s/%s", (int)n, target, after) < 0)
                return -ENOMEM;
        free(*rest);
        *rest = path;
        return 0;
}

static int open_start(void (*visit)(void *userdata, const struct stat *st), void *userdata) {
        cleanup_close int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (visit)
                visit(userdata, &st);
        return TAKE_FD(fd);
}

int trusted_open(const char *path, void (*visit)(void *userdata, const struct stat *st),
                 void *userdata, Diag *reterr_diag) {
        cleanup_free char *rest = NULL;
        cleanup_close int fd = -EBADF;
        unsigned n_links = 0;
        char *at;

        if (*path != '/')
                return diag_set(reterr_diag, -EINVAL, "'%s' is not an absolute path", path);
        rest = strdup(path);
        if (!rest)
                return -ENOMEM;

        for (at = rest;;) {
                cleanup_close int next = -EBADF;
                struct stat st;
                char *name;
                int r;

                if (*at == '/' && at == rest) {
                        cleanup_closep(&fd);
                        fd = open_start(visit, userdata);
                        if (fd < 0)
                                return fd;
                }
                at += strspn(at, "/");
                if (*at == '\0')
                        return TAKE_FD(fd);
                name = at;
                at += strcspn(at, "/");
                if (*at)
                        *at++ = '\0';

                next = openat(fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
                if (next < 0 || fstat(next, &st) < 0)
                        return diag_set(reterr_diag, -errno, "%s of %s: %s", name, path,
                                        error_text(errno));
                if (S_ISLNK(st.st_mode)) {
                        if (!link_trusted(fd, &st))
                                return diag_set(reterr_diag, -ELOOP,
                                                "%s of %s is a symlink that users other than root "
                                                "may change; give the directory it leads to",
                                                name, path);
                        if (++n_links > LINKS_MAX)
                                return diag_set(reterr_diag, -ELOOP, "too many symlinks in %s",
                                                path);
                        r = read_link(next, &rest, at);
                        if (r < 0)
                                return r;
                        at = rest;
                        continue;
                }
                if (!S_ISDIR(st.st_mode))
                        return diag_set(reterr_diag, -ENOTDIR, "%s of %s is not a directory", name,
                                        path);
                if (visit)
                        visit(userdata, &st);
                cleanup_closep(&fd);
                fd = TAKE_FD(next);
        }
}

/* What the directories of a path have shown so far. */
typedef struct Way {
        bool in_tree;
        struct stat last;
} Way;

static void on_root_directory(void *userdata, const struct stat *st) {
        Way *way = userdata;

        if (sysdir_is(st, SYSDIR_OUTSIDE, NULL))
                way->in_tree = false;
        else if (sysdir_is(st, SYSDIR_TREE, NULL))
                way->in_tree = true;
        way->last = *st;
}

/* Whether a directory is the home of root or a person, or lies where homes are made. */
static bool is_home(int path_fd, const struct stat *st) {
        FILE *file = fopen("/etc/passwd", "re");
        struct passwd entry, *found;
        char buffer[16384];
        struct stat parent, other;
        bool is;

        is = fstatat(path_fd, "..", &parent, 0) == 0 && stat("/home", &other) == 0 &&
             same_inode(&parent, &other);
        if (!file)
                return is;
        while (!is && fgetpwent_r(file, &entry, buffer, sizeof(buffer), &found) == 0) {
                const char *home = entry.pw_dir;

                if (entry.pw_uid != 0 &&
                    (entry.pw_uid < UID_PERSON_MIN || entry.pw_uid == UID_NOBODY))
                        continue;
                is = *home == '/' && stat(home, &other) == 0 && same_inode(st, &other);
        }
        fclose(file);
        return is;
}

static int check_system_directory(const char *path, int path_fd, const Way *way,
                                  Diag *reterr_diag) {
        const char *dir = NULL;

        if (sysdir_is(&way->last, SYSDIR_ITSELF, &dir)) {
                if (strcmp(path, dir) != 0)
                        return diag_set(reterr_diag, -EPERM, "%s is %s, a directory of the system",
                                        path, dir);
                return diag_set(reterr_diag, -EPERM,
                                "%s is %s; name the project's own directory below it", path,
                                strcmp(dir, "/root") == 0 ? "the home of root"
                                                          : "a directory of the system");
        }
        if (way->in_tree)
                return diag_set(reterr_diag, -EPERM, "%s lies in a tree of the system", path);
        if (is_home(path_fd, &way->last))
                return diag_set(reterr_diag, -EPERM, "%s is a home directory", path);
        return 0;
}

static bool is_octal(const char *text) {
        return strspn(text, "01234567") >= 3;
}

/* Undoes \ooo, which mountinfo writes for blanks and the like. */
static void unescape(char *text) {
        char *to = text;

        for (const char *from = text; *from; to++) {
                if (from[0] == '\\' && is_octal(from + 1)) {
                        *to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
                        from += 4;
                } else {
                        *to = *from++;
                }
        }
        *to = '\0';
}

/* The root of a mount as a path in its file system, malloc'ed; NULL if it is not known. */
static char *mount_source(uint64_t id) {
        FILE *file = fopen("/proc/self/mountinfo", "re");
        cleanup_free char *line = NULL;
        char *source = NULL;
        size_t size = 0;

        if (!file)
                return NULL;
        while (!source && getline(&line, &size, file) >= 0) {
                char *rest = line, *field = NULL;

                if (strtoull(line, NULL, 10) != id)
                        continue;
                for (unsigned i = 0; i < 4; i++)
                        field = strsep(&rest, " ");
                if (!field)
                        break;
                unescape(field);
                source = strdup(field);
        }
        fclose(file);
        return source;
}

static bool ends_with(const char *text, const char *end) {
        size_t n = strlen(text), m = strlen(end);

        return n >= m && strcmp(text + n - m, end) == 0;
}

/*
 * Where the unit hides homes, systemd binds a root to its path before the daemon starts, and follows
 * links in that path as root: the owner may have put one there. So the mount must have the directory
 * that the path names.
 */
static int check_bind(const char *path, int path_fd, Diag *reterr_diag) {
        cleanup_close int parent_fd = -EBADF;
        cleanup_free char *source = NULL;
        const char *dir = NULL;
        uint64_t mount = 0, above = 0;
        int r;

        if (!getenv("INVOCATION_ID") || sysdir_hidden(path, &dir) == HIDDEN_NOT)
                return 0;
        parent_fd = openat(path_fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (parent_fd < 0)
                return diag_set(reterr_diag, -errno, "%s: %s", path, error_text(errno));
        r = mount_id(path_fd, &mount);
        if (r >= 0)
                r = mount_id(parent_fd, &above);
        if (r < 0 || mount == above)
                return r;
        source = mount_source(mount);
        if (!source)
                return diag_set(reterr_diag, -ESTALE, "what is mounted on %s is not known", path);
        if (strncmp(path, dir, strlen(dir)) != 0 || !ends_with(source, path + strlen(dir)))
                return diag_set(reterr_diag, -ESTALE,
                                "%s is a mount of %s, which is something else", path, source);
        return 0;
}

int app_open(const char *path, AppRoot *ret, Diag *reterr_diag) {
        cleanup_close int path_fd = -EBADF, fd = -EBADF;
        struct statvfs vfs;
        Way way = { 0 };
        int r;

        path_fd = trusted_open(path, on_root_directory, &way, reterr_diag);
        if (path_fd < 0)
                return path_fd;
        r = check_system_directory(path, path_fd, &way, reterr_diag);
        if (r >= 0)
                r = check_bind(path, path_fd, reterr_diag);
        if (r < 0)
                return r;

        fd = openat(path_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fstatvfs(fd, &vfs) < 0)
                return diag_set(reterr_diag, -errno, "%s: %s", path, error_text(errno));
        if (vfs.f_flag & ST_RDONLY)
                return diag_set(reterr_diag, -EROFS, "%s is mounted read-only", path);

        *ret = (AppRoot){
                .dev = way.last.st_dev,
                .ino = way.last.st_ino,
                .writable = faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) == 0,
        };
        ret->fd = TAKE_FD(fd);
        return 0;
}

void app_close(AppRoot *root) {
        cleanup_closep(&root->fd);
        *root = APP_ROOT_NULL;
}

bool app_is_empty(const AppRoot *root) {
        DirReader reader = DIR_READER_NULL;
        const struct dirent64 *entry;
        int r = -EBADF;

        reader.fd = openat(root->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (reader.fd >= 0)
                do
                        r = dir_next(&reader, &entry);
                while (r > 0 && strcmp(entry->d_name, "lost+found") == 0);
        dir_done(&reader);
        return r == 0;
}
