/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The watcher thread: sits on the engine's event stream, and tells the loop thread that something
 * happened. It reconnects by itself, asking for what it missed; until it is connected, polls alone
 * see changes. All functions are the loop thread's.
 */

#include "janitor/tag-events.h"

typedef struct Watcher Watcher;

typedef struct WatcherNews {
        bool connected;
        uint64_t n_events; /* since the last call; each connection counts as one too */
        uint64_t
                last_usec; /* CLOCK_BOOTTIME of the newest that is not the janitor's own tag; 0: none
                               since the start */
} WatcherNews;

/* Starts the thread; signals must be blocked already. `rollback_tag`: [images] rollback_tag.
 * `tag_events` is borrowed, and kept up to date until watcher_free(). */
int watcher_new(const char *socket_path, const char *rollback_tag, TagEvents *tag_events,
                Watcher **ret) must_check;
/* Ends the stream and waits for the thread. */
Watcher *watcher_free(Watcher *watcher);
DEFINE_CLEANUP(Watcher *, watcher_free);

/* Readable when there are news: events, a connection made or lost. */
int watcher_fd(const Watcher *watcher);

/*
 * What is new. `last_usec` also moves when a connection comes back, or comes later than at the
 * first try, since some may be lost: the engine keeps few, and none over a restart.
 */
WatcherNews watcher_news(Watcher *watcher);
