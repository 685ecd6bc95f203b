/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which images got a name since when, as the engine's event stream tells it: a tag, a load, an import,
 * a pull and a build each end with an event, after the image's LastTagTime moved (moby daemon/images,
 * daemon/containerd). An image that was inspected while the stream was connected and has had no such
 * event since need not be inspected again. Where the stream is not connected nothing is known.
 *
 * What is known begins anew after a gap: when the stream is connected again, and when so many events come
 * at once that the engine may have dropped some.
 *
 * The watcher thread writes, the worker thread reads; every function takes the mutex. Times are of
 * CLOCK_BOOTTIME, those in nanoseconds of the engine's wall clock.
 */

#include "docker/watch.h"

typedef struct TagEvents TagEvents;

/* So many names are kept for tag_events_take_names(). Past that the oldest are forgotten. */
#define TAG_NAMES_MAX 128

/* So many images are remembered. Past that the oldest event is forgotten, and the images that were
 * inspected before it count as having one. */
#define TAG_EVENTS_MAX 1024

/* Nothing is known yet. */
int tag_events_new(TagEvents **ret) must_check;
TagEvents *tag_events_free(TagEvents *events);
DEFINE_CLEANUP(TagEvents *, tag_events_free);

/* For the watcher. The stream of the engine at this socket is connected, and tells what happens from
 * now on; `since_nsec` is the time it was asked to begin at. -ENOMEM leaves nothing known. */
int tag_events_connected(TagEvents *events, const char *socket_path, int64_t since_nsec,
                         uint64_t now_usec) must_check;
/* The stream has ended: what happens now is not heard. */
void tag_events_lost(TagEvents *events);
/* Any event of the stream. */
void tag_events_note(TagEvents *events, const DockerEvent *event, uint64_t now_usec);

/*
 * Hands over the names but trash tags that images got by a tag or a build, as the stream told them and the
 * oldest first: an image may have lost its name again before anybody looked. Those of which `sink` returns
 * true are forgotten. `events` may be NULL.
 */
void tag_events_take_names(TagEvents *events,
                           bool (*sink)(void *userdata, const char *id, const char *name),
                           void *userdata);

/*
 * Asks the engine itself for the events that the stream has not delivered yet, and notes them: to be
 * called right before a decision, since a stream may be late. False: what these functions tell can't be
 * relied on. `events` may be NULL, which is false.
 */
bool tag_events_sync(TagEvents *events, Docker *docker, const char *socket_path) must_check;

/* Whether the image certainly got no name since then. */
bool tag_events_none_of(TagEvents *events, const char *id, uint64_t since_usec);
/* Whether no image got a name since then, so that no name has moved to another image. Trash tags of the
 * janitor, which are no image's before, do not count. */
bool tag_events_none(TagEvents *events, uint64_t since_usec);
/* The same of this very moment: tag_events_sync() comes first. False if `since_usec` is 0. */
bool tag_events_none_now(TagEvents *events, Docker *docker, const char *socket_path,
                         uint64_t since_usec);
