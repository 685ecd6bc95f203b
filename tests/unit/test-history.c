/* SPDX-License-Identifier: MIT */

#include "grpc.h"

#include "docker/grpc.h"
#include "docker/history.h"
#include "docker/protobuf.h"

#define DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* Builds and steps as they came. */
typedef struct Seen {
        size_t n_builds, n_running, n_failed, n_steps, n_parts;
        char ref[BUILD_REF_MAX], digest[BUILD_DIGEST_MAX], step[BUILD_NAME_MAX];
        int64_t created_nsec, completed_nsec;
        size_t n_results, n_inputs;
        bool cached, started, completed, step_failed;
        int error;
} Seen;

static int on_build(void *userdata, const Build *build) {
        Seen *seen = userdata;

        seen->n_builds++;
        seen->n_running += build->running;
        seen->n_failed += build->failed;
        strcpy(seen->ref, build->ref);
        seen->created_nsec = build->created_nsec;
        seen->completed_nsec = build->completed_nsec;
        seen->n_results = build->results.n;
        snprintf(seen->digest, sizeof(seen->digest), "%s",
                 build->results.n > 0 ? build->results.v[0] : "");
        return seen->error;
}

static int on_step(void *userdata, const BuildStep *step) {
        Seen *seen = userdata;

        seen->n_steps += !step->part;
        seen->n_parts += step->part;
        strcpy(seen->step, step->name);
        seen->n_inputs = step->n_inputs;
        seen->cached = step->cached;
        seen->started = step->started;
        seen->completed = step->completed;
        seen->step_failed = step->failed;
        return seen->error;
}

static Bytes timestamp(uint64_t sec, uint64_t nsec) {
        Bytes time = { .n = 0 };

        put_number(&time, 1, sec);
        put_number(&time, 2, nsec);
        return time;
}

/* BuildResultInfo with one digest, as BuildKit 0.12 and later write it, or before. */
static Bytes result_info(bool deprecated) {
        Bytes descriptor = { .n = 0 }, entry = { .n = 0 }, info = { .n = 0 };

        put_text(&descriptor, 1, "application/vnd.docker.distribution.manifest.v2+json");
        put_text(&descriptor, 2, DIGEST);
        put_number(&descriptor, 3, 1234);
        if (deprecated) {
                put_message(&info, 1, &descriptor);
                return info;
        }
        put_number(&entry, 1, 0);
        put_message(&entry, 2, &descriptor);
        put_message(&info, 3, &entry);
        return info;
}

/* An event as BuildKit makes it: a record of a build that runs (type 0) or has ended (1). */
static Bytes event(unsigned type, bool failed) {
        Bytes record = { .n = 0 }, event = { .n = 0 }, part;

        put_text(&record, 1, "ig5wek5ui6swbntp7rettppkh");
        put_text(&record, 2, "dockerfile.v0");
        part = (Bytes){ .n = 0 };
        put_number(&part, 1, 2);
        put_text(&part, 2, "failed to solve");
        if (failed)
                put_message(&record, 5, &part);
        part = timestamp(1796030444, 727345254);
        put_message(&record, 6, &part);
        part = timestamp(1796030444, 908478552);
        if (type == 1)
                put_message(&record, 7, &part);
        part = result_info(false);
        if (type == 1 && !failed)
                put_message(&record, 10, &part);
        put_number(&record, 14, 4);
        if (type > 0)
                put_number(&event, 1, type);
        put_message(&event, 2, &record);
        return event;
}

static Bytes step(const char *name, bool cached, bool done) {
        Bytes vertex = { .n = 0 }, time = timestamp(1, 0), status = { .n = 0 };

        put_text(&vertex, 1, DIGEST);
        put_text(&vertex, 2, DIGEST);
        put_text(&vertex, 3, name);
        if (cached)
                put_number(&vertex, 4, 1);
        if (done) {
                put_message(&vertex, 5, &time);
                put_message(&vertex, 6, &time);
        }
        put_message(&status, 1, &vertex);
        return status;
}

static Bytes part_of_step(const char *name) {
        Bytes part = { .n = 0 }, status = { .n = 0 };

        put_text(&part, 1, name);
        put_text(&part, 2, DIGEST);
        put_message(&status, 2, &part);
        put_text(&status, 3, "a line that the build printed");
        return status;
}

static void test_fields(void **state) {
        static const uint8_t text[] = { 0x08, 0x96, 0x01, 0x12, 2,    'h',  'i',  0x1d, 1,
                                        0,    0,    0,    0x21, 2,    0,    0,    0,    0,
                                        0,    0,    0,    0xf8, 0xff, 0xff, 0xff, 0xf,  1 };
        Protobuf message = { text, sizeof(text) };
        ProtobufField field;
        char word[8];

        (void)state;
        assert_int_equal(protobuf_next(&message, &field), 1);
        assert_int_equal(protobuf_number(&field, 1, 7), 150);
        assert_int_equal(protobuf_number(&field, 2, 7), 7);
        assert_int_equal(protobuf_next(&message, &field), 1);
        assert_true(protobuf_is(&field, 2));
        protobuf_text(field.bytes, word, sizeof(word));
        assert_string_equal(word, "hi");
        protobuf_text(field.bytes, word, 2);
        assert_string_equal(word, "h");
        assert_int_equal(protobuf_next(&message, &field), 1);
        assert_int_equal(field.value, 1);
        assert_int_equal(protobuf_next(&message, &field), 1);
        assert_int_equal(field.value, 2);
        assert_int_equal(protobuf_next(&message, &field), 1);
        assert_int_equal(field.number, (1 << 29) - 1);
        assert_int_equal(protobuf_next(&message, &field), 0);
}

static void test_malformed_fields(void **state) {
        static const struct {
                const char *text;
                size_t n;
        } cases[] = {
                { "\x08", 1 },                                              /* no value */
                { "\x08\x80", 2 },                                          /* half a number */
                { "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12 }, /* past 64 bits */
                { "\x0a\x05hi", 4 },                                        /* longer than all */
                { "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11 },     /* length 2^64 - 1 */
                { "\x0d\x01\x02", 3 },
                { "\x09\x01\x02\x03\x04\x05\x06\x07", 8 }, /* cut off */
                { "\x0b", 1 },
                { "\x0c", 1 },
                { "\x0e", 1 },
                { "\x0f", 1 },     /* no such type */
                { "\x00\x01", 2 }, /* field 0 */
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Protobuf message = { (const uint8_t *)cases[i].text, cases[i].n };
                Seen seen = { .n_builds = 0 };
                ProtobufField field;

                assert_int_equal(protobuf_next(&message, &field), -EBADMSG);
                assert_int_equal(message.n, cases[i].n);
                assert_int_equal(
                        parse_build_event(cases[i].text, cases[i].n, on_build, &seen, NULL),
                        -EBADMSG);
                assert_int_equal(
                        parse_build_status(cases[i].text, cases[i].n, on_step, &seen, NULL),
                        -EBADMSG);
                assert_int_equal(seen.n_builds + seen.n_steps, 0);
        }
}

static void test_build(void **state) {
        Bytes running = event(0, false), complete = event(1, false), failed = event(1, true);
        Bytes deleted = event(2, false), none = { .n = 0 };
        Seen seen = { .n_builds = 0 };

        (void)state;
        assert_int_equal(parse_build_event(running.v, running.n, on_build, &seen, NULL), 0);
        assert_int_equal(seen.n_running, 1);
        assert_string_equal(seen.ref, "ig5wek5ui6swbntp7rettppkh");
        assert_int_equal(seen.created_nsec, 1796030444727345254);
        assert_int_equal(seen.completed_nsec, 0);

        assert_int_equal(parse_build_event(complete.v, complete.n, on_build, &seen, NULL), 0);
        assert_int_equal(seen.n_running, 1);
        assert_int_equal(seen.n_failed, 0);
        assert_int_equal(seen.completed_nsec, 1796030444908478552);
        assert_int_equal(seen.n_results, 1);
        assert_string_equal(seen.digest, DIGEST);

        assert_int_equal(parse_build_event(failed.v, failed.n, on_build, &seen, NULL), 0);
        assert_int_equal(seen.n_failed, 1);
        assert_int_equal(seen.n_results, 0);

        assert_int_equal(parse_build_event(deleted.v, deleted.n, on_build, &seen, NULL), 0);
        assert_int_equal(seen.n_builds, 3);
        assert_int_equal(parse_build_event(none.v, none.n, on_build, &seen, NULL), -EBADMSG);

        seen.error = -EMLINK;
        assert_int_equal(parse_build_event(running.v, running.n, on_build, &seen, NULL), -EMLINK);
}

/* One image under several keys, as an older and a newer BuildKit and one of several platforms say. */
static void test_results(void **state) {
        Bytes record = { .n = 0 }, all = { .n = 0 }, entry = { .n = 0 }, info;
        Seen seen = { .n_builds = 0 };

        (void)state;
        put_text(&record, 1, "r");
        info = result_info(true);
        put_message(&record, 10, &info);
        put_text(&entry, 1, "linux/amd64");
        info = result_info(false);
        put_message(&entry, 2, &info);
        put_message(&record, 11, &entry);
        put_number(&all, 1, 1);
        put_message(&all, 2, &record);
        assert_int_equal(parse_build_event(all.v, all.n, on_build, &seen, NULL), 0);
        assert_int_equal(seen.n_results, 1);
        assert_string_equal(seen.digest, DIGEST);
        assert_int_equal(seen.created_nsec, 0);
}

static void test_steps(void **state) {
        Bytes ran = step("[2/3] COPY a /app/", false, true),
              cached = step("[3/3] RUN x", true, true);
        Bytes merged = step("[3/3] RUN x", false, false), part = part_of_step("exporting layers");
        Seen seen = { .n_builds = 0 };

        (void)state;
        assert_int_equal(parse_build_status(ran.v, ran.n, on_step, &seen, NULL), 0);
        assert_string_equal(seen.step, "[2/3] COPY a /app/");
        assert_true(seen.started && seen.completed && !seen.cached && !seen.step_failed);
        assert_int_equal(seen.n_inputs, 1);
        assert_int_equal(parse_build_status(cached.v, cached.n, on_step, &seen, NULL), 0);
        assert_true(seen.cached);
        assert_int_equal(parse_build_status(merged.v, merged.n, on_step, &seen, NULL), 0);
        assert_true(!seen.cached && !seen.started);
        assert_int_equal(seen.n_steps, 3);
        assert_int_equal(parse_build_status(part.v, part.n, on_step, &seen, NULL), 0);
        assert_int_equal(seen.n_parts, 1);
        assert_string_equal(seen.step, "exporting layers");
}

static int count_message(void *userdata, const void *data, size_t n, Diag *reterr_diag) {
        Bytes *all = userdata;

        (void)reterr_diag;
        put(all, data, n);
        put_byte(all, '|');
        return 0;
}

static void test_frames(void **state) {
        static const char text[] = "\0\0\0\0\2hi\0\0\0\0\0\0\0\0\0\3you";

        (void)state;
        for (size_t step = 1; step < sizeof(text); step++) {
                GrpcReader reader = { { 0 } };
                Bytes all = { .n = 0 };

                for (size_t at = 0; at < sizeof(text) - 1; at += step) {
                        if (at > 0 && at < 7)
                                assert_int_equal(grpc_reader_finish(&reader, NULL), -EBADMSG);
                        assert_int_equal(grpc_reader_feed(&reader, text + at,
                                                          MIN(step, sizeof(text) - 1 - at),
                                                          count_message, &all, NULL),
                                         0);
                }
                assert_int_equal(grpc_reader_finish(&reader, NULL), 0);
                assert_memory_equal(all.v, "hi||you|", 8);
                assert_int_equal(all.n, 8);
                grpc_reader_done(&reader);
        }
}

static void test_refused_frames(void **state) {
        GrpcReader compressed = { { 0 } }, long_one = { { 0 } };
        Bytes all = { .n = 0 };

        (void)state;
        assert_int_equal(
                grpc_reader_feed(&compressed, "\1\0\0\0\2hi", 7, count_message, &all, NULL),
                -EBADMSG);
        assert_int_equal(grpc_reader_feed(&long_one, "\0\1\0\0\1", 5, count_message, &all, NULL),
                         -EBADMSG);
        assert_int_equal(all.n, 0);
        grpc_reader_done(&compressed);
        grpc_reader_done(&long_one);
}

/* How an engine answers. */
typedef enum Case {
        LISTS,
        STATUS_EARLY, /* no headers but the trailers */
        UNIMPLEMENTED,
        UNKNOWN_JOB,
        NOT_FOUND,
        FORBIDDEN,
        BROKEN,
        NO_HTTP,
        LONG_HEAD,
        CLOSED,
        CLOSED_AFTER_101,
        GARBAGE_AFTER_101,
        NO_TRAILERS,
        HALF_A_MESSAGE,
        COMPRESSED,
        TOO_LONG,
        GOAWAY,
        HANGS,
        HANGS_AFTER_101,
} Case;

static bool serve_h2(Stub *stub, int fd, Case what) {
        Bytes request, body = { .n = 0 }, running = event(0, false), complete = event(1, false);

        if (what == CLOSED_AFTER_101 || what == GARBAGE_AFTER_101)
                return stub_text(stub, fd, UPGRADED) &&
                       stub_text(stub, fd,
                                 what == CLOSED_AFTER_101 ? "" : "no HTTP/2 at all ....") &&
                       false;
        if (!h2_accept(stub, fd, &request))
                return false;
        switch (what) {
        case HANGS_AFTER_101:
                return stub_hang(stub, fd);
        case STATUS_EARLY:
        case UNIMPLEMENTED:
        case UNKNOWN_JOB: {
                Bytes head = { .n = 0 };
                const char *status = what == STATUS_EARLY ? "0" : what == UNKNOWN_JOB ? "2" : "12";

                put(&head, STATUS_200, 1);
                put_byte(&head, 0);
                put_byte(&head, strlen("grpc-status"));
                put(&head, "grpc-status", strlen("grpc-status"));
                put_byte(&head, (unsigned)strlen(status));
                put(&head, status, strlen(status));
                (void)h2_send(stub, fd, H2_HEADERS, H2_END_HEADERS | H2_END_STREAM, 1, head.v,
                              head.n);
                return stub_hang(stub, fd);
        }
        case GOAWAY:
                (void)h2_send(stub, fd, H2_GOAWAY, 0, 0, "\0\0\0\0\0\0\0\2", 8);
                return false;
        default:
                break;
        }

        put_grpc(&body, what == COMPRESSED, what == TOO_LONG ? 17U << 20 : running.n, &running);
        if (what == LISTS)
                put_grpc(&body, 0, complete.n, &complete);
        if (what == HALF_A_MESSAGE)
                body.n -= 3;
        (void)(h2_headers(stub, fd) && h2_send(stub, fd, H2_DATA, 0, 1, body.v, body.n));
        if (what == NO_TRAILERS)
                return h2_send(stub, fd, H2_DATA, H2_END_STREAM, 1, "", 0) && stub_hang(stub, fd);
        return h2_trailers(stub, fd, "0") && stub_hang(stub, fd);
}

static bool serve(Stub *stub, int fd, const char *request) {
        Case what = *(const Case *)stub->userdata;

        assert_string_equal(request, "POST /grpc");
        assert_non_null(strstr(stub->raw, "\r\nConnection: Upgrade\r\n"));
        assert_non_null(strstr(stub->raw, "\r\nUpgrade: h2c\r\n"));
        switch (what) {
        case NOT_FOUND:
                return stub_reply(stub, fd, 404, "", "{\"message\":\"page not found\"}");
        case FORBIDDEN:
                return stub_reply(stub, fd, 403, "", "<html>Forbidden</html>");
        case BROKEN:
                return stub_reply(stub, fd, 500, "", "{\"message\":\"no\"}");
        case NO_HTTP:
                return stub_text(stub, fd, "220 smtp.example.org ESMTP\r\n\r\n");
        case LONG_HEAD:
                return stub_endless(stub, fd, "HTTP/1.1 101 UPGRADED\r\nX: ");
        case CLOSED:
                return false;
        case HANGS:
                return stub_hang(stub, fd);
        default:
                return serve_h2(stub, fd, what);
        }
}

static Docker *client(const Stub *stub, uint64_t timeout_usec) {
        Docker *docker = NULL;

        assert_int_equal(docker_new(stub->path, timeout_usec, timeout_usec, &docker), 0);
        return docker;
}

static void test_answers(void **state) {
        static const struct {
                Case what;
                int error;
                size_t n_builds;
        } cases[] = {
                { LISTS, 0, 2 },
                { STATUS_EARLY, 0, 0 },
                { UNIMPLEMENTED, -EOPNOTSUPP, 0 },
                { UNKNOWN_JOB, -EREMOTEIO, 0 },
                { NOT_FOUND, -EOPNOTSUPP, 0 },
                { FORBIDDEN, -EOPNOTSUPP, 0 },
                { BROKEN, -EREMOTEIO, 0 },
                { NO_HTTP, -EBADMSG, 0 },
                { LONG_HEAD, -EBADMSG, 0 },
                { CLOSED, -ECONNRESET, 0 },
                { CLOSED_AFTER_101, 1, 0 },
                { GARBAGE_AFTER_101, 1, 0 },
                { NO_TRAILERS, -ECONNRESET, 1 },
                { HALF_A_MESSAGE, -EBADMSG, 0 },
                { COMPRESSED, -EBADMSG, 0 },
                { TOO_LONG, -EBADMSG, 0 },
                { GOAWAY, 1, 0 },
                { HANGS, -ETIMEDOUT, 0 },
                { HANGS_AFTER_101, -ETIMEDOUT, 0 },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                bool hangs = cases[i].error == -ETIMEDOUT;
                cleanup(stub_free) Stub *stub = stub_new(serve, &cases[i].what);
                cleanup(docker_free) Docker *docker =
                        client(stub, hangs ? 300 * USEC_PER_MSEC : 10 * USEC_PER_SEC);
                uint64_t begin = stub_now_usec();

                /* Twice: each call makes a connection of its own. */
                for (unsigned k = 0; k < 2; k++) {
                        Seen seen = { .n_builds = 0 };
                        Diag diag = DIAG_NULL;
                        int r = docker_builds(docker, BUILDS_ALL, on_build, &seen, &diag);

                        if (cases[i].error > 0) /* curl's words and codes differ */
                                assert_true(r == -ECONNRESET || r == -EBADMSG);
                        else
                                assert_int_equal(r, cases[i].error);
                        assert_int_equal(seen.n_builds, cases[i].n_builds);
                        assert_true((r < 0) == !!*diag.text);
                        assert_int_equal(docker_call_deadline(docker), 0);
                }
                assert_true(stub_now_usec() - begin < 5 * USEC_PER_SEC);
                assert_int_equal(stub_n_connections(stub), 2);
        }
}

/* An error of the callback ends the call, whatever else the engine has to say. */
static void test_sink_error(void **state) {
        static const Case what = LISTS;
        cleanup(stub_free) Stub *stub = stub_new(serve, &what);
        cleanup(docker_free) Docker *docker = client(stub, 10 * USEC_PER_SEC);
        Seen seen = { .error = -EMLINK };

        (void)state;
        assert_int_equal(docker_builds(docker, BUILDS_ALL, on_build, &seen, NULL), -EMLINK);
        assert_int_equal(seen.n_builds, 1);
}

static bool serve_steps(Stub *stub, int fd, const char *request) {
        bool inline_cache = *(const bool *)stub->userdata;
        Bytes asked, body = { .n = 0 }, one = step("[1/1] COPY a /", false, true);
        Bytes part = part_of_step(inline_cache ? "preparing layers for inline cache"
                                               : "exporting layers");

        (void)request;
        if (!h2_accept(stub, fd, &asked))
                return false;
        assert_int_equal(asked.n, 5 + 2 + 3);
        assert_memory_equal(asked.v, "\0\0\0\0\5\x0a\3ref", 10);
        put_grpc(&body, 0, one.n, &one);
        put_grpc(&body, 0, part.n, &part);
        return h2_headers(stub, fd) && h2_send(stub, fd, H2_DATA, 0, 1, body.v, body.n) &&
               h2_trailers(stub, fd, "0") && stub_hang(stub, fd);
}

static int note_inline_cache(void *userdata, const BuildStep *step) {
        bool *found = userdata;

        *found |= build_step_is_inline_cache(step);
        return 0;
}

static void test_inline_cache(void **state) {
        (void)state;
        for (unsigned i = 0; i < 2; i++) {
                const bool inline_cache = i;
                cleanup(stub_free) Stub *stub = stub_new(serve_steps, &inline_cache);
                cleanup(docker_free) Docker *docker = client(stub, 10 * USEC_PER_SEC);
                bool found = false;

                assert_int_equal(docker_build_steps(docker, "ref", note_inline_cache, &found, NULL),
                                 0);
                assert_int_equal(found, inline_cache);
                assert_int_equal(docker_build_steps(docker, "", note_inline_cache, &found, NULL),
                                 -EINVAL);
        }
}

static void *interrupt_soon(void *userdata) {
        usleep(200 * 1000);
        docker_interrupt(userdata);
        return NULL;
}

/* In the upgrade, and in the answer; also before the first call made its handle. */
static void test_interrupt(void **state) {
        static const Case cases[] = { HANGS, HANGS_AFTER_101 };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                cleanup(stub_free) Stub *stub = stub_new(serve, &cases[i]);
                cleanup(docker_free) Docker *docker = client(stub, USEC_PER_HOUR);
                uint64_t begin = stub_now_usec();
                Seen seen = { .n_builds = 0 };
                pthread_t thread;

                docker_interrupt(docker);
                assert_int_equal(docker_builds(docker, BUILDS_ALL, on_build, &seen, NULL),
                                 -ECANCELED);
                docker_free(docker);
                docker = client(stub, USEC_PER_HOUR);
                assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, docker), 0);
                assert_int_equal(docker_builds(docker, BUILDS_ALL, on_build, &seen, NULL),
                                 -ECANCELED);
                assert_int_equal(pthread_join(thread, NULL), 0);
                assert_true(stub_now_usec() - begin < 3 * USEC_PER_SEC);
        }
}

static void test_no_engine(void **state) {
        cleanup(docker_free) Docker *docker = NULL;
        Seen seen = { .n_builds = 0 };

        (void)state;
        assert_int_equal(
                docker_new("/nonexistent/docker.sock", USEC_PER_SEC, USEC_PER_SEC, &docker), 0);
        assert_int_equal(docker_builds(docker, BUILDS_ALL, on_build, &seen, NULL), -ECONNREFUSED);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fields),         cmocka_unit_test(test_malformed_fields),
                cmocka_unit_test(test_build),          cmocka_unit_test(test_results),
                cmocka_unit_test(test_steps),          cmocka_unit_test(test_frames),
                cmocka_unit_test(test_refused_frames), cmocka_unit_test(test_answers),
                cmocka_unit_test(test_sink_error),     cmocka_unit_test(test_inline_cache),
                cmocka_unit_test(test_interrupt),      cmocka_unit_test(test_no_engine),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
