/* SPDX-License-Identifier: MIT */

#include "apps/marker.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define GIT ".git" /* a directory, or the file of a worktree or submodule */

const char *const *app_markers(void) {
        static const char *const markers[] = {
                "package.json",
                "pyproject.toml",
                "manage.py",
                "requirements.txt",
                "setup.py",
                "Pipfile",
                "Dockerfile",
                "compose.yaml",
                "compose.yml",
                "docker-compose.yml",
                "composer.json",
                "Gemfile",
                "docker-compose.yaml",
                "go.mod",
                "Cargo.toml",
                "pom.xml",
                GIT,
                NULL,
        };

        return markers;
}

const char *app_marker(const AppRoot *root) {
        for (const char *const *marker = app_markers(); *marker; marker++) {
                struct stat st;

                if (fstatat(root->fd, *marker, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        continue;
                if (S_ISREG(st.st_mode) || (S_ISDIR(st.st_mode) && strcmp(*marker, GIT) == 0))
                        return *marker;
        }
        return NULL;
}
