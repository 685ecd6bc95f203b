/* SPDX-License-Identifier: MIT */

#include "engine.h"

#include "base/span.h"

static void test_negotiate(void **state) {
        static const struct {
                const char *server, *announced, *version, *api_version;
                int error;
        } cases[] = {
                { "Docker/20.10.24+dfsg1 (linux)", "1.41", "20.10.24+dfsg1", "1.41", 0 },
                { "Docker/26.1.5+dfsg1 (linux)", "1.45", "26.1.5+dfsg1", "1.45", 0 },
                { "Docker/28.5.2 (linux)", "1.51", "28.5.2", "1.51", 0 },
                { "Docker/29.0.0 (linux)", "1.52", "29.0.0", "1.52", 0 },
                { "Docker/29.3.0 (linux)", "1.54", "29.3.0", "1.54", 0 },
                { "Docker/29.7.2 (linux)", "1.55", "29.7.2", "1.55", 0 },
                { "Docker/30.0.0 (linux)", "1.60", "30.0.0", "1.55", 0 },
                { "Docker/40.0.0 (linux)", "2.1", "40.0.0", "1.55", 0 },
                { "Docker/19.03.0 (linux)", "1.40", "19.03.0", "1.40", 0 },
                { "BaseHTTP/0.6 Python/3.11", "1.41", "20.10.24+dfsg1", "1.41",
                  0 }, /* from /info */
                { "", "1.41", "20.10.24+dfsg1", "1.41", 0 },
                { "Docker/18.09.0 (linux)", "1.39", NULL, NULL, -EPROTONOSUPPORT },
                { "", "", NULL, NULL, -EPROTONOSUPPORT },
                { "x", "new", NULL, NULL, -EBADMSG },
                { "x", "1.", NULL, NULL, -EBADMSG },
                { "x", "1.41.2", NULL, NULL, -EBADMSG },
                { "x", "1.99999999999999", NULL, NULL, -EBADMSG },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Engine engine = { cases[i].server, cases[i].announced, "@20-info.json" };
                cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
                cleanup(docker_free) Docker *docker = connect_to(stub);
                const EngineInfo *info = NULL;
                Diag diag = DIAG_NULL;
                char path[64];
                int r;

                r = docker_negotiate(docker, &info, &diag);
                if (r != cases[i].error)
                        fail_msg("%s: %d (%s)", cases[i].announced, r, diag.text);
                assert_int_equal(stub_count(stub, "GET /_ping"), 1);
                if (r < 0) {
                        assert_string_not_equal(diag.text, "");
                        continue;
                }

                assert_string_equal(info->version, cases[i].version);
                assert_string_equal(info->api_version, cases[i].api_version);
                assert_int_equal(info->api_major, 1);
                assert_int_equal(info->api_minor, atoi(cases[i].api_version + 2));
                assert_string_equal(info->root_dir, "/var/lib/docker");
                assert_string_equal(info->driver, "overlay2");
                assert_int_equal(info->image_store, IMAGE_STORE_GRAPHDRIVER);
                snprintf(path, sizeof(path), "GET /v%s/info", cases[i].api_version);
                assert_int_equal(stub_count(stub, path), 1);

                /* Over the same connection there is nothing new to learn. */
                assert_int_equal(docker_negotiate(docker, &info, NULL), 0);
                assert_int_equal(stub_n_requests(stub), 4);
        }
}

static void test_negotiate_info(void **state) {
        static const struct {
                int status;
                const char *info;
                int error;
                const char *words;
        } cases[] = {
                { 400,
                  "{\"message\":\"client version 1.55 is too old. Minimum supported API version is "
                  "1.56, please upgrade your client to a newer version\"}\n",
                  -EPROTONOSUPPORT, "Minimum supported API version is 1.56" },
                { 400, "client version 1.55 is too old. Minimum supported API version is 1.56",
                  -EPROTONOSUPPORT, "does not take API 1.55" },
                { 500, "{\"message\":\"oh no\"}", -EREMOTEIO, "oh no" },
                { 200, "", -EBADMSG, "malformed" },
                { 200, "[]", -EBADMSG, "malformed" },
                { 200, "{}", -EBADMSG, "no data root" },
                { 200, "{\"DockerRootDir\":\"relative\"}", -EBADMSG, "no data root" },
                { 200, "{\"DockerRootDir\":7}", -EBADMSG, "malformed" },
                { 200, "<html>", -EBADMSG, "GET /info: the answer is not JSON" },
                { 502, "<html>\n<b>Bad Gateway</b>\n", -EREMOTEIO,
                  "GET /info was answered with 502: <html> <b>Bad Gateway</b>" },
                { 503, "", -EREMOTEIO, "GET /info was answered with 503" },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Engine engine = { ENGINE_29, .answers = { { "GET /v1.55/info", cases[i].status,
                                                            cases[i].info } } };
                cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
                cleanup(docker_free) Docker *docker = connect_to(stub);
                const EngineInfo *info = NULL;
                ImageSet images = { .n = 1 };
                Diag diag = DIAG_NULL;

                assert_int_equal(docker_negotiate(docker, &info, &diag), cases[i].error);
                assert_null(info);
                if (!strstr(diag.text, cases[i].words))
                        fail_msg("%s", diag.text);

                /* the other calls go no further */
                stub_forget(stub);
                assert_int_equal(docker_images(docker, &images, NULL), cases[i].error);
                assert_int_equal(images.n, 0);
                assert_int_equal(stub_n_requests(stub), 3);
        }
}

static void test_store(void **state) {
        Engine engine = { ENGINE_29 };
        cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
        cleanup(docker_free) Docker *docker = connect_to(stub);
        const EngineInfo *info;

        (void)state;
        assert_int_equal(docker_negotiate(docker, &info, NULL), 0);
        assert_int_equal(info->image_store, IMAGE_STORE_CONTAINERD);
        assert_string_equal(info->driver, "overlayfs");
}

/* Podman is refused before anything else is asked of it; recorded of Podman 4.3.1. */
static void test_podman(void **state) {
        static const struct {
                const char *server, *version;
                int status, error;
        } cases[] = {
                { "Libpod/4.3.1 (linux)\r\nLibpod-Api-Version: 4.3.1", "", 404, -EPROTONOSUPPORT },
                { "Libpod/4.3.1 (linux)", "@podman-version.json", 200, -EPROTONOSUPPORT },
                { "", "@podman-version.json", 200, -EPROTONOSUPPORT },
                { "Docker/28.5.2 (linux)", "@podman-version.json", 200, -EPROTONOSUPPORT },
                { "Docker/28.5.2 (linux)", "@28-version.json", 200, 0 },
                /* what can't be told counts as Docker */
                { "", "{\"message\":\"forbidden\"}", 403, 0 },
                { "", "{}", 200, 0 },
                { "", "{\"Components\":null}", 200, 0 },
                { "", "{\"Components\":[{\"Name\":\"a\\u0000b\"},null,7]}", 200, 0 },
                { "", "[]", 200, 0 },
                { "", "<html>", 200, 0 },
                { "", "", 200, 0 },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Engine engine = { cases[i].server, "1.41", "@20-info.json",
                                  .answers = { { "GET /v1.41/version", cases[i].status,
                                                 cases[i].version },
                                               { "GET /v1.41/images/json", 200, "[]" } } };
                cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
                cleanup(docker_free) Docker *docker = connect_to(stub);
                Diag diag = DIAG_NULL;
                ImageSet images;

                assert_int_equal(docker_images(docker, &images, &diag), cases[i].error);
                if (cases[i].error == 0)
                        continue;
                assert_non_null(strstr(diag.text, "the socket of Podman"));
                for (size_t k = 0; k < stub_n_requests(stub); k++)
                        assert_true(strcmp(stub->requests[k], "GET /_ping") == 0 ||
                                    strcmp(stub->requests[k], "GET /v1.41/version") == 0);
        }
}

/* What went away while the engine looked at it is no failure of the engine's: a few tries more. */
static void test_gone_meanwhile(void **state) {
        static const struct {
                const char *body;
                int status;
                size_t n_failures, n_requests;
                int error;
        } cases[] = {
                { "{\"message\":\"failed to read config content: NotFound\"}", 500, 2, 3, 0 },
                { "{\"message\":\"snapshot sha256:1 does not exist: not found\"}", 500, 1, 2, 0 },
                { "{\"message\":\"failed to read config content: NotFound\"}", 500, 0, 6,
                  -EREMOTEIO },
                { "{\"message\":\"oh no\"}", 500, 0, 1, -EREMOTEIO },
                { "{\"message\":\"failed to read config content: rpc error: code = NotFound\"}",
                  404, 2, 3, 0 },
                { "{\"message\":\"content digest sha256:1: not found\"}", 404, 0, 6, -ENOENT },
                { "{\"message\":\"page not found\"}", 404, 0, 1, -ENOENT },
                { "{\"message\":\"not found\"}", 503, 0, 1, -EREMOTEIO },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Engine engine = { ENGINE_28,
                                  .answers = {
                                          { "GET /v1.51/images/json", cases[i].status,
                                            cases[i].body, cases[i].n_failures },
                                          { "GET /v1.51/images/json", 200, "[{\"Id\":\"a\"}]" } } };
                cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
                cleanup(docker_free) Docker *docker = connect_to(stub);
                Diag diag = DIAG_NULL;
                ImageSet images;

                assert_int_equal(docker_images(docker, &images, &diag), cases[i].error);
                assert_int_equal(images.n, cases[i].error == 0);
                assert_int_equal(stub_count(stub, "GET /v1.51/images/json?all=1"),
                                 cases[i].n_requests);
                if (cases[i].error < 0)
                        assert_int_equal(
                                strncmp(diag.text, "GET /images/json was answered with ", 35), 0);
                image_set_done(&images);
        }
}

/* The engine is upgraded, or put back, between two calls. */
static void test_replaced(void **state) {
        Engine old = { ENGINE_20, .answers = { { "GET /v1.41/images/json", 200, "[]" },
                                               { "POST /v1.41/build/prune", 200, "{}" } } };
        Engine new = { ENGINE_29, .answers = { { "GET /v1.55/images/json", 200, "[]" },
                                               { "POST /v1.55/build/prune", 200, "{}" } } };
        cleanup(stub_free) Stub *stub = stub_new(serve, &old);
        cleanup(docker_free) Docker *docker = connect_to(stub);
        const EngineInfo *info;
        ImageSet images;
        uint64_t bytes;
        size_t n;

        (void)state;
        assert_int_equal(docker_images(docker, &images, NULL), 0);
        assert_int_equal(stub_n_requests(stub), 4);
        assert_int_equal(docker_images(docker, &images, NULL), 0);
        assert_int_equal(stub_n_requests(stub), 5);

        stub_stop(stub);
        stub->userdata = &new;
        stub_run(stub, serve);
        stub_forget(stub);
        assert_int_equal(docker_prune_build_cache(docker, NULL, &n, &bytes, NULL), 0);
        assert_string_equal(stub->requests[0], "GET /_ping");
        assert_string_equal(stub->requests[1], "GET /v1.55/version");
        assert_string_equal(stub->requests[2], "GET /v1.55/info");
        assert_string_equal(stub->requests[3], "POST /v1.55/build/prune?all=1");
        assert_int_equal(stub_n_requests(stub), 4);

        stub_stop(stub);
        stub->userdata = &old;
        stub_run(stub, serve);
        stub_forget(stub);
        assert_int_equal(docker_negotiate(docker, &info, NULL), 0);
        assert_string_equal(info->version, "20.10.24+dfsg1");
        assert_int_equal(docker_images(docker, &images, NULL), 0);
        assert_int_equal(stub_n_requests(stub), 4);

        /* gone, and back */
        stub_stop(stub);
        assert_int_equal(docker_images(docker, &images, NULL), -ECONNREFUSED);
        stub_run(stub, serve);
        assert_int_equal(docker_images(docker, &images, NULL), 0);
}

/* A proxy keeps its connection to us while the engine behind it is another one. */
static void test_replaced_behind_proxy(void **state) {
        Engine engine = {
                ENGINE_20,
                .answers = { { "GET /v1.51", 400,
                               "{\"message\":\"client version 1.51 is too new. Maximum supported API "
                               "version is 1.41\"}\n" },
                             { "GET /v1.41/images/json", 200, "[]" } },
        };
        Engine before = { ENGINE_28, .answers = { { "GET /v1.51/images/json", 200, "[]" } } };
        cleanup(stub_free) Stub *stub = stub_new(serve, &before);
        cleanup(docker_free) Docker *docker = connect_to(stub);
        Diag diag = DIAG_NULL;
        ImageSet images;

        (void)state;
        assert_int_equal(docker_images(docker, &images, NULL), 0);
        atomic_store(&stub->userdata, (const void *)&engine);
        stub_forget(stub);
        assert_int_equal(docker_images(docker, &images, &diag), 0);
        assert_string_equal(diag.text, "");
        assert_string_equal(stub->requests[0], "GET /v1.51/images/json?all=1");
        assert_string_equal(stub->requests[1], "GET /_ping");
        assert_string_equal(stub->requests[2], "GET /v1.41/version");
        assert_string_equal(stub->requests[3], "GET /v1.41/info");
        assert_string_equal(stub->requests[4], "GET /v1.41/images/json?all=1");
        assert_int_equal(stub_n_connections(stub), 0);
}

/* Something in between that closes the connection after each answer. */
static void test_always_closed(void **state) {
        Engine engine = { ENGINE_28, .close = true,
                          .answers = { { "GET /v1.51/images/json", 200, "[]" },
                                       { "POST /v1.51/images/x/tag", 201, "" } } };
        cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
        cleanup(docker_free) Docker *docker = connect_to(stub);
        ImageSet images;

        (void)state;
        for (size_t i = 0; i < 2; i++) {
                assert_int_equal(docker_images(docker, &images, NULL), 0);
                assert_int_equal(docker_tag(docker, "x", "a", "b", NULL), 0);
        }
        assert_int_equal(stub_count(stub, "POST /v1.51/images/x/tag?repo=a&tag=b"), 2);
}

typedef struct Pair {
        Docker *docker;
        Stub *stub;
} Pair;

/* Once the engine has the prune */
static void *interrupt_prune(void *userdata) {
        Pair *pair = userdata;

        for (unsigned i = 0; i < 1000 && stub_n_requests(pair->stub) < 4; i++)
                usleep(1000);
        docker_interrupt(pair->docker);
        return NULL;
}

/* Cut where that is safe; below engine 25 it runs to its own deadline (moby/buildkit#4399). */
static void test_prune_interrupt(void **state) {
        static const struct {
                const char *api_version;
                uint64_t timeout_usec;
                int error;
        } cases[] = {
                { "1.44", 30 * USEC_PER_SEC, -ECANCELED },
                { "1.55", 30 * USEC_PER_SEC, -ECANCELED },
                { "1.43", USEC_PER_SEC, -ETIMEDOUT },
                { "1.41", USEC_PER_SEC, -ETIMEDOUT },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Engine engine = { "Docker/x (linux)", cases[i].api_version, "@20-info.json",
                                  .answers = { { "POST /", 0, NULL } } };
                cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
                cleanup(docker_free) Docker *docker = NULL;
                uint64_t bytes, begin;
                pthread_t thread;
                ImageSet images;
                Pair pair;
                size_t n;

                assert_int_equal(docker_new(stub->path, TIMEOUT, cases[i].timeout_usec, &docker),
                                 0);
                begin = stub_now_usec();
                pair = (Pair){ docker, stub };
                assert_int_equal(pthread_create(&thread, NULL, interrupt_prune, &pair), 0);
                assert_int_equal(docker_prune_build_cache(docker, NULL, &n, &bytes, NULL),
                                 cases[i].error);
                assert_true(stub_now_usec() - begin < 10 * USEC_PER_SEC);
                assert_int_equal(pthread_join(thread, NULL), 0);
                assert_int_equal(docker_images(docker, &images, NULL), -ECANCELED);
        }
}

/* A wait between two tries ends at once, too. */
static void test_retry_interrupt(void **state) {
        Engine engine = { ENGINE_20, .answers = { { "POST /", 409, PRUNE_BUSY },
                                                  { "GET /v1.41/system/df", 500, DF_BUSY } } };
        cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
        cleanup(docker_free) Docker *docker = connect_to(stub);
        Seen seen = { .error = 0 };
        pthread_t thread;
        uint64_t bytes;
        size_t n;

        (void)state;
        assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, docker), 0);
        assert_int_equal(docker_prune_build_cache(docker, NULL, &n, &bytes, NULL), -ECANCELED);
        assert_int_equal(pthread_join(thread, NULL), 0);
        docker_free(docker);
        docker = connect_to(stub);
        assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, docker), 0);
        assert_int_equal(docker_build_cache(docker, keep_record, &seen, &seen.unreadable, NULL),
                         -ECANCELED);
        assert_int_equal(pthread_join(thread, NULL), 0);
}

/* -ENOENT is for what the engine does not know. */
static void test_no_socket(void **state) {
        Engine engine = { ENGINE_28 };
        cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
        cleanup(docker_free) Docker *docker = connect_to(stub);
        Diag diag = DIAG_NULL;
        ImageSet images;

        (void)state;
        assert_int_equal(unlink(stub->path), 0);
        assert_int_equal(docker_images(docker, &images, &diag), -ECONNREFUSED);
        assert_non_null(strstr(diag.text, "No such file"));
        assert_true(docker_call_deadline(docker) == 0);
}

/* -ECONNREFUSED is for one that is not there: to who clears, that no container runs. */
static void test_full_queue(void **state) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        Engine engine = { ENGINE_28, .answers = { { "GET /v1.51/images/json", 200, "[]" } } };
        cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
        cleanup(docker_free) Docker *docker = connect_to(stub);
        ImageSet images = { .n = 7 };
        size_t deleted;
        int fds[8];

        (void)state;
        stub_stop(stub);
        assert_int_equal(docker_images(docker, &images, NULL), -ECONNREFUSED);

        unlink(stub->path);
        strcpy(address.sun_path, stub->path);
        fds[0] = stub_listen(stub->path);
        assert_int_equal(listen(fds[0], 1), 0);
        for (size_t i = 1; i < ELEMENTSOF(fds); i++) {
                fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
                (void)!connect(fds[i], (struct sockaddr *)&address, sizeof(address));
        }
        assert_int_equal(docker_images(docker, &images, NULL), -ETIMEDOUT);
        assert_int_equal(images.n, 0);
        assert_int_equal(docker_untag(docker, "app:1", &deleted, NULL), -ETIMEDOUT);
        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                close(fds[i]);

        stub_run(stub, serve);
        assert_int_equal(docker_images(docker, &images, NULL), 0);
}

static void *look_at_deadline(void *userdata) {
        uint64_t now = now_boottime_usec(), deadline = 0;

        for (unsigned i = 0; i < 100 && deadline == 0; i++) {
                usleep(1000);
                deadline = docker_call_deadline(userdata);
        }
        return deadline > now && deadline < now + TIMEOUT ? userdata : NULL;
}

static void test_deadline(void **state) {
        Engine engine = { ENGINE_28, .answers = { { "GET /v1.51/images/json", 0, NULL } } };
        cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
        cleanup(docker_free) Docker *docker = NULL;
        uint64_t begin = stub_now_usec();
        Diag diag = DIAG_NULL;
        ImageSet images;
        pthread_t thread;
        void *seen;

        (void)state;
        assert_int_equal(docker_new(stub->path, 300 * USEC_PER_MSEC, TIMEOUT, &docker), 0);
        assert_int_equal(pthread_create(&thread, NULL, look_at_deadline, docker), 0);
        assert_int_equal(docker_images(docker, &images, &diag), -ETIMEDOUT);
        assert_string_not_equal(diag.text, "");
        assert_int_equal(pthread_join(thread, &seen), 0);
        assert_non_null(seen);
        assert_true(docker_call_deadline(docker) == 0);
        assert_in_range(stub_now_usec() - begin, 290 * USEC_PER_MSEC, 3 * USEC_PER_SEC);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_negotiate),
                cmocka_unit_test(test_negotiate_info),
                cmocka_unit_test(test_store),
                cmocka_unit_test(test_podman),
                cmocka_unit_test(test_gone_meanwhile),
                cmocka_unit_test(test_replaced),
                cmocka_unit_test(test_replaced_behind_proxy),
                cmocka_unit_test(test_always_closed),
                cmocka_unit_test(test_prune_interrupt),
                cmocka_unit_test(test_retry_interrupt),
                cmocka_unit_test(test_deadline),
                cmocka_unit_test(test_no_socket),
                cmocka_unit_test(test_full_queue),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
