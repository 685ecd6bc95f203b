/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The engine's API, one function per endpoint; HTTP status to errno. Used by one thread;
 * docker_interrupt() by any.
 *
 * Errors common to all: those of http_call(), and
 *   -ENOENT         404, with the engine's words, and nothing else
 *   -ECONNREFUSED   there is no engine: no socket, or nobody listens on it. Nothing else is: one that
 *                   hangs, whose queue of connections may be full, is -ETIMEDOUT
 *   -EBUSY          409 (in use, has children; for prune after its retries: already running)
 *   -EINVAL         400
 *   -EREMOTEIO      5xx and anything unexpected
 *   -EBADMSG        an answer that is not what the API says
 *   -EPROTONOSUPPORT  no API version in common, or no Docker engine: Podman
 * and the diag holds the engine's own message, with the call it answered and the status. On any error
 * nothing was added to the outputs that the caller could take for a whole answer: sets are empty then.
 *
 * One object of a list that can't be read does not spoil the list: it is in the set's `unreadable`,
 * and decisions that depend on the whole list must check that set.
 *
 * Facts about Docker that are not in its API reference were seen on engines 20.10, 26.1, 28.5 and
 * read in moby's source; each is named where it matters.
 */

#include "base/diag.h"
#include "docker/model.h"

typedef struct Docker Docker;

/* `timeout_usec` bounds every call but prune, which has its own. */
int docker_new(const char *socket_path, uint64_t timeout_usec, uint64_t prune_timeout_usec,
               Docker **ret) must_check;
Docker *docker_free(Docker *docker);
DEFINE_CLEANUP(Docker *, docker_free);

/* From any thread: calls in progress and all later ones return -ECANCELED.
 * A prune that must not be cut (engine below 25, moby/buildkit#4399) is waited for. */
void docker_interrupt(Docker *docker);

/* From any thread: when the call in progress will have ended at the latest (CLOCK_BOOTTIME,
 * microseconds); 0 while there is none, or one without a deadline (docker_watch()). */
uint64_t docker_call_deadline(Docker *docker);

/*
 * GET /_ping, unversioned: agrees on the newest API version both know (1.40 to 1.55, or newer as
 * 1.55 if the engine still takes it), then GET /version, to refuse Podman, and GET /info. These two are
 * left out while the connection is the one that was agreed over. Every other call does the same before
 * it sends anything on a new connection, since the engine may have been replaced. `ret` is borrowed
 * until the next call.
 */
int docker_negotiate(Docker *docker, const EngineInfo **ret, Diag *reterr_diag) must_check;

/*
 * GET /system/df for the build cache: ?type=build-cache from API 1.42 (with verbose=1 from 1.52);
 * the full call below, whose 500 "a disk usage operation is already running" is retried (the
 * engine allows one at a time). Each record is handed to `add` as it arrives, whose errors end the
 * call and are handed through; after an error what it was handed is part of a whole. A record that
 * can't be read is added to `unreadable` instead.
 */
typedef int (*DockerRecord)(void *userdata, const BuildRecord *record, const char *const *parents,
                            size_t n_parents);
int docker_build_cache(Docker *docker, DockerRecord add, void *userdata, UnreadableSet *unreadable,
                       Diag *reterr_diag) must_check;

/* GET /images/json?all=1: the classic builder's intermediate images too. */
int docker_images(Docker *docker, ImageSet *ret, Diag *reterr_diag) must_check;
/* Those without a name that no other image was made from: the list with the filter dangling=true. */
int docker_images_untagged(Docker *docker, ImageSet *ret, Diag *reterr_diag) must_check;
/*
 * The images that have one of these names ("repo:tag", else -EINVAL), each with those names alone:
 * the list with the filter reference. On the containerd store an entry of the whole list costs
 * milliseconds.
 */
int docker_images_named(Docker *docker, const char *const *names, size_t n, ImageSet *ret,
                        Diag *reterr_diag) must_check;
int docker_image(Docker *docker, const char *name_or_id, ImageDetail *ret,
                 Diag *reterr_diag) must_check;

/*
 * GET /images/{id}/history: each entry is handed to `add`, the newest first. An image that a builder
 * made has an entry for each instruction, those of its base image included; `created_by` is the
 * builder's own text of the instruction. Errors of `add` end the call and are handed through; after
 * an error the entries are part of a whole.
 */
typedef int (*DockerHistory)(void *userdata, const char *created_by, const char *comment);
int docker_image_history(Docker *docker, const char *id, DockerHistory add, void *userdata,
                         Diag *reterr_diag) must_check;

/* GET /containers/json?all=1 */
int docker_containers(Docker *docker, ContainerSet *ret, Diag *reterr_diag) must_check;
int docker_container(Docker *docker, const char *id, ContainerDetail *ret,
                     Diag *reterr_diag) must_check;

/* GET /volumes of the driver "local", so that no plugin is asked, which may hang. Those that bind a
 * path of the host alone. */
int docker_volumes(Docker *docker, VolumeSet *ret, Diag *reterr_diag) must_check;

/* Names of the volumes that docker-container builders of buildx keep their state in,
 * "buildx_buildkit_NAME0_state", whether or not the builder's container is there. `unreadable`: volumes
 * that can't be read and may be such. -EOPNOTSUPP: a proxy of the socket does not let volumes be listed
 * (403 or 404). */
int docker_builder_volumes(Docker *docker, Strv *ret, UnreadableSet *unreadable,
                           Diag *reterr_diag) must_check;

/*
 * POST /build/prune?all=1, of one type where `type` is not NULL (-EINVAL for one that
 * record_type_from_string() does not know). `ret_n` is how many records the engine says it deleted
 * (null means none), `ret_bytes` its SpaceReclaimed, which counts shared layers. A 409 is retried
 * until the prune deadline.
 */
int docker_prune_build_cache(Docker *docker, const char *type, size_t *ret_n, uint64_t *ret_bytes,
                             Diag *reterr_diag) must_check;

/*
 * POST /build/prune?all=1 down to `keep_bytes` (> 0, else -EINVAL): as keep-storage below API 1.48,
 * as reserved-space from there on, alone, since engines below 28 ignore the newer words and would
 * prune everything. The engine deletes one record at a time, by its own order, until what is not
 * shared with images is less than keep_bytes; where it is less already, nothing. Retried like
 * docker_prune_build_cache().
 */
int docker_prune_build_cache_to(Docker *docker, uint64_t keep_bytes, size_t *ret_n,
                                uint64_t *ret_bytes, Diag *reterr_diag) must_check;

/* POST /build/prune?all=1 of records not used for `hours` (> 0 and at most a century, else -EINVAL),
 * by LastUsedAt and the engine's clock. Retried like docker_prune_build_cache(). */
int docker_prune_build_cache_unused(Docker *docker, unsigned hours, size_t *ret_n,
                                    uint64_t *ret_bytes, Diag *reterr_diag) must_check;

/* POST /images/{id}/tag. Moves the name if another image bears it. Sent at most once, like all that
 * changes something: -ECONNRESET and -ETIMEDOUT leave open whether it was done. */
int docker_tag(Docker *docker, const char *id, const char *repository, const char *tag,
               Diag *reterr_diag) must_check;

/*
 * DELETE /images/{name}, never forced. `name` must be "repo:tag" (-EINVAL for an id or a digest:
 * deleting by id takes a fresh tag with it). Untagged parents go with the image on the graphdriver
 * store, which spares those other images stand on; the containerd store (28.5) does not spare them,
 * so there noprune=1 is sent and parents stay. `ret_deleted` is how many images the engine says it
 * deleted: the containerd store says so of one that has children and stays, so look again.
 */
int docker_untag(Docker *docker, const char *name, size_t *ret_deleted,
                 Diag *reterr_diag) must_check;
