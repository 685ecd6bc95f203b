/* SPDX-License-Identifier: MIT */
#pragma once

/* The listening socket: passed by systemd, or made here. */

#include <sys/types.h>

#include "base/diag.h"

typedef struct Listener {
        int fd;
        char *path; /* if made here, with what it was then: */
        dev_t dev;
        ino_t ino;
} Listener;

#define LISTENER_NULL ((Listener){ .fd = -EBADF })

/* The socket passed as LISTEN_FDS, see sd_listen_fds(3): 1 with `*ret_fd`, 0 if none was passed to this
 * process; an error if something else was passed, or nothing is at that descriptor. */
int listener_passed(int *ret_fd, Diag *reterr_diag) must_check;

/* Makes the socket: mode 0666, its directory made if missing, a stale one replaced. -EADDRINUSE:
 * another daemon answers there. */
int listener_make(const char *path, Listener *ret, Diag *reterr_diag) must_check;

/* Closes it. Removes its path if it was made here and is not another daemon's by now. */
void listener_done(Listener *listener);
