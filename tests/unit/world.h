/* SPDX-License-Identifier: MIT */
#pragma once

/* Tests in a root directory of their own: two empty file systems, / and /other, and /proc. */

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

#include "base/text.h"

#define WORLD_SKIPPED 77

static inline bool make_world(const char *directory) {
        cleanup_free char *other = text_format("%s/other", directory);
        cleanup_free char *proc = text_format("%s/proc", directory);

        umask(022);
        return other && proc && unshare(CLONE_NEWNS) == 0 &&
               mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
               mount("none", directory, "tmpfs", 0, "mode=0755") == 0 && mkdir(other, 0755) == 0 &&
               mkdir(proc, 0755) == 0 && mount("none", other, "tmpfs", 0, "mode=0755") == 0 &&
               mount("/proc", proc, NULL, MS_BIND | MS_REC, NULL) == 0 && chroot(directory) == 0 &&
               chdir("/") == 0;
}

/* The exit status of a test program; `run` is called in a child. Where mounting is not allowed, it is
 * WORLD_SKIPPED. */
static inline int run_in_world(int (*run)(void)) {
        char directory[] = "/tmp/test-world-XXXXXX";
        int status;
        pid_t pid;

        if (!mkdtemp(directory))
                return EXIT_FAILURE;
        pid = fork();
        if (pid == 0) {
                if (make_world(directory))
                        exit(run());
                status = errno == EPERM ? WORLD_SKIPPED : EXIT_FAILURE;
                perror("no world of its own");
                exit(status);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid || rmdir(directory) < 0)
                return EXIT_FAILURE;
        return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}
