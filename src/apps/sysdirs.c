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
} places[] = {
        { "/", PLACE_ITSELF | PLACE_OUTSIDE },
        { "/bin", PLACE_TREE | PLACE_CLOSED },
        { "/boot", PLACE_TREE | PLACE_CLOSED },
        { "/dev", PLACE_TREE | PLACE_CLOSED },
        { "/etc", PLACE_TREE | PLACE_CLOSED },
        { "/home", PLACE_ITSELF | PLACE_CLOSED },
        { "/lib", PLACE_TREE | PLACE_CLOSED },
        { "/lib32", PLACE_TREE | PLACE_CLOSED },
        { "/lib64", PLACE_TREE | PLACE_CLOSED },
        { "/libx32", PLACE_TREE | PLACE_CLOSED },
        { "/lost+found", PLACE_TREE | PLACE_CLOSED },
        { "/media", PLACE_ITSELF },
        { "/mnt", PLACE_ITSELF },
        { "/opt", PLACE_ITSELF },
        { "/proc", PLACE_TREE | PLACE_CLOSED },
        { "/root", PLACE_ITSELF | PLACE_CLOSED },
        { "/run", PLACE_ITSELF | PLACE_CLOSED },
        { "/run/lock", PLACE_CLOSED },
        { "/run/user", PLACE_CLOSED },
        { "/sbin", PLACE_TREE | PLACE_CLOSED },
        { "/srv", PLACE_ITSELF },
        { "/sys", PLACE_TREE | PLACE_CLOSED },
        { "/tmp", PLACE_ITSELF | PLACE_CLOSED },
        { "/usr", PLACE_TREE | PLACE_CLOSED },
        { "/usr/local", PLACE_ITSELF | PLACE_OUTSIDE | PLACE_CLOSED },
        { "/usr/local/bin", PLACE_ITSELF | PLACE_CLOSED },
        { "/usr/local/etc", PLACE_ITSELF | PLACE_CLOSED },
        { "/usr/local/games", PLACE_ITSELF | PLACE_CLOSED },
        { "/usr/local/include", PLACE_ITSELF | PLACE_CLOSED },
        { "/usr/local/lib", PLACE_ITSELF | PLACE_CLOSED },
        { "/usr/local/libexec", PLACE_ITSELF | PLACE_CLOSED },
        { "/usr/local/man", PLACE_ITSELF | PLACE_CLOSED },
        { "/usr/local/sbin", PLACE_ITSELF | PLACE_CLOSED },
        { "/usr/local/share", PLACE_ITSELF | PLACE_CLOSED },
        { "/usr/local/src", PLACE_ITSELF | PLACE_CLOSED },
        { "/usr/src", PLACE_ITSELF | PLACE_OUTSIDE | PLACE_CLOSED },
        { "/var", PLACE_ITSELF | PLACE_CLOSED },
        { "/var/backups", PLACE_ITSELF | PLACE_CLOSED },
        { "/var/cache", PLACE_ITSELF | PLACE_CLOSED },
        { "/var/crash", PLACE_ITSELF | PLACE_CLOSED },
        { "/var/lib", PLACE_ITSELF | PLACE_CLOSED },
        { "/var/lib/containerd", PLACE_TREE | PLACE_CLOSED },
        { "/var/lib/docker", PLACE_TREE | PLACE_CLOSED },
        { "/var/local", PLACE_ITSELF | PLACE_CLOSED },
        { "/var/lock", PLACE_ITSELF | PLACE_CLOSED },
        { "/var/log", PLACE_ITSELF | PLACE_CLOSED },
        { "/var/mail", PLACE_ITSELF | PLACE_CLOSED },
        { "/var/opt", PLACE_ITSELF | PLACE_CLOSED },
        { "/var/run", PLACE_ITSELF | PLACE_CLOSED },
        { "/var/spool", PLACE_ITSELF | PLACE_CLOSED },
        { "/var/tmp", PLACE_ITSELF | PLACE_CLOSED },
};

bool place_is(const struct stat *st, unsigned marks, const char **ret_path) {
        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                struct stat place;

                if (!(places[i].marks & marks) || stat(places[i].path, &place) < 0 ||
                    !same_inode(st, &place))
                        continue;
                if (ret_path)
                        *ret_path = places[i].path;
                return true;
        }
        return false;
}

bool place_path_is(const char *path, unsigned marks) {
        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                char real[PATH_MAX];

                if (places[i].marks & marks &&
                    (strcmp(path, places[i].path) == 0 ||
                     (realpath(places[i].path, real) && strcmp(path, real) == 0)))
                        return true;
        }
        return false;
}

static const struct {
        const char *path;
        Hidden hidden;
} hidden_places[] = {
        { "/home", HIDDEN_HOME }, { "/root", HIDDEN_HOME },   { "/run/user", HIDDEN_HOME },
        { "/tmp", HIDDEN_TMP },   { "/var/tmp", HIDDEN_TMP },
};

Hidden need_hidden(const char *path, const char **ret_place) {
        for (size_t i = 0; i < ELEMENTSOF(hidden_places); i++) {
                const char *place = hidden_places[i].path;
                char real[PATH_MAX];

                if (!path_within(path, place) &&
                    !(realpath(place, real) && path_within(path, real)))
                        continue;
                if (ret_place)
                        *ret_place = place;
                return hidden_places[i].hidden;
        }
        return HIDDEN_NOT;
}
