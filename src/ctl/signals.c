/* SPDX-License-Identifier: MIT */

#include <sys/signalfd.h>

#include "ctl/signals.h"

int signals_catch(const int *numbers, size_t n, sigset_t *ret_before, int *ret_fd) {
        struct sigaction action;
        sigset_t signals;
        int fd;

        sigemptyset(&signals);
        for (size_t i = 0; i < n; i++)
                if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
                        sigaddset(&signals, numbers[i]);
        /* while SIGCHLD is ignored, children leave no exit status */
        signal(SIGCHLD, SIG_DFL);
        sigaddset(&signals, SIGCHLD);
        if (sigprocmask(SIG_BLOCK, &signals, ret_before) < 0)
                return -errno;
        fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
        if (fd < 0)
                return -errno;
        *ret_fd = fd;
        return 0;
}
