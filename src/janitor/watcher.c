/* SPDX-License-Identifier: MIT */

/*
 * A thread, an engine connection of its own, and what it saw behind a mutex. The trap is an event
 * that can't be read: asking for what was missed brings it again, for ever, so after one the stream
 * begins anew from now.
 */

#include "janitor/watcher.h"

#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "base/span.h"
#include "janitor/inventory.h"

#define TIMEOUT_USEC (30 * USEC_PER_SEC) /* to agree on a version */
#define DELAY_MIN_USEC USEC_PER_SEC
#define DELAY_MAX_USEC USEC_PER_MINUTE

struct Watcher {
        pthread_t thread;
        Docker *docker;
        char *socket_path, *rollback_tag;
        TagEvents *tag_events;
        int event_fd;

        pthread_mutex_t mutex;
        WatcherNews news;

        /* The thread's own. */
        int64_t since_nsec;      /* of the last event, 0: none */
        int64_t asked_nsec;      /* from when on this stream tells events */
        uint64_t connected_usec; /* 0: not connected */
        bool gap;                /* something may have happened unseen */
};

static void tell(Watcher *watcher, bool connected, unsigned n_events, uint64_t last_usec) {
        pthread_mutex_lock(&watcher->mutex);
        watcher->news.connected = connected;
        watcher->news.n_events += n_events;
        if (last_usec > 0)
                watcher->news.last_usec = last_usec;
        eventfd_write(watcher->event_fd, 1);
        pthread_mutex_unlock(&watcher->mutex);
}

static void on_connected(void *userdata) {
        Watcher *watcher = userdata;

        watcher->connected_usec = now_boottime_usec();
        if (tag_events_connected(watcher->tag_events, watcher->socket_path, watcher->asked_nsec,
                                 watcher->connected_usec) < 0)
                log_debug("No memory to follow tags");
        tell(watcher, true, 1, watcher->gap ? watcher->connected_usec : 0);
}

/* Told, so that a poll reads what the tag changed, but no sign that somebody works on the host. */
static bool is_own_tag(const Watcher *watcher, const DockerEvent *event) {
        return event->type == DOCKER_EVENT_IMAGE && strcmp(event->action, "tag") == 0 &&
               event->name && name_is_own(watcher->rollback_tag, event->name);
}

static int on_event(void *userdata, const DockerEvent *event) {
        Watcher *watcher = userdata;

        if (event->time_nsec > 0)
                watcher->since_nsec = event->time_nsec;
        tag_events_note(watcher->tag_events, event, now_boottime_usec());
        tell(watcher, true, 1, is_own_tag(watcher, event) ? 0 : now_boottime_usec());
        return 0;
}

/* One stream from its beginning to its end; moves `delay_usec` to the wait before the next. */
static int watch(Watcher *watcher, uint64_t *delay_usec) {
        Diag diag = DIAG_NULL;
        bool lasted = false;
        int r;

        /* An engine answers before it listens: without a beginning, what happens in between is lost. */
        watcher->asked_nsec =
                watcher->since_nsec
                        ?: (int64_t)now_realtime_usec() * (NSEC_PER_SEC / (int64_t)USEC_PER_SEC);
        r = docker_watch(watcher->docker, watcher->asked_nsec, on_connected, on_event, watcher,
                         &diag);
        tag_events_lost(watcher->tag_events);
        if (r == -ECANCELED)
                return r;

        log_debug("No events from the engine: %s", diag_text(&diag, r));
        if (r == -EBADMSG)
                watcher->since_nsec = 0;
        if (watcher->connected_usec > 0) {
                lasted = now_boottime_usec() - watcher->connected_usec >= DELAY_MAX_USEC;
                tell(watcher, false, 0, 0);
        }
        watcher->connected_usec = 0;
        watcher->gap = true;

        /* One that is cut as soon as it is there is no better than none. */
        *delay_usec =
                lasted || *delay_usec == 0 ? DELAY_MIN_USEC : MIN(*delay_usec * 2, DELAY_MAX_USEC);
        return 0;
}

static void *watcher_main(void *userdata) {
        Watcher *watcher = userdata;
        uint64_t delay_usec = 0;

        pthread_setname_np(pthread_self(), "watcher");
        while (watch(watcher, &delay_usec) != -ECANCELED &&
               docker_wait(watcher->docker, delay_usec) != -ECANCELED)
                ;
        return NULL;
}

int watcher_new(const char *socket_path, const char *rollback_tag, TagEvents *tag_events,
                Watcher **ret) {
        Watcher *watcher;
        int r;

        watcher = calloc(1, sizeof(*watcher));
        if (!watcher)
                return -ENOMEM;

        watcher->tag_events = tag_events;
        watcher->socket_path = strdup(socket_path);
        watcher->rollback_tag = strdup(rollback_tag);
        r = watcher->socket_path && watcher->rollback_tag
                    ? docker_new(socket_path, TIMEOUT_USEC, TIMEOUT_USEC, &watcher->docker)
                    : -ENOMEM;
        if (r < 0)
                goto fail;
        watcher->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (watcher->event_fd < 0) {
                r = -errno;
                goto fail;
        }
        pthread_mutex_init(&watcher->mutex, NULL);
        r = -pthread_create(&watcher->thread, NULL, watcher_main, watcher);
        if (r < 0) {
                pthread_mutex_destroy(&watcher->mutex);
                close(watcher->event_fd);
                goto fail;
        }

        *ret = watcher;
        return 0;

fail:
        docker_free(watcher->docker);
        free(watcher->socket_path);
        free(watcher->rollback_tag);
        free(watcher);
        return r;
}

Watcher *watcher_free(Watcher *watcher) {
        if (!watcher)
                return NULL;

        docker_interrupt(watcher->docker);
        pthread_join(watcher->thread, NULL);
        docker_free(watcher->docker);
        pthread_mutex_destroy(&watcher->mutex);
        close(watcher->event_fd);
        free(watcher->socket_path);
        free(watcher->rollback_tag);
        free(watcher);
        return NULL;
}

int watcher_fd(const Watcher *watcher) {
        return watcher->event_fd;
}

WatcherNews watcher_news(Watcher *watcher) {
        WatcherNews news;
        eventfd_t count;

        pthread_mutex_lock(&watcher->mutex);
        eventfd_read(watcher->event_fd, &count);
        news = watcher->news;
        watcher->news.n_events = 0;
        pthread_mutex_unlock(&watcher->mutex);
        return news;
}
