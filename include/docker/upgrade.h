/* SPDX-License-Identifier: MIT */
#pragma once

/* The HTTP/1.1 request that turns a connection to the engine into one of HTTP/2. Internal to docker/. */

#include <stdatomic.h>

#include "base/diag.h"

/*
 * Sends `POST path` with `Upgrade: h2c` on a connected socket that does not block, and reads the head
 * of the answer, not a byte more: what follows is HTTP/2. 0, and its status in `ret_status`: 101 if
 * the engine agreed. Errors: -ECONNRESET, -ETIMEDOUT, -EBADMSG (no HTTP, or a head past 16 KiB), and
 * -ECANCELED within a tenth of a second after `interrupted` was set.
 */
int upgrade_to_h2c(int fd, const char *path, uint64_t timeout_usec, const atomic_bool *interrupted,
                   long *ret_status, Diag *reterr_diag) must_check;
