/* SPDX-License-Identifier: MIT */

/* What is asked of BuildKit's build records: the stages of builds, inline cache metadata, and the images that
 * builds needed. */

#include "grpc.h"
#include "host.h"

#include "base/text.h"
#include "docker/api.h"
#include "janitor/build-steps.h"

#define N_UNREADABLE 3

/* "unreadable" is the result of builds "bad0" to "badN", the newest of all, "image" that of "good0" to "goodN",
 * and "old" that of "last", the oldest. */
typedef struct Records {
        unsigned n_bad, n_good;
        const char *bad_status; /* gRPC's; NULL: the message is malformed */
        unsigned n_asked;
} Records;

static Bytes record(const char *ref, const char *id, uint64_t completed_sec) {
        Bytes completed = { .n = 0 }, descriptor = { .n = 0 }, result = { .n = 0 };
        Bytes build = { .n = 0 }, event = { .n = 0 };

        put_number(&completed, 1, completed_sec);
        put_text(&descriptor, 2, host_id(id));
        put_message(&result, 1, &descriptor);
        put_text(&build, 1, ref);
        put_message(&build, 7, &completed);
        put_message(&build, 10, &result);
        put_number(&event, 1, 1);
        put_message(&event, 2, &build);
        return event;
}

static bool send_message(Stub *stub, int fd, const Bytes *message) {
        Bytes body = { .n = 0 };

        put_grpc(&body, 0, message->n, message);
        return h2_send(stub, fd, H2_DATA, 0, 1, body.v, body.n);
}

static bool list(Stub *stub, int fd, const Records *records) {
        bool sent = h2_headers(stub, fd);
        char ref[16];

        for (unsigned i = 0; i < records->n_bad + records->n_good && sent; i++) {
                const bool bad = i < records->n_bad;
                Bytes message;

                snprintf(ref, sizeof(ref), "%s%u", bad ? "bad" : "good", i);
                message = record(ref, bad ? "unreadable" : "image", 1000 - i);
                sent = send_message(stub, fd, &message);
        }
        if (sent) {
                Bytes message = record("last", "old", 1);

                sent = send_message(stub, fd, &message);
        }
        return sent && h2_trailers(stub, fd, "0") && stub_hang(stub, fd);
}

static bool tell_steps(Stub *stub, int fd) {
        static const char *const names[] = {
                "[internal] load metadata for docker.io/library/watchparty-base:1",
                "FROM docker.io/library/watchparty-tools:latest@sha256:0123",
                "[builder 1/3] FROM docker.io/library/watchparty-base:1",
                "[builder 2/3] RUN make",
                "[stage-1 1/2] FROM docker.io/team/watchparty-web@sha256:0123",
        };
        Bytes status = { .n = 0 };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                Bytes vertex = { .n = 0 };

                put_text(&vertex, 1, "sha256:1");
                put_text(&vertex, 3, names[i]);
                put_message(&status, 1, &vertex);
        }
        return h2_headers(stub, fd) && send_message(stub, fd, &status) &&
               h2_trailers(stub, fd, "0") && stub_hang(stub, fd);
}

static bool serve(Stub *stub, int fd, const char *request) {
        Records *records = (Records *)(uintptr_t)stub->userdata;
        Bytes asked, broken = { .n = 0 };
        char ref[8] = "";

        (void)request;
        if (!h2_accept(stub, fd, &asked))
                return false;
        if (asked.v[5] != 0x0a)
                return list(stub, fd, records);
        memcpy(ref, asked.v + 7, MIN((size_t)asked.v[6], sizeof(ref) - 1));
        records->n_asked++;
        if (strncmp(ref, "bad", 3) != 0)
                return tell_steps(stub, fd);
        if (records->bad_status)
                return h2_headers(stub, fd) && h2_trailers(stub, fd, records->bad_status) &&
                       stub_hang(stub, fd);
        put_byte(&broken, 0x0a);
        put_byte(&broken, 100);
        return h2_headers(stub, fd) && send_message(stub, fd, &broken) &&
               h2_trailers(stub, fd, "0") && stub_hang(stub, fd);
}

static Docker *client(const Stub *stub) {
        Docker *docker = NULL;

        assert_int_equal(docker_new(stub->path, 10 * USEC_PER_SEC, 10 * USEC_PER_SEC, &docker), 0);
        return docker;
}

static Host host_of_builds(InlineCache inline_cache) {
        static const char *const ids[] = { "unreadable", "image", "old" };
        Host h = host_new();

        h.inventory.image_store = IMAGE_STORE_GRAPHDRIVER;
        h.inventory.engine.api_major = 1;
        h.inventory.engine.api_minor = 43;
        for (size_t i = 0; i < ELEMENTSOF(ids); i++) {
                host_image(&h, ids[i], NULL, NULL, IMAGE_KIND_BUILDKIT);
                host_facts(&h, ids[i])->inline_cache = inline_cache;
        }
        host_image(&h, "base", "watchparty-base:1", NULL, IMAGE_KIND_BUILDKIT);
        host_image(&h, "tools", "watchparty-tools:latest", NULL, IMAGE_KIND_BUILDKIT);
        host_image(&h, "foreign", "python:3", NULL, IMAGE_KIND_BUILDKIT);
        assert_int_equal(fact_set_index(&h.inventory.facts), 0);
        return h;
}

static void observe(Docker *docker, Host *h) {
        builds_done(&h->inventory.builds);
        assert_int_equal(builds_observe(docker, &h->inventory.engine, h->inventory.watch, 0, true,
                                        &h->inventory.builds),
                         0);
        assert_int_equal(build_steps_observe(docker, &h->config, &h->inventory), 0);
}

/* A record that can't be read hides no older ones. */
static void test_unreadable_record(void **state) {
        static const char *const statuses[] = { "2", "5", NULL };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(statuses); i++) {
                Records records = { N_UNREADABLE, 1, statuses[i], 0 };
                cleanup(stub_free) Stub *stub = stub_new(serve, &records);
                cleanup(docker_free) Docker *docker = client(stub);
                Host h = host_of_builds(INLINE_CACHE_UNKNOWN);

                observe(docker, &h);
                assert_int_equal(host_facts(&h, "unreadable")->stages.n, 0);
                assert_int_equal(host_facts(&h, "image")->stages.n, 3);
                assert_int_equal(host_facts(&h, "old")->stages.n, 3);
                assert_int_equal(host_facts(&h, "unreadable")->inline_cache, INLINE_CACHE_UNKNOWN);
                assert_int_equal(host_facts(&h, "image")->inline_cache, INLINE_CACHE_NO);
                assert_int_equal(host_facts(&h, "old")->inline_cache, INLINE_CACHE_NO);
                host_done(&h);
        }
}

static bool has_need(Host *h, const char *id, const char *name) {
        return hash_list_contains(&host_facts(h, id)->needs, text_hash(name));
}

/* What FROM and COPY --from name is noted with the image that was built, and with the image that is needed. */
static void test_needs(void **state) {
        Records records = { 0, 1, NULL, 0 };
        cleanup(stub_free) Stub *stub = stub_new(serve, &records);
        cleanup(docker_free) Docker *docker = client(stub);
        Host h = host_of_builds(INLINE_CACHE_NO);

        (void)state;
        observe(docker, &h);
        assert_true(has_need(&h, "image", "watchparty-base:1"));
        assert_true(has_need(&h, "image", "watchparty-base"));
        assert_true(has_need(&h, "image", "watchparty-tools:latest"));
        assert_true(has_need(&h, "base", "watchparty-base:1"));
        assert_false(has_need(&h, "base", "watchparty-tools:latest"));
        assert_true(has_need(&h, "tools", "watchparty-tools:latest"));
        assert_true(has_need(&h, "image", "team/watchparty-web"));
        assert_int_equal(host_facts(&h, "image")->needs.n, 5);
        assert_int_equal(host_facts(&h, "foreign")->needs.n, 0);
        host_done(&h);
}

/* Each record is read once as long as it is remembered, also that of an image which is gone. */
static void test_read_once(void **state) {
        Records records = { 2, 30, "2", 0 };
        cleanup(stub_free) Stub *stub = stub_new(serve, &records);
        cleanup(docker_free) Docker *docker = client(stub);
        cleanup(build_watch_done) BuildWatch watch = { 0 };
        Host h = host_of_builds(INLINE_CACHE_NO);

        (void)state;
        h.inventory.watch = &watch;
        image_done(&h.inventory.images.v[0]);
        h.inventory.images.v[0] = h.inventory.images.v[--h.inventory.images.n];
        for (unsigned i = 0; i < 3; i++) {
                observe(docker, &h);
                assert_int_equal(records.n_asked, 2 + 30 + 1);
        }
        records.n_bad = 0;
        records.n_good = 1;
        observe(docker, &h);
        assert_int_equal(watch.steps_read.n, 2);
        records.n_good = 30; /* others that the engine did not list in between */
        observe(docker, &h);
        assert_int_equal(records.n_asked, 2 + 30 + 1 + 1 + 29);
        build_watch_forget_read(&watch);
        observe(docker, &h);
        assert_int_equal(records.n_asked, 2 + 30 + 1 + 1 + 29 + 31);
        host_done(&h);
}

/* An image that is loaded after its build was read. */
static void test_image_that_comes_back(void **state) {
        Records records = { 0, 0, NULL, 0 };
        cleanup(stub_free) Stub *stub = stub_new(serve, &records);
        cleanup(docker_free) Docker *docker = client(stub);
        Host h = host_of_builds(INLINE_CACHE_UNKNOWN);

        (void)state;
        fact_set_done(&h.inventory.facts);
        observe(docker, &h);
        assert_int_equal(h.inventory.facts.n, 1);
        assert_int_equal(host_facts(&h, "old")->inline_cache, INLINE_CACHE_NO);
        assert_true(has_need(&h, "old", "watchparty-base:1"));
        host_done(&h);
}

/* Where the engine keeps no build history, one failure ends the questions. */
static void test_no_history(void **state) {
        Records records = { 1, 1, "12", 0 };
        cleanup(stub_free) Stub *stub = stub_new(serve, &records);
        cleanup(docker_free) Docker *docker = client(stub);
        Host h = host_of_builds(INLINE_CACHE_NO);

        (void)state;
        observe(docker, &h);
        assert_int_equal(records.n_asked, 1);
        host_done(&h);
}

static void test_step_image(void **state) {
        static const struct {
                const char *step, *image;
        } cases[] = {
                { "[1/2] FROM web:1", "web:1" },
                { "[linux/amd64 builder 1/2] FROM web:1", "web:1" },
                { "FROM web:1@sha256:0", "web:1@sha256:0" },
                { "[internal] load metadata for web:1", "web:1" },
                { "[context base] load metadata for web:1", "web:1" },
                { "[2/2] RUN echo FROM web:1", NULL },
                { "[2/2] COPY --from=web:1 a /", NULL },
                { "[internal] load build context", NULL },
                { "[FROM web:1", NULL },
                { "", NULL },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const char *image = build_step_image(cases[i].step);

                if (cases[i].image)
                        assert_string_equal(image, cases[i].image);
                else
                        assert_null(image);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_unreadable_record),
                cmocka_unit_test(test_needs),
                cmocka_unit_test(test_read_once),
                cmocka_unit_test(test_image_that_comes_back),
                cmocka_unit_test(test_no_history),
                cmocka_unit_test(test_step_image),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
