/* SPDX-License-Identifier: MIT */

#include "engine.h"

#include "docker/parse.h"

#define ACTOR "\"Actor\":{\"ID\":\"sha256:01\",\"Attributes\":{\"name\":\"app:1\"}}"
#define TIME "\"time\":1795268361,\"timeNano\":1795268361179265895"
#define TAG "{\"Type\":\"image\",\"Action\":\"tag\"," ACTOR "," TIME "}"
#define PRUNE                                                                \
        "{\"Type\":\"builder\",\"Action\":\"prune\",\"Actor\":{\"ID\":\"\"," \
        "\"Attributes\":{\"reclaimed\":\"0\"}},\"time\":1795268362,\"timeNano\":1795268362000000001}"

#define FILTERS                                                                                    \
        "filters=%7B%22type%22%3A%5B%22image%22%2C%22container%22%2C%22builder%22%5D%2C"           \
        "%22event%22%3A%5B%22create%22%2C%22delete%22%2C%22destroy%22%2C%22import%22%2C%22load%22" \
        "%2C%22prune%22%2C%22pull%22%2C%22rename%22%2C%22tag%22%2C%22untag%22%5D%7D"

/* What came, and the last of it. */
typedef struct News {
        size_t n_connected, n_events, n_of_type[3];
        DockerEvent last;
        char name[64];
        int error;
        Docker *interrupt;      /* by the first event */
        uint64_t deadline_usec; /* then */
} News;

static void on_connected(void *userdata) {
        ((News *)userdata)->n_connected++;
}

static int on_event(void *userdata, const DockerEvent *event) {
        News *news = userdata;

        if (news->error < 0)
                return news->error;
        news->n_events++;
        news->n_of_type[event->type]++;
        news->last = *event;
        snprintf(news->name, sizeof(news->name), "%s", event->name ? event->name : "");
        if (news->interrupt) {
                news->deadline_usec = docker_call_deadline(news->interrupt);
                docker_interrupt(news->interrupt);
        }
        return 0;
}

static void test_event(void **state) {
        static const struct {
                const char *text;
                int error;
                size_t n;
                const char *action, *id, *name;
                int64_t time_nsec;
        } cases[] = {
                { TAG, 0, 1, "tag", "sha256:01", "app:1", 1795268361179265895 },
                { PRUNE, 0, 1, "prune", "", "", 1795268362000000001 },
                { "{\"Type\":\"container\",\"Action\":\"create\"}", 0, 1, "create", "", "", 0 },
                { "{\"Type\":\"image\",\"Action\":\"pull\",\"Actor\":{\"ID\":\"busybox:1\","
                  "\"Attributes\":null},\"time\":1}",
                  0, 1, "pull", "busybox:1", "", 1000000000 },
                /* one that has no room is nobody's */
                { "{\"Type\":\"image\",\"Action\":\"pull\",\"Actor\":{\"ID\":\"registry.example:5000/"
                  "a-team-with-a-long-name/an-application-with-a-longer-name:latest\"}}",
                  0, 1, "pull", "", "", 0 },
                /* labels named so */
                { "{\"Type\":\"image\",\"Action\":\"tag\",\"Actor\":{\"Attributes\":{"
                  "\"timeNano\":\"1795268361000000007\",\"x\\\"timeNano\":\"1\"}}," TIME "}",
                  0, 1, "tag", "", "", 1795268361179265895 },
                { "{\"timeNano\":1795268361179265895,\"time\":1795268361,\"Type\":\"image\","
                  "\"Action\":\"untag\"}",
                  0, 1, "untag", "", "", 1795268361179265895 },
                /* where the two don't agree, and where the second is written otherwise */
                { "{\"Type\":\"image\",\"Action\":\"tag\",\"time\":7,\"timeNano\":8000000000}", 0,
                  1, "tag", "", "", 7000000000 },
                { "{\"Type\":\"image\",\"Action\":\"tag\",\"time\":7,\"timeNano\" : 7000000001}", 0,
                  1, "tag", "", "", 7000000000 },
                { "{\"Type\":\"image\",\"Action\":\"tag\",\"time\":7,\"timeNano\":"
                  "99999999999999999999999}",
                  0, 1, "tag", "", "", 7000000000 },
                { "{\"Type\":\"image\",\"Action\":\"tag\",\"time\":9223372035,"
                  "\"timeNano\":9223372035999999999}",
                  0, 1, "tag", "", "", 9223372035999999999 },
                /* nothing that was asked for */
                { "{}", 0, 0, NULL, NULL, NULL, 0 },
                { "{\"Type\":\"image\"}", 0, 0, NULL, NULL, NULL, 0 },
                { "{\"Type\":\"network\",\"Action\":\"create\"}", 0, 0, NULL, NULL, NULL, 0 },
                { "{\"Type\":\"container\",\"Action\":\"start\"}", 0, 0, NULL, NULL, NULL, 0 },
                { "{\"Type\":\"container\",\"Action\":\"exec_create: /bin/sh\"}", 0, 0, NULL, NULL,
                  NULL, 0 },
                { "{\"Type\":\"image\",\"Action\":\"tagged\"}", 0, 0, NULL, NULL, NULL, 0 },
                { "{\"Type\":\"plugin\",\"Action\":\"create\",\"time\":\"now\"}", 0, 0, NULL, NULL,
                  NULL, 0 },
                /* nothing that an engine says */
                { "", -EBADMSG, 0, NULL, NULL, NULL, 0 },
                { "7", -EBADMSG, 0, NULL, NULL, NULL, 0 },
                { "[]", -EBADMSG, 0, NULL, NULL, NULL, 0 },
                { "<html>", -EBADMSG, 0, NULL, NULL, NULL, 0 },
                { TAG TAG, -EBADMSG, 0, NULL, NULL, NULL, 0 },
                { "{\"Type\":7}", -EBADMSG, 0, NULL, NULL, NULL, 0 },
                { "{\"Type\":\"image\",\"Action\":7}", -EBADMSG, 0, NULL, NULL, NULL, 0 },
                { "{\"Type\":\"image\",\"Action\":\"tag\",\"Actor\":{\"ID\":7}}", -EBADMSG, 0, NULL,
                  NULL, NULL, 0 },
                { "{\"Type\":\"image\",\"Action\":\"tag\",\"Actor\":{\"Attributes\":{\"name\":7}}}",
                  -EBADMSG, 0, NULL, NULL, NULL, 0 },
                { "{\"Type\":\"image\",\"Action\":\"tag\",\"time\":\"7\"}", -EBADMSG, 0, NULL, NULL,
                  NULL, 0 },
                { "{\"Type\":\"image\",\"Action\":\"tag\",\"time\":-1}", -EBADMSG, 0, NULL, NULL,
                  NULL, 0 },
                { "{\"Type\":\"image\",\"Action\":\"tag\",\"time\":9223372036}", -EBADMSG, 0, NULL,
                  NULL, NULL, 0 },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                size_t n = strlen(cases[i].text);
                char *copy = malloc(n + 1); /* ends where the text does */
                News news = { .error = 0 };
                Diag diag = DIAG_NULL;
                int r;

                assert_non_null(copy);
                memcpy(copy + 1, cases[i].text, n);
                r = parse_event(copy + 1, n, on_event, &news, &diag);
                free(copy);
                if (r != cases[i].error || news.n_events != cases[i].n)
                        fail_msg("%s: %d, %zu (%s)", cases[i].text, r, news.n_events, diag.text);
                assert_int_equal(*diag.text == '\0', r == 0);
                if (news.n_events == 0)
                        continue;
                assert_string_equal(news.last.action, cases[i].action);
                assert_string_equal(news.last.id, cases[i].id);
                assert_string_equal(news.name, cases[i].name);
                if (news.last.time_nsec != cases[i].time_nsec)
                        fail_msg("%s: %lld", cases[i].text, (long long)news.last.time_nsec);
        }
}

/* What engines said while an image was built, tagged, run and removed, in pieces of any size. */
static void test_lines(void **state) {
        static const struct {
                const char *file;
                size_t n, n_image, n_container, n_builder;
        } cases[] = {
                { "20", 19, 13, 5, 1 },     { "28", 21, 15, 5, 1 }, { "28c", 20, 14, 5, 1 },
                { "28-all", 21, 15, 5, 1 }, { "29", 21, 15, 5, 1 },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                cleanup_free char *text = NULL;
                char name[64];
                size_t n;

                snprintf(name, sizeof(name), "../../fuzz/corpus/watch/%s", cases[i].file);
                text = fixture(name);
                n = strlen(text);
                for (size_t step = 1; step <= n; step = step * 3 + 1) {
                        cleanup(records_free) Records *records = NULL;
                        News news = { .error = 0 };
                        EventReader reader = { on_event, &news };

                        assert_int_equal(event_reader_new(&reader, &records), 0);
                        for (size_t at = 0; at < n; at += step)
                                assert_int_equal(
                                        records_feed(records, text + at, MIN(step, n - at), NULL),
                                        0);
                        assert_int_equal(news.n_events, cases[i].n);
                        assert_int_equal(news.n_of_type[DOCKER_EVENT_IMAGE], cases[i].n_image);
                        assert_int_equal(news.n_of_type[DOCKER_EVENT_CONTAINER],
                                         cases[i].n_container);
                        assert_int_equal(news.n_of_type[DOCKER_EVENT_BUILDER], cases[i].n_builder);
                }
        }
}

/* Labels of an image or a container come with its events, whatever they are. */
static void test_any_labels(void **state) {
        static char text[3 << 20];
        static const char *const labels[] = { "\"x\":\"a\\u0000b\"", "\"a\\u0000b\":\"\"",
                                              "\"x\":\"\xff\"", "\"x\":\"%*s\"" };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(labels); i++) {
                cleanup(records_free) Records *records = NULL;
                News news = { .error = 0 };
                EventReader reader = { on_event, &news };
                char label[64];
                size_t n;

                snprintf(label, sizeof(label), "%s", labels[i]);
                if (strstr(label, "%*s"))
                        snprintf(label, sizeof(label), "\"x\":\"");
                snprintf(text, 500,
                         "{\"Type\":\"image\",\"Action\":\"tag\",\"Actor\":{\"ID\":\"sha256:1\","
                         "\"Attributes\":{\"name\":\"app:1\",%s",
                         label);
                n = strlen(text);
                if (label[strlen(label) - 1] == '"' && strcmp(label, "\"x\":\"") == 0) {
                        memset(text + n, 'y', 2 << 20);
                        n += 2 << 20;
                        text[n++] = '"';
                }
                strcpy(text + n, "}},\"time\":5,\"timeNano\":5000000001}\n");
                n += strlen(text + n);
                assert_int_equal(event_reader_new(&reader, &records), 0);
                for (size_t at = 0; at < n; at += 65536)
                        assert_int_equal(
                                records_feed(records, text + at, MIN((size_t)65536, n - at), NULL),
                                0);
                assert_int_equal(news.n_events, 1);
        }
}

static void test_event_bounds(void **state) {
        cleanup(records_free) Records *records = NULL;
        News news = { .error = 0 };
        EventReader reader = { on_event, &news };
        char *text = calloc(1, EVENT_MAX * 3);
        size_t n;

        (void)state;
        assert_non_null(text);
        assert_int_equal(event_reader_new(&reader, &records), 0);
        /* an end that is not there is no end, and no event */
        assert_int_equal(records_feed(records, TAG, strlen(TAG) - 1, NULL), 0);
        assert_int_equal(news.n_events, 0);
        assert_int_equal(records_feed(records, "}\n\n\n", 4, NULL), 0);
        assert_int_equal(news.n_events, 1);

        /* a name without an end costs no more than that, and loses but the name */
        strcpy(text,
               "{\"Type\":\"image\",\"Action\":\"tag\",\"Actor\":{\"ID\":\"a\",\"Attributes\":{"
               "\"name\":\"");
        n = strlen(text);
        memset(text + n, 'x', EVENT_MAX * 2);
        n += EVENT_MAX * 2;
        strcpy(text + n, "\"}},\"time\":5}");
        assert_int_equal(records_feed(records, text, strlen(text), NULL), 0);
        assert_int_equal(news.n_events, 2);

        assert_int_equal(records_feed(records, "<html>", 6, NULL), -EBADMSG);
        assert_int_equal(news.n_events, 2);
        free(text);
}

/* An engine with a stream of events, which `then` begins and ends. */
typedef struct Stream {
        Engine engine;
        bool (*then)(Stub *stub, int fd);
} Stream;

static bool serve_stream(Stub *stub, int fd, const char *request) {
        const Stream *stream = stub->userdata;

        if (strstr(request, "/events?"))
                return stream->then(stub, fd);
        return serve(stub, fd, request);
}

static bool in_pieces(Stub *stub, int fd) {
        static const char text[] = TAG "\n" PRUNE "\n";

        stub_begin(stub, fd);
        for (size_t i = 0; i < strlen(text); i += 50) {
                char piece[51];

                snprintf(piece, sizeof(piece), "%s", text + i);
                stub_chunk(stub, fd, piece);
                usleep(1000);
        }
        return stub_end(stub, fd);
}

static bool in_one(Stub *stub, int fd) {
        return stub_reply(stub, fd, 200, "", TAG "\n" PRUNE "\n");
}

static bool cut_off(Stub *stub, int fd) {
        stub_begin(stub, fd);
        stub_chunk(stub, fd, TAG "\n{\"Type\":\"im");
        return false;
}

static bool cut_at_once(Stub *stub, int fd) {
        stub_begin(stub, fd);
        return false;
}

static bool say_nothing(Stub *stub, int fd) {
        (void)stub;
        (void)fd;
        return false;
}

static bool say_garbage(Stub *stub, int fd) {
        stub_begin(stub, fd);
        stub_chunk(stub, fd, TAG "\nWelcome\n" PRUNE "\n");
        return stub_hang(stub, fd);
}

static bool refuse(Stub *stub, int fd) {
        return stub_reply(stub, fd, 400, "", "{\"message\":\"invalid filter\"}\n");
}

static bool fail_inside(Stub *stub, int fd) {
        return stub_reply(stub, fd, 500, "", "{\"message\":\"oh no\"}\n");
}

static bool not_there(Stub *stub, int fd) {
        return stub_reply(stub, fd, 403, "", "<html>");
}

static void test_watch(void **state) {
        static const struct {
                bool (*then)(Stub *stub, int fd);
                int error;
                size_t n_connected, n_events;
        } cases[] = {
                { in_pieces, -ECONNRESET, 1, 2 },   { in_one, -ECONNRESET, 1, 2 },
                { cut_off, -ECONNRESET, 1, 1 },     { cut_at_once, -ECONNRESET, 1, 0 },
                { say_nothing, -ECONNRESET, 0, 0 }, { say_garbage, -EBADMSG, 1, 1 },
                { refuse, -EINVAL, 0, 0 },          { fail_inside, -EREMOTEIO, 0, 0 },
                { not_there, -EREMOTEIO, 0, 0 },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Stream stream = { { ENGINE_28 }, cases[i].then };
                cleanup(stub_free) Stub *stub = stub_new(serve_stream, &stream);
                cleanup(docker_free) Docker *docker = connect_to(stub);
                News news = { .error = 0 };
                int r;

                /* again and again with the same handle */
                for (size_t j = 1; j <= 3; j++) {
                        Diag diag = DIAG_NULL;

                        r = docker_watch(docker, 0, on_connected, on_event, &news, &diag);
                        if (r != cases[i].error || news.n_connected != j * cases[i].n_connected ||
                            news.n_events != j * cases[i].n_events)
                                fail_msg("%zu: %d (%s), %zu connections, %zu events", i, r,
                                         diag.text, news.n_connected, news.n_events);
                        assert_string_not_equal(diag.text, "");
                }
                assert_true(stub_count(stub, "GET /v1.51/events?" FILTERS) >= 3);
        }
}

static void test_since(void **state) {
        static const struct {
                int64_t since_nsec;
                const char *query;
        } cases[] = {
                { 0, "" },
                { 1, "since=0.000000002&" },
                { 1795268361179265895, "since=1795268361.179265896&" },
                { 1795268361999999999, "since=1795268362.000000000&" },
                { INT64_MAX - 1, "since=9223372036.854775807&" },
                { INT64_MAX, "" },
                { -1, "" },
        };
        Stream stream = { { ENGINE_20 }, in_one };
        cleanup(stub_free) Stub *stub = stub_new(serve_stream, &stream);
        cleanup(docker_free) Docker *docker = connect_to(stub);

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char request[STUB_REQUEST_MAX], expected[STUB_REQUEST_MAX];
                News news = { .error = 0 };

                assert_int_equal(docker_watch(docker, cases[i].since_nsec, on_connected, on_event,
                                              &news, NULL),
                                 -ECONNRESET);
                stub_last(stub, request);
                snprintf(expected, sizeof(expected), "GET /v1.41/events?%s%s", cases[i].query,
                         FILTERS);
                assert_string_equal(request, expected);
        }
}

static void test_sink_error(void **state) {
        Stream stream = { { ENGINE_28 }, in_pieces };
        cleanup(stub_free) Stub *stub = stub_new(serve_stream, &stream);
        cleanup(docker_free) Docker *docker = connect_to(stub);
        News news = { .error = -EMLINK };

        (void)state;
        assert_int_equal(docker_watch(docker, 0, on_connected, on_event, &news, NULL), -EMLINK);
        assert_int_equal(news.n_events, 0);
}

static bool after_a_while(Stub *stub, int fd) {
        usleep(500 * 1000);
        stub_begin(stub, fd);
        usleep(500 * 1000);
        stub_chunk(stub, fd, TAG "\n");
        return stub_hang(stub, fd);
}

/* Silence is no failure, and nothing is late. */
static void test_no_deadline(void **state) {
        Stream stream = { { ENGINE_28 }, after_a_while };
        cleanup(stub_free) Stub *stub = stub_new(serve_stream, &stream);
        cleanup(docker_free) Docker *docker = NULL;
        News news = { .deadline_usec = 7 };
        uint64_t begin = stub_now_usec();

        (void)state;
        assert_int_equal(docker_new(stub->path, 200 * USEC_PER_MSEC, TIMEOUT, &docker), 0);
        news.interrupt = docker;
        assert_int_equal(docker_watch(docker, 0, on_connected, on_event, &news, NULL), -ECANCELED);
        assert_int_equal(news.n_connected, 1);
        assert_int_equal(news.n_events, 1);
        assert_true(news.deadline_usec == 0);
        assert_true(stub_now_usec() - begin >= USEC_PER_SEC);
}

/* Agreeing on a version has its time all the same. */
static void test_hung(void **state) {
        Stream stream = { { ENGINE_28, .answers = { { "GET /_ping", 0, NULL } } }, in_one };
        cleanup(stub_free) Stub *stub = stub_new(serve_stream, &stream);
        cleanup(docker_free) Docker *docker = NULL;
        News news = { .error = 0 };

        (void)state;
        assert_int_equal(docker_new(stub->path, 200 * USEC_PER_MSEC, TIMEOUT, &docker), 0);
        assert_int_equal(docker_watch(docker, 0, on_connected, on_event, &news, NULL), -ETIMEDOUT);
        assert_int_equal(news.n_connected, 0);
}

static bool silent(Stub *stub, int fd) {
        stub_begin(stub, fd);
        return stub_hang(stub, fd);
}

static bool no_answer(Stub *stub, int fd) {
        return stub_hang(stub, fd);
}

static void test_interrupt(void **state) {
        static bool (*const thens[])(Stub * stub, int fd) = { silent, no_answer };
        uint64_t begin;
        pthread_t thread;

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(thens); i++) {
                Stream stream = { { ENGINE_28 }, thens[i] };
                cleanup(stub_free) Stub *stub = stub_new(serve_stream, &stream);
                cleanup(docker_free) Docker *docker = connect_to(stub);
                News news = { .error = 0 };

                begin = stub_now_usec();
                assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, docker), 0);
                assert_int_equal(docker_watch(docker, 0, on_connected, on_event, &news, NULL),
                                 -ECANCELED);
                assert_int_equal(pthread_join(thread, NULL), 0);
                assert_int_equal(docker_watch(docker, 0, on_connected, on_event, &news, NULL),
                                 -ECANCELED);
                assert_int_equal(docker_wait(docker, USEC_PER_HOUR), -ECANCELED);
                docker_free(docker);
                docker = connect_to(stub);
                assert_int_equal(docker_wait(docker, USEC_PER_MSEC), 0);
                assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, docker), 0);
                assert_int_equal(docker_wait(docker, USEC_PER_HOUR), -ECANCELED);
                assert_int_equal(pthread_join(thread, NULL), 0);
                assert_true(stub_now_usec() - begin < 2 * USEC_PER_SEC);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_event),      cmocka_unit_test(test_lines),
                cmocka_unit_test(test_any_labels), cmocka_unit_test(test_event_bounds),
                cmocka_unit_test(test_watch),      cmocka_unit_test(test_since),
                cmocka_unit_test(test_sink_error), cmocka_unit_test(test_no_deadline),
                cmocka_unit_test(test_hung),       cmocka_unit_test(test_interrupt),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
