/* SPDX-License-Identifier: MIT */

#include "apps/sysdirs.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "apps/dir.h"
#include "base/path.h"

static const struct {
        const char *path;
        unsigned marks;
} sysdirs[] = {
        { "/", SYSDIR_ITSELF | SYSDIR_OUTSIDE },
        { "/bin", SYSDIR_TREE | SYSDIR_CLOSED },
        { "/boot", SYSDIR_TREE | SYSDIR_CLOSED },
        { "/dev", SYSDIR_TREE | SYSDIR_CLOSED },
        { "/etc", SYSDIR_TREE | SYSDIR_CLOSED },
        { "/home", SYSDIR_ITSELF | SYSDIR_CLOSED },
        { "/lib", SYSDIR_TREE | SYSDIR_CLOSED },
        { "/lib32", SYSDIR_TREE | SYSDIR_CLOSED },
        { "/lib64", SYSDIR_TREE | SYSDIR_CLOSED },
        { "/libx32", SYSDIR_TREE | SYSDIR_CLOSED },
        { "/lost+found", SYSDIR_TREE | SYSDIR_CLOSED },
        { "/media", SYSDIR_ITSELF },
        { "/mnt", SYSDIR_ITSELF },
        { "/opt", SYSDIR_ITSELF },
        { "/proc", SYSDIR_TREE | SYSDIR_CLOSED },
        { "/root", SYSDIR_ITSELF | SYSDIR_CLOSED },
        { "/run", SYSDIR_ITSELF | SYSDIR_CLOSED },
        { "/run/lock", SYSDIR_CLOSED },
        { "/run/user", SYSDIR_CLOSED },
        { "/sbin", SYSDIR_TREE | SYSDIR_CLOSED },
        { "/srv", SYSDIR_ITSELF },
        { "/sys", SYSDIR_TREE | SYSDIR_CLOSED },
        { "/tmp", SYSDIR_ITSELF | SYSDIR_CLOSED },
        { "/usr", SYSDIR_TREE | SYSDIR_CLOSED },
        { "/usr/local", SYSDIR_ITSELF | SYSDIR_OUTSIDE | SYSDIR_CLOSED },
        { "/usr/local/bin", SYSDIR_ITSELF | SYSDIR_CLOSED },
        { "/usr/local/etc", SYSDIR_ITSELF | SYSDIR_CLOSED },
        { "/usr/local/games", SYSDIR_ITSELF | SYSDIR_CLOSED },
        { "/usr/local/include", SYSDIR_ITSELF | SYSDIR_CLOSED },
        { "/usr/local/lib", SYSDIR_ITSELF | SYSDIR_CLOSED },
        { "/usr/local/libexec", SYSDIR_ITSELF | SYSDIR_CLOSED },
        { "/usr/local/man", SYSDIR_ITSELF | SYSDIR_CLOSED },
        { "/usr/local/sbin", SYSDIR_ITSELF | SYSDIR_CLOSED },
        { "/usr/local/share", SYSDIR_ITSELF | SYSDIR_CLOSED },
        { "/usr/local/src", SYSDIR_ITSELF | SYSDIR_CLOSED },
        { "/usr/src", SYSDIR_ITSELF | SYSDIR_OUTSIDE | SYSDIR_CLOSED },
        { "/var", SYSDIR_ITSELF | SYSDIR_CLOSED },
        { "/var/backups", SYSDIR_ITSELF | SYSDIR_CLOSED },
        { "/var/cache", SYSDIR_ITSELF | SYSDIR_CLOSED },
        { "/var/crash", SYSDIR_ITSELF | SYSDIR_CLOSED },
        { "/var/lib", SYSDIR_ITSELF | SYSDIR_CLOSED },
        { "/var/lib/containerd", SYSDIR_TREE | SYSDIR_CLOSED },
        { "/var/lib/docker", SYSDIR_TREE | SYSDIR_CLOSED },
        { "/var/local", SYSDIR_ITSELF | SYSDIR_CLOSED },
        { "/var/lock", SYSDIR_ITSELF | SYSDIR_CLOSED },
        { "/var/log", SYSDIR_ITSELF | SYSDIR_CLOSED },
        { "/var/mail", SYSDIR_ITSELF | SYSDIR_CLOSED },
        { "/var/opt", SYSDIR_ITSELF | SYSDIR_CLOSED },
        { "/var/run", SYSDIR_ITSELF | SYSDIR_CLOSED },
        { "/var/spool", SYSDIR_ITSELF | SYSDIR_CLOSED },
        { "/var/tmp", SYSDIR_ITSELF | SYSDIR_CLOSED },
};

bool sysdir_is(const struct stat *st, unsigned marks, const char **ret_path) {
        for (size_t i = 0; i < ELEMENTSOF(sysdirs); i++) {
                struct stat dir;

                if (!(sysdirs[i].marks & marks) || stat(sysdirs[i].path, &dir) < 0 ||
                    !same_inode(st, &dir))
                        continue;
                if (ret_path)
                        *ret_path = sysdirs[i].path;
                return true;
        }
        return false;
}

bool sysdir_path_is(const char *path, unsigned marks) {
        for (size_t i = 0; i < ELEMENTSOF(sysdirs); i++) {
                char real[PATH_MAX];

                if (sysdirs[i].marks & marks &&
                    (strcmp(path, sysdirs[i].path) == 0 ||
                     (realpath(sysdirs[i].path, real) && strcmp(path, real) == 0)))
                        return true;
        }
        return false;
}

static const struct {
        const char *path;
        Hidden hidden;
} hidden_dirs[] = {
        { "/home", HIDDEN_HOME }, { "/root", HIDDEN_HOME },   { "/run/user", HIDDEN_HOME },
        { "/tmp", HIDDEN_TMP },   { "/var/tmp", HIDDEN_TMP },
};

Hidden sysdir_hidden(const char *path, const char **ret_dir) {
        for (size_t i = 0; i < ELEMENTSOF(hidden_dirs); i++) {
                const char *dir = hidden_dirs[i].path;
                char real[PATH_MAX];

                if (!path_within(path, dir) && !(realpath(dir, real) && path_within(path, real)))
                        continue;
                if (ret_dir)
                        *ret_dir = dir;
                return hidden_dirs[i].hidden;
        }
        return HIDDEN_NOT;
}
