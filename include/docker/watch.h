/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * GET /events: what happens to images, containers and build cache, as it happens. An event is a reason
 * to look again, never a fact to act on. The engine keeps the last 256 events in memory, loses them when
 * it restarts, and drops events for a reader that leaves 1,024 of them unread for 100 ms (moby
 * daemon/events).
 */

#include "docker/api.h"

/*
 * What the filter lets through: create, delete, destroy, import, load, prune, pull, rename, tag and
 * untag of images, containers and the builder. Not a container's start and die, which one that
 * restarts for ever sends for ever, nor exec and health, which checks send.
 */
typedef struct DockerEvent {
        enum { DOCKER_EVENT_IMAGE, DOCKER_EVENT_CONTAINER, DOCKER_EVENT_BUILDER } type;
        char action[24];       /* "tag" */
        char id[IMAGE_ID_MAX]; /* Actor.ID; "" for the builder, and for a pulled name too long */
        const char *name;      /* Actor.Attributes.name, borrowed from the caller, or NULL */
        int64_t time_nsec;     /* by the engine's wall clock, 0: not told */
} DockerEvent;

typedef int (*DockerEventSink)(void *userdata, const DockerEvent *event);

/*
 * Hands over events as they come and blocks until the stream ends: -ECONNRESET when the engine ends
 * it, -ECANCELED by docker_interrupt(), or what `sink` returned. `since_nsec`, if not 0, asks for
 * what happened since (that very moment excluded). `connected` is called once the engine has taken
 * the call. No deadline: the stream is silent as long as nothing happens. An event that is no JSON
 * or too long is -EBADMSG, and comes again with the same `since_nsec`. `docker` must be one of its
 * own, since it is busy for as long.
 */
int docker_watch(Docker *docker, int64_t since_nsec, void (*connected)(void *userdata),
                 DockerEventSink sink, void *userdata, Diag *reterr_diag) must_check;

/* Hands over what the engine remembers of the time since then (that very moment excluded), oldest
 * first: of its last 256 events, those that the filter lets through. The errors are those of docker/api.h.
 * The call ends after a second: where this clock is ahead of the engine's, that is when the engine
 * answers, and where `since_nsec` lies ahead of it the engine refuses. */
int docker_events_since(Docker *docker, int64_t since_nsec, DockerEventSink sink, void *userdata,
                        Diag *reterr_diag) must_check;

/* Sleeps between two tries; -ECANCELED as soon as docker_interrupt() is in force. */
int docker_wait(Docker *docker, uint64_t usec) must_check;
