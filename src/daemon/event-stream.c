/* SPDX-License-Identifier: MIT */

#include <string.h>

#include "base/log.h"
#include "daemon/event-stream.h"

static int on_news(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        EventStream *self = userdata;
        WatcherNews news = watcher_news(self->watcher);

        if (news.connected != self->connected)
                log_debug("The engine's events are %s", news.connected ? "heard" : "not heard");
        self->connected = news.connected;
        if (news.n_events > 0)
                self->handler(self->userdata, &news);
        return 0;
}

int event_stream_init(EventStream *self) {
        return tag_events_new(&self->tag_events);
}

void event_stream_stop(EventStream *self) {
        self->source = sd_event_source_disable_unref(self->source);
        self->watcher = watcher_free(self->watcher);
        free(self->socket);
        free(self->rollback_tag);
        self->socket = self->rollback_tag = NULL;
        self->connected = false;
}

static int start_watcher(EventStream *self, const Config *config) {
        int r;

        self->socket = strdup(config->docker_socket);
        self->rollback_tag = strdup(config->rollback_tag);
        if (!self->socket || !self->rollback_tag)
                return -ENOMEM;
        r = watcher_new(self->socket, self->rollback_tag, self->tag_events, &self->watcher);
        if (r < 0)
                return r;
        return sd_event_add_io(self->event, &self->source, watcher_fd(self->watcher), EPOLLIN,
                               on_news, self);
}

int event_stream_follow(EventStream *self, const Config *config) {
        int r;

        if (self->watcher && (!config->events || strcmp(self->socket, config->docker_socket) != 0 ||
                              strcmp(self->rollback_tag, config->rollback_tag) != 0))
                event_stream_stop(self);
        if (self->watcher || !config->events)
                return 0;
        r = start_watcher(self, config);
        if (r < 0)
                event_stream_stop(self);
        return r;
}

void event_stream_done(EventStream *self) {
        event_stream_stop(self);
        tag_events_free(self->tag_events);
}
