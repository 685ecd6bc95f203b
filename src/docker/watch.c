/* SPDX-License-Identifier: MIT */

/*
 * The stream of events is one long answer: it is cut into events as bytes arrive. The trap is its end:
 * an answer that ends in good order is a stream that was lost.
 */

#include "docker/watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/span.h"
#include "docker/call.h"
#include "docker/parse.h"
#include "wire/json.h"

#define EVENTS_USEC_MAX USEC_PER_SEC
#define SEC_MAX (INT64_MAX / NSEC_PER_SEC - 1)

/* The engine takes an event of which both are named, and so do we. */
static const char *const types[] = {
        [DOCKER_EVENT_IMAGE] = "image",
        [DOCKER_EVENT_CONTAINER] = "container",
        [DOCKER_EVENT_BUILDER] = "builder",
};
static const char *const actions[] = {
        "create", "delete", "destroy", "import", "load", "prune", "pull", "rename", "tag", "untag",
};

/* Its place in a list; the list's length if it is in none. */
static size_t find(const char *const *list, size_t n, const char *text) {
        size_t i = 0;

        while (i < n && strcmp(list[i], text) != 0)
                i++;
        return i;
}

/*
 * A number's own digits: as cJSON's double, this one is off by up to 128 ns. Its name may stand in
 * what people wrote, but no number is behind it there; `sec` is what the right one agrees with.
 */
static int64_t read_time_nsec(const char *text, size_t n, int64_t sec) {
        static const char name[] = "\"timeNano\":";
        const char *p = text, *end = text + n;

        while ((p = memmem(p, (size_t)(end - p), name, strlen(name)))) {
                uint64_t nsec = 0;

                p += strlen(name);
                for (unsigned i = 0; i < 19 && p < end && *p >= '0' && *p <= '9'; i++)
                        nsec = nsec * 10 + (uint64_t)(*p++ - '0');
                if (nsec / (uint64_t)NSEC_PER_SEC == (uint64_t)sec)
                        return (int64_t)nsec;
        }

        return sec * NSEC_PER_SEC;
}

int parse_event(const char *text, size_t n, DockerEventSink sink, void *userdata,
                Diag *reterr_diag) {
        const char *type = "", *action = "", *id = "";
        cleanup(json_free) Json *json = NULL;
        DockerEvent event = { 0 };
        const Json *actor;
        int64_t sec = 0;
        size_t i;
        int r;

        r = json_parse_foreign(text, n, &json);
        if (r < 0 || !json_is_object(json))
                return parse_failed(reterr_diag, r < 0 ? r : -EBADMSG, "an event is not JSON");
        if (json_read_string(json, "Type", &type) < 0 ||
            json_read_string(json, "Action", &action) < 0)
                return diag_set(reterr_diag, -EBADMSG, "an event is malformed");

        i = find(types, ELEMENTSOF(types), type);
        if (i == ELEMENTSOF(types) ||
            find(actions, ELEMENTSOF(actions), action) == ELEMENTSOF(actions))
                return 0;

        actor = json_get(json, "Actor");
        if (json_read_string(actor, "ID", &id) < 0 ||
            json_read_string(json_get(actor, "Attributes"), "name", &event.name) < 0 ||
            json_read_int(json, "time", &sec) < 0 || sec < 0 || sec > SEC_MAX)
                return diag_set(reterr_diag, -EBADMSG, "an event (%s %s) is malformed", type,
                                action);

        event.type = (__typeof__(event.type))i;
        strcpy(event.action, action);
        if (strlen(id) < sizeof(event.id))
                strcpy(event.id, id);
        event.time_nsec = read_time_nsec(text, n, sec);
        return sink(userdata, &event);
}

const char *const parse_event_members[] = { "Type",     "Action",   "time",
                                            "timeNano", "Actor/ID", "Actor/Attributes/name",
                                            NULL };

/* A name that is too long is missing: what happened is told all the same. */
static int on_event(void *userdata, const char *text, size_t n, const char *defect,
                    Diag *reterr_diag) {
        const EventReader *reader = userdata;

        (void)defect;

        return parse_event(text, n, reader->sink, reader->userdata, reterr_diag);
}

int event_reader_new(EventReader *reader, Records **ret) {
        const RecordsWant want = { .keep = parse_event_members, .element_max = EVENT_MAX };

        return records_new(&want, on_event, NULL, reader, ret);
}

static int add_filter(Json *filters, const char *name, const char *const *list, size_t n) {
        Json *array = json_new_array();
        int r = 0;

        for (size_t i = 0; i < n; i++)
                r |= json_append_string(array, list[i]);
        return r | json_add(filters, name, array);
}

static void format_time(char buffer[static 64], const char *name, int64_t nsec) {
        snprintf(buffer, 64, "%s=%" PRId64 ".%09" PRId64 "&", name, nsec / NSEC_PER_SEC,
                 nsec % NSEC_PER_SEC);
}

/* `until_nsec` 0: without end. */
static char *events_path(int64_t since_nsec, int64_t until_nsec) {
        cleanup(json_free) Json *filters = json_new_object();
        cleanup_free char *text = NULL, *encoded = NULL;
        char since[64] = "", until[64] = "", *path;

        if (add_filter(filters, "type", types, ELEMENTSOF(types)) < 0 ||
            add_filter(filters, "event", actions, ELEMENTSOF(actions)) < 0)
                return NULL;

        text = json_text(filters);
        encoded = text ? http_encode(text) : NULL;
        if (!encoded)
                return NULL;

        if (since_nsec > 0 && since_nsec < INT64_MAX)
                format_time(since, "since", since_nsec + 1);
        if (until_nsec > 0)
                format_time(until, "until", until_nsec);

        return asprintf(&path, "/events?%s%sfilters=%s", since, until, encoded) < 0 ? NULL : path;
}

typedef struct Watch {
        EventReader reader;
        Records *records;
        void (*connected)(void *userdata);
} Watch;

static void watch_donep(Watch *watch) {
        records_free(watch->records);
}

static void on_begin(void *userdata) {
        Watch *watch = userdata;

        watch->connected(watch->reader.userdata);
}

static int on_bytes(void *userdata, const char *data, size_t n, Diag *reterr_diag) {
        Watch *watch = userdata;

        return records_feed(watch->records, data, n, reterr_diag);
}

int docker_watch(Docker *docker, int64_t since_nsec, void (*connected)(void *userdata),
                 DockerEventSink sink, void *userdata, Diag *reterr_diag) {
        cleanup_free char *path = events_path(since_nsec, 0);
        cleanup(watch_done) Watch watch = { { sink, userdata }, NULL, connected };
        const Request request = {
                .method = "GET",
                .path = path,
                .deadline_usec = USEC_INFINITY,
                .on_begin = on_begin,
        };
        int r;

        if (!path)
                return -ENOMEM;

        r = event_reader_new(&watch.reader, &watch.records);
        if (r >= 0)
                r = docker_call(docker, &request, on_bytes, &watch, NULL, reterr_diag);
        if (r < 0)
                return r;

        return diag_set(reterr_diag, -ECONNRESET, "the engine ended its stream of events");
}

int docker_events_since(Docker *docker, int64_t since_nsec, DockerEventSink sink, void *userdata,
                        Diag *reterr_diag) {
        cleanup_free char *path = events_path(
                since_nsec, (int64_t)now_realtime_usec() * (NSEC_PER_SEC / (int64_t)USEC_PER_SEC));
        cleanup(watch_done) Watch watch = { { sink, userdata }, NULL, NULL };
        const Request request = {
                .method = "GET",
                .path = path,
                .deadline_usec = now_monotonic_usec() + EVENTS_USEC_MAX,
        };
        int r;

        if (!path)
                return -ENOMEM;
        r = event_reader_new(&watch.reader, &watch.records);
        return r < 0 ? r : docker_call(docker, &request, on_bytes, &watch, NULL, reterr_diag);
}
