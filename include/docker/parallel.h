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
 * Does tasks 0 to n-1 in no order, as many at a time as there are connections (at most
 * DOCKER_PARALLEL_MAX, each of which costs two calls first), and returns when all threads
 * have ended. After the first task that failed no further one begins; its error is returned, with its
 * diag. Where no further connection can be had, all are done on `docker`. -ECANCELED by docker_interrupt(). -ESTALE: another engine answers than `docker` talked to.
 */
#define DOCKER_PARALLEL_MAX 4
int docker_parallel(Docker *docker, size_t n, DockerTask task, void *userdata,
                    Diag *reterr_diag) must_check;
