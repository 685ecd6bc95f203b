/* SPDX-License-Identifier: MIT */

/*
 * An event is dated when it is heard, which is never before the tag was made: an image inspected in
 * between is inspected once more, and none is missed. The trap is a pull, whose event has the name in
 * place of the image's id: it counts as an event of every image.
 */

#include "janitor/tag-events.h"

#include <pthread.h>
#include <string.h>

#include "base/span.h"
#include "base/text.h"
#include "janitor/inventory.h"

/* An engine that did not tell its events, or too late, is not asked again for so long. */
#define RETRY_USEC USEC_PER_MINUTE

/* The engine drops events for a reader that leaves 1,024 unread (docker/watch.h). A watcher that was held
 * up reads those at once, so that many events in a moment count as a gap; half as many, since a moment may
 * fall into two. */
#define MOMENT_USEC (2 * USEC_PER_SEC)
#define MOMENT_MAX 512

typedef struct TagEvent {
        uint64_t id_hash; /* two images with one hash share their events */
        uint64_t heard_usec;
} TagEvent;

typedef struct TagName {
        char id[IMAGE_ID_MAX];
        char *name;
} TagName;

struct TagEvents {
        pthread_mutex_t mutex;
        char *socket_path;    /* of the stream, NULL: there was none yet */
        uint64_t whole_usec;  /* what was heard is complete after this time; USEC_INFINITY: never */
        uint64_t newest_usec; /* of all events but those of trash tags */
        uint64_t moment_usec; /* when the present moment began */
        size_t n_moment;      /* events in it, of any kind */
        uint64_t ask_usec;    /* the engine is not asked before */
        int64_t heard_nsec;   /* the engine's time up to which events were heard */
        size_t n_names;
        TagName names[TAG_NAMES_MAX]; /* the oldest first */
        size_t n;
        TagEvent v[TAG_EVENTS_MAX]; /* each image once */
};

int tag_events_new(TagEvents **ret) {
        TagEvents *events = calloc(1, sizeof(*events));

        if (!events)
                return -ENOMEM;
        pthread_mutex_init(&events->mutex, NULL);
        events->whole_usec = USEC_INFINITY;
        *ret = events;
        return 0;
}

TagEvents *tag_events_free(TagEvents *events) {
        if (!events)
                return NULL;
        pthread_mutex_destroy(&events->mutex);
        for (size_t i = 0; i < events->n_names; i++)
                free(events->names[i].name);
        free(events->socket_path);
        free(events);
        return NULL;
}

int tag_events_connected(TagEvents *events, const char *socket_path, int64_t since_nsec,
                         uint64_t now_usec) {
        char *copy = strdup(socket_path);

        if (!copy)
                return -ENOMEM;
        pthread_mutex_lock(&events->mutex);
        free(events->socket_path);
        events->socket_path = copy;
        events->whole_usec = now_usec;
        events->heard_nsec = since_nsec;
        events->n = 0;
        pthread_mutex_unlock(&events->mutex);
        return 0;
}

void tag_events_lost(TagEvents *events) {
        pthread_mutex_lock(&events->mutex);
        events->whole_usec = USEC_INFINITY;
        pthread_mutex_unlock(&events->mutex);
}

/* Neither untag nor delete gives an image a name; a later tag has an event of its own. */
static bool gives_name(const DockerEvent *event) {
        static const char *const actions[] = { "create", "import", "load", "pull", "tag" };

        for (size_t i = 0; event->type == DOCKER_EVENT_IMAGE && i < ELEMENTSOF(actions); i++)
                if (strcmp(event->action, actions[i]) == 0)
                        return true;
        return false;
}

static TagEvent *find(TagEvents *events, uint64_t id_hash) {
        for (size_t i = 0; i < events->n; i++)
                if (events->v[i].id_hash == id_hash)
                        return &events->v[i];
        return NULL;
}

/* The entry with the oldest event, which is forgotten. */
static TagEvent *forget_oldest(TagEvents *events) {
        TagEvent *oldest = &events->v[0];

        for (size_t i = 1; i < events->n; i++)
                if (events->v[i].heard_usec < oldest->heard_usec)
                        oldest = &events->v[i];
        events->whole_usec = MAX(events->whole_usec, oldest->heard_usec);
        return oldest;
}

static void note_image(TagEvents *events, const char *id, uint64_t now_usec) {
        uint64_t id_hash = text_hash(id);
        TagEvent *entry = find(events, id_hash);

        if (!entry)
                entry = events->n < TAG_EVENTS_MAX ? &events->v[events->n++]
                                                   : forget_oldest(events);
        *entry = (TagEvent){ id_hash, now_usec };
}

/* A name that can't be kept is one that was not heard. */
static void note_name(TagEvents *events, const DockerEvent *event) {
        char *name = strdup(event->name);

        if (!name)
                return;
        if (events->n_names == TAG_NAMES_MAX) {
                free(events->names[0].name);
                events->n_names--;
                memmove(&events->names[0], &events->names[1],
                        events->n_names * sizeof(*events->names));
        }
        strcpy(events->names[events->n_names].id, event->id);
        events->names[events->n_names++].name = name;
}

void tag_events_take_names(TagEvents *events,
                           bool (*sink)(void *userdata, const char *id, const char *name),
                           void *userdata) {
        size_t n = 0;

        if (!events)
                return;
        pthread_mutex_lock(&events->mutex);
        for (size_t i = 0; i < events->n_names; i++) {
                if (sink(userdata, events->names[i].id, events->names[i].name))
                        free(events->names[i].name);
                else
                        events->names[n++] = events->names[i];
        }
        events->n_names = n;
        pthread_mutex_unlock(&events->mutex);
}

static void count_event(TagEvents *events, uint64_t now_usec) {
        if (now_usec - events->moment_usec >= MOMENT_USEC) {
                events->moment_usec = now_usec;
                events->n_moment = 0;
        }
        if (++events->n_moment >= MOMENT_MAX)
                events->whole_usec = MAX(events->whole_usec, now_usec);
}

void tag_events_note(TagEvents *events, const DockerEvent *event, uint64_t now_usec) {
        pthread_mutex_lock(&events->mutex);
        count_event(events, now_usec);
        if (event->time_nsec > 0)
                events->heard_nsec = event->time_nsec;
        if (gives_name(event)) {
                if (strncmp(event->id, "sha256:", strlen("sha256:")) == 0)
                        note_image(events, event->id, now_usec);
                else
                        events->whole_usec = MAX(events->whole_usec, now_usec);
                if (!event->name || !name_is_trash(event->name))
                        events->newest_usec = now_usec;
                if (event->name && !name_is_trash(event->name) && strcmp(event->action, "tag") == 0)
                        note_name(events, event);
        }
        pthread_mutex_unlock(&events->mutex);
}

static int note_late(void *userdata, const DockerEvent *event) {
        tag_events_note(userdata, event, now_boottime_usec());
        return 0;
}

bool tag_events_sync(TagEvents *events, Docker *docker, const char *socket_path) {
        int64_t heard_nsec;
        bool ask;

        if (!events)
                return false;
        pthread_mutex_lock(&events->mutex);
        ask = events->whole_usec != USEC_INFINITY && now_boottime_usec() >= events->ask_usec &&
              strcmp(events->socket_path, socket_path) == 0;
        heard_nsec = events->heard_nsec;
        pthread_mutex_unlock(&events->mutex);
        if (!ask)
                return false;
        if (docker_events_since(docker, heard_nsec, note_late, events, NULL) >= 0)
                return true;
        pthread_mutex_lock(&events->mutex);
        events->ask_usec = now_boottime_usec() + RETRY_USEC;
        pthread_mutex_unlock(&events->mutex);
        return false;
}

bool tag_events_none_of(TagEvents *events, const char *id, uint64_t since_usec) {
        const TagEvent *entry;
        bool none;

        pthread_mutex_lock(&events->mutex);
        entry = find(events, text_hash(id));
        none = since_usec > events->whole_usec && (!entry || entry->heard_usec < since_usec);
        pthread_mutex_unlock(&events->mutex);
        return none;
}

bool tag_events_none(TagEvents *events, uint64_t since_usec) {
        bool none;

        pthread_mutex_lock(&events->mutex);
        none = since_usec > events->whole_usec && events->newest_usec < since_usec;
        pthread_mutex_unlock(&events->mutex);
        return none;
}

bool tag_events_none_now(TagEvents *events, Docker *docker, const char *socket_path,
                         uint64_t since_usec) {
        return since_usec > 0 && tag_events_sync(events, docker, socket_path) &&
               tag_events_none(events, since_usec);
}
