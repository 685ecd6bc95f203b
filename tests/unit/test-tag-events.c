/* SPDX-License-Identifier: MIT */

#include "engine.h"

#include "base/span.h"
#include "base/text.h"
#include "janitor/tag-events.h"

static TagEvents *connected(uint64_t usec) {
        TagEvents *events = NULL;

        assert_int_equal(tag_events_new(&events), 0);
        assert_int_equal(tag_events_connected(events, "/run/docker.sock", 1, usec), 0);
        return events;
}

static void note(TagEvents *events, const char *action, const char *id, const char *name,
                 uint64_t usec) {
        DockerEvent event = { .type = DOCKER_EVENT_IMAGE, .name = name, .time_nsec = 5 };

        strcpy(event.action, action);
        strcpy(event.id, id);
        tag_events_note(events, &event, usec);
}

/* An image inspected at 200 may have got a name by an event heard then or later. */
static void test_an_image_with_an_event(void **state) {
        cleanup(tag_events_free) TagEvents *events = connected(100);

        (void)state;
        assert_true(tag_events_none_of(events, "sha256:01", 200));
        note(events, "tag", "sha256:01", "app:1", 200);
        assert_false(tag_events_none_of(events, "sha256:01", 200));
        assert_true(tag_events_none_of(events, "sha256:01", 201));
        assert_true(tag_events_none_of(events, "sha256:02", 200));
        note(events, "tag", "sha256:01", "app:1", 300);
        assert_false(tag_events_none_of(events, "sha256:01", 300));
}

static void test_actions(void **state) {
        static const struct {
                const char *action;
                bool gives_name;
        } cases[] = {
                { "create", true }, { "import", true },  { "load", true },   { "tag", true },
                { "untag", false }, { "delete", false }, { "prune", false },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                cleanup(tag_events_free) TagEvents *events = connected(100);
                DockerEvent other = { .type = DOCKER_EVENT_CONTAINER, .id = "sha256:01" };

                strcpy(other.action, cases[i].action);
                tag_events_note(events, &other, 300);
                assert_true(tag_events_none_of(events, "sha256:01", 200));
                note(events, cases[i].action, "sha256:01", NULL, 300);
                assert_int_equal(tag_events_none_of(events, "sha256:01", 200),
                                 !cases[i].gives_name);
                assert_int_equal(tag_events_none(events, 200), !cases[i].gives_name);
        }
}

/* The event of a pull tells the name, and no id. */
static void test_a_pull_is_an_event_of_every_image(void **state) {
        cleanup(tag_events_free) TagEvents *events = connected(100);

        (void)state;
        note(events, "pull", "debian:13", "debian", 300);
        assert_false(tag_events_none_of(events, "sha256:01", 300));
        assert_false(tag_events_none(events, 300));
        assert_true(tag_events_none_of(events, "sha256:01", 301));
}

/* A trash tag moves no name away from another image, and is an event of its own image. */
static void test_trash_tags(void **state) {
        cleanup(tag_events_free) TagEvents *events = connected(100);

        (void)state;
        note(events, "tag", "sha256:01", "wpcache-trash:01", 300);
        assert_true(tag_events_none(events, 200));
        assert_false(tag_events_none_of(events, "sha256:01", 200));
        note(events, "tag", "sha256:01", "app:wpcache-rollback-1", 400);
        assert_false(tag_events_none(events, 200));
}

static void test_gap(void **state) {
        cleanup(tag_events_free) TagEvents *events = NULL;

        (void)state;
        assert_int_equal(tag_events_new(&events), 0);
        assert_false(tag_events_none_of(events, "sha256:01", 200));
        assert_false(tag_events_none(events, 200));

        assert_int_equal(tag_events_connected(events, "/run/docker.sock", 1, 300), 0);
        assert_false(tag_events_none_of(events, "sha256:01", 0)); /* never inspected */
        assert_false(tag_events_none_of(events, "sha256:01", 300));
        assert_true(tag_events_none_of(events, "sha256:01", 301));

        tag_events_lost(events);
        assert_false(tag_events_none_of(events, "sha256:01", 500));
        assert_false(tag_events_none(events, 500));
        assert_int_equal(tag_events_connected(events, "/run/docker.sock", 1, 400), 0);
        assert_false(tag_events_none_of(events, "sha256:01", 301));
        assert_true(tag_events_none_of(events, "sha256:01", 401));
}

/* The oldest event is forgotten, and with it what was known up to then. */
static void test_overflow(void **state) {
        cleanup(tag_events_free) TagEvents *events = connected(100);
        const uint64_t begin = USEC_PER_MINUTE, step = 10 * USEC_PER_MSEC;
        const uint64_t end = begin + TAG_EVENTS_MAX * step;
        char id[IMAGE_ID_MAX];

        (void)state;
        for (unsigned i = 0; i < TAG_EVENTS_MAX; i++) {
                snprintf(id, sizeof(id), "sha256:%04x", i);
                note(events, "tag", id, "app:1", begin + i * step);
        }
        assert_true(tag_events_none_of(events, "sha256:ffff", 101));
        note(events, "tag", "sha256:0000", "app:1", end); /* 0001 is the oldest now */
        note(events, "tag", "sha256:eeee", "app:1", end + 1);
        assert_false(tag_events_none_of(events, "sha256:ffff", begin + step));
        assert_true(tag_events_none_of(events, "sha256:ffff", begin + step + 1));
        assert_false(tag_events_none_of(events, "sha256:0001", begin + step));
        assert_false(tag_events_none_of(events, "sha256:0000", end));
        assert_false(tag_events_none_of(events, "sha256:eeee", end + 1));
}

/* So many at once that the engine may have dropped some, of whatever kind. */
static void test_many_events_at_once_are_a_gap(void **state) {
        cleanup(tag_events_free) TagEvents *events = connected(100);
        const uint64_t begin = USEC_PER_MINUTE;

        (void)state;
        for (unsigned i = 0; i < 1024; i++)
                note(events, "delete", "sha256:01", NULL, begin + i);
        assert_false(tag_events_none_of(events, "sha256:02", begin));
        assert_true(tag_events_none_of(events, "sha256:02", begin + 1024));
}

#define LATE                                                                                  \
        "{\"Type\":\"image\",\"Action\":\"tag\",\"Actor\":{\"ID\":\"sha256:01\"},\"time\":7," \
        "\"timeNano\":7000000009}\n"

typedef struct Late {
        Engine engine;
        const char *events; /* NULL: the answer does not come */
} Late;

static bool serve_late(Stub *stub, int fd, const char *request) {
        Late *late = (Late *)(uintptr_t)stub->userdata;

        if (!strstr(request, "/events?"))
                return serve(stub, fd, request);
        assert_non_null(strstr(request, "&until="));
        if (!late->events)
                return stub_hang(stub, fd);
        stub_begin(stub, fd);
        if (late->events[0])
                stub_chunk(stub, fd, late->events);
        return stub_end(stub, fd);
}

/* What the stream has not delivered yet is asked for, from the last event that was heard. */
static void test_late_events(void **state) {
        Late late = { { ENGINE_28 }, "" };
        cleanup(stub_free) Stub *stub = stub_new(serve_late, &late);
        cleanup(docker_free) Docker *docker = NULL;
        cleanup(tag_events_free) TagEvents *events = NULL;
        char request[STUB_REQUEST_MAX];
        uint64_t now = now_boottime_usec();

        (void)state;
        assert_int_equal(docker_new(stub->path, USEC_PER_MINUTE, USEC_PER_MINUTE, &docker), 0);
        assert_int_equal(tag_events_new(&events), 0);
        assert_false(tag_events_sync(NULL, docker, stub->path));
        assert_false(tag_events_sync(events, docker, stub->path)); /* not connected */
        assert_int_equal(tag_events_connected(events, stub->path, 1000000001, now), 0);
        assert_false(tag_events_sync(events, docker, "/run/other.sock"));

        assert_true(tag_events_sync(events, docker, stub->path));
        assert_true(tag_events_none_of(events, "sha256:01", now + 1));
        stub_last(stub, request);
        assert_non_null(strstr(request, "/events?since=1.000000002&until="));
        late.events = LATE;
        assert_true(tag_events_sync(events, docker, stub->path));
        assert_false(tag_events_none_of(events, "sha256:01", now + 1));
        late.events = "";
        assert_true(tag_events_sync(events, docker, stub->path));
        stub_last(stub, request);
        assert_non_null(strstr(request, "/events?since=7.000000010&until="));
}

/* An engine whose clock is behind answers when its clock is there. It is not asked again at once. */
static void test_no_answer(void **state) {
        Late late = { { ENGINE_28 }, NULL };
        cleanup(stub_free) Stub *stub = stub_new(serve_late, &late);
        cleanup(docker_free) Docker *docker = NULL;
        cleanup(tag_events_free) TagEvents *events = NULL;
        uint64_t begin = stub_now_usec();

        (void)state;
        assert_int_equal(docker_new(stub->path, USEC_PER_MINUTE, USEC_PER_MINUTE, &docker), 0);
        assert_int_equal(tag_events_new(&events), 0);
        assert_int_equal(tag_events_connected(events, stub->path, 1, now_boottime_usec()), 0);
        assert_false(tag_events_sync(events, docker, stub->path));
        assert_in_range(stub_now_usec() - begin, 900 * USEC_PER_MSEC, 10 * USEC_PER_SEC);
        begin = stub_now_usec();
        assert_false(tag_events_sync(events, docker, stub->path));
        assert_true(stub_now_usec() - begin < 500 * USEC_PER_MSEC);
}

/* Names as "ID NAME", but those of sha256:02, which are left. */
static bool on_name(void *userdata, const char *id, const char *name) {
        Strv *names = userdata;
        cleanup_free char *text = text_format("%s %s", id, name);

        assert_int_equal(strv_add(names, text), 0);
        return strcmp(id, "sha256:02") != 0;
}

static void test_names(void **state) {
        cleanup(tag_events_free) TagEvents *events = connected(100);
        cleanup(strv_done) Strv names = STRV_NULL;

        (void)state;
        tag_events_take_names(NULL, on_name, &names);
        note(events, "tag", "sha256:01", "app:1", 200);
        note(events, "untag", "sha256:01", "app:1", 200);
        note(events, "tag", "sha256:02", "app:1", 200);
        note(events, "tag", "sha256:03", NULL, 200);
        note(events, "create", "sha256:04", "sha256:04", 200);
        note(events, "tag", "sha256:05", "wpcache-trash:05", 200);
        tag_events_take_names(events, on_name, &names);
        tag_events_lost(events);
        tag_events_take_names(events, on_name, &names);
        assert_int_equal(names.n, 3);
        assert_string_equal(names.v[0], "sha256:01 app:1");
        assert_string_equal(names.v[1], "sha256:02 app:1");
        assert_string_equal(names.v[2], "sha256:02 app:1");
}

static void test_many_names(void **state) {
        cleanup(tag_events_free) TagEvents *events = connected(100);
        cleanup(strv_done) Strv names = STRV_NULL;
        char name[16];

        (void)state;
        for (unsigned i = 0; i < TAG_NAMES_MAX + 5; i++) {
                snprintf(name, sizeof(name), "app:%u", i);
                note(events, "tag", "sha256:01", name, 200);
        }
        tag_events_take_names(events, on_name, &names);
        assert_int_equal(names.n, TAG_NAMES_MAX);
        assert_string_equal(names.v[0], "sha256:01 app:5");
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_an_image_with_an_event),
                cmocka_unit_test(test_actions),
                cmocka_unit_test(test_a_pull_is_an_event_of_every_image),
                cmocka_unit_test(test_trash_tags),
                cmocka_unit_test(test_gap),
                cmocka_unit_test(test_overflow),
                cmocka_unit_test(test_many_events_at_once_are_a_gap),
                cmocka_unit_test(test_late_events),
                cmocka_unit_test(test_no_answer),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_many_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
