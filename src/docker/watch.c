/* SPDX-License-Identifier: MIT */

/*
 * The stream of events is one long answer: it is cut into lines as bytes arrive, and each line is
 * an event. The trap is its end: an answer that ends in good order is a stream that was lost.
 */

#include "docker/watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "docker/call.h"
#include "docker/parse.h"
#include "wire/json.h"

#define NSEC_PER_SEC INT64_C(1000000000)
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

        r = json_parse(text, n, &json);
        if (r < 0 || !json_is_object(json))
                return diag_set(reterr_diag, r < 0 ? r : -EBADMSG, "an event is not JSON");
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

void event_lines_done(EventLines *lines) {
        free(lines->text);
        *lines = (EventLines){ 0 };
}

static int add_to_line(EventLines *lines, const char *data, size_t n, Diag *reterr_diag) {
        void *text;

        if (n > EVENT_LINE_MAX - lines->n)
                return diag_set(reterr_diag, -EBADMSG, "an event is longer than %u bytes",
                                EVENT_LINE_MAX);

        text = array_reserve(lines->text, &lines->size, lines->n, n, 1);
        if (!text)
                return -ENOMEM;

        lines->text = text;
        memcpy(lines->text + lines->n, data, n);
        lines->n += n;
        return 0;
}

int event_lines_feed(EventLines *lines, const char *data, size_t n, DockerEventSink sink,
                     void *userdata, Diag *reterr_diag) {
        const char *end = data + n, *newline;
        int r;

        for (; data < end; data = newline + 1) {
                newline = memchr(data, '\n', (size_t)(end - data));
                r = add_to_line(lines, data, (size_t)((newline ? newline : end) - data),
                                reterr_diag);
                if (r < 0 || !newline)
                        return r;

                n = lines->n;
                lines->n = 0;
                r = n > 0 ? parse_event(lines->text, n, sink, userdata, reterr_diag) : 0;
                if (r < 0)
                        return r;
        }

        return 0;
}

static int add_filter(Json *filters, const char *name, const char *const *list, size_t n) {
        Json *array = json_new_array();
        int r = 0;

        for (size_t i = 0; i < n; i++)
                r |= json_append_string(array, list[i]);
        return r | json_add(filters, name, array);
}

static char *events_path(int64_t since_nsec) {
        cleanup(json_free) Json *filters = json_new_object();
        cleanup_free char *text = NULL, *encoded = NULL;
        char since[64] = "", *path;

        if (add_filter(filters, "type", types, ELEMENTSOF(types)) < 0 ||
            add_filter(filters, "event", actions, ELEMENTSOF(actions)) < 0)
                return NULL;

        text = json_text(filters);
        encoded = text ? http_encode(text) : NULL;
        if (!encoded)
                return NULL;

        if (since_nsec > 0 && since_nsec < INT64_MAX) {
                since_nsec++;
                snprintf(since, sizeof(since), "since=%" PRId64 ".%09" PRId64 "&",
                         since_nsec / NSEC_PER_SEC, since_nsec % NSEC_PER_SEC);
        }

        return asprintf(&path, "/events?%sfilters=%s", since, encoded) < 0 ? NULL : path;
}

typedef struct Watch {
        EventLines lines;
        void (*connected)(void *userdata);
        DockerEventSink sink;
        void *userdata;
} Watch;

static void on_begin(void *userdata) {
        Watch *watch = userdata;

        watch->connected(watch->userdata);
}

static int on_bytes(void *userdata, const char *data, size_t n, Diag *reterr_diag) {
        Watch *watch = userdata;

        return event_lines_feed(&watch->lines, data, n, watch->sink, watch->userdata, reterr_diag);
}

int docker_watch(Docker *docker, int64_t since_nsec, void (*connected)(void *userdata),
                 DockerEventSink sink, void *userdata, Diag *reterr_diag) {
        cleanup_free char *path = events_path(since_nsec);
        Watch watch = { { 0 }, connected, sink, userdata };
        const Request request = {
                .method = "GET",
                .path = path,
                .deadline_usec = USEC_INFINITY,
                .on_begin = on_begin,
        };
        int r;

        if (!path)
                return -ENOMEM;

        r = docker_call(docker, &request, on_bytes, &watch, NULL, reterr_diag);
        event_lines_done(&watch.lines);
        if (r < 0)
                return r;

        return diag_set(reterr_diag, -ECONNRESET, "the engine ended its stream of events");
}
