/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Several calls at once, each on a connection of its own. An engine answers to most calls one after the
 * other for what it reads from its disk, so this pays where one call takes milliseconds: on the
 * containerd image store, and to inspect many images.
 */

#include "docker/api.h"

/* Does one of the tasks, on a thread of its own. `docker` is not the caller's, but the same engine. */
typedef int (*DockerTask)(Docker *docker, size_t i, void *userdata, Diag *reterr_diag);

/*
 * Runs tasks 0 to n-1 in no order, as many at a time as there are connections, and returns when all
 * threads have ended. There are at most DOCKER_PARALLEL_MAX connections; each first makes three calls
 * (/_ping, /version, /info). If no connection can be made, all tasks run on `docker`. After a task has
 * failed no further task begins; its error is returned, with its diag. A task that returns -EAGAIN only
 * asks for that end: where another one fails meanwhile, the other's error is returned.
 *
 * -ECANCELED by docker_interrupt(). -ESTALE: a connection reaches another engine than `docker` did. The
 * engines are compared when a task begins, not between the calls of a task.
 */
#define DOCKER_PARALLEL_MAX 4
/* Fewer short calls than this are made faster one after the other, on the connection at hand. */
#define DOCKER_PARALLEL_MIN 8
int docker_parallel(Docker *docker, size_t n, DockerTask task, void *userdata,
                    Diag *reterr_diag) must_check;
