/* SPDX-License-Identifier: MIT */
#pragma once

/* The engine's event stream: the watcher thread of the configuration in force. */

#include <systemd/sd-event.h>

#include "conf/config.h"
#include "janitor/watcher.h"

typedef struct EventStream {
        sd_event *event; /* borrowed */
        /* Events came. */
        void (*handler)(void *userdata, const WatcherNews *news);
        void *userdata;

        sd_event_source *source;
        Watcher *watcher;
        TagEvents *tag_events;
        char *socket, *rollback_tag; /* the configuration that the watcher was started with */
        bool connected;
} EventStream;

/* `event`, `handler` and `userdata` are set already. 0 or -errno. */
int event_stream_init(EventStream *self) must_check;
/* Connects, disconnects or connects anew, as the configuration says. */
int event_stream_follow(EventStream *self, const Config *config) must_check;
void event_stream_stop(EventStream *self);
void event_stream_done(EventStream *self);

/* Which images got a name lately; NULL: the stream is not connected. Jobs may use it until
 * event_stream_done(). */
static inline TagEvents *event_stream_tags(const EventStream *self) {
        return self->connected ? self->tag_events : NULL;
}
