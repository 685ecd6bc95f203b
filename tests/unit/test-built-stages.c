/* SPDX-License-Identifier: MIT */

/* What is asked of BuildKit's build records: the stages of builds, and inline cache metadata. */

#include "grpc.h"
#include "host.h"

#include "base/text.h"
#include "docker/api.h"
#include "janitor/built-stages.h"
#include "janitor/inline-cache.h"

#define N_UNREADABLE 3

/* "image" is the result of builds "bad0" to "badN", the newest of all, and of "good0" to "goodN"; "old" is
 * that of "last", the oldest. */
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

static bool tell_steps(Stub *stub, int fd, const char *name) {
        Bytes vertex = { .n = 0 }, status = { .n = 0 };

        put_text(&vertex, 1, "sha256:1");
        put_text(&vertex, 3, name);
        put_message(&status, 1, &vertex);
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
                return tell_steps(stub, fd, "[builder 2/3] RUN make");
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
        h.inventory.engine.image_store = IMAGE_STORE_GRAPHDRIVER;
        h.inventory.engine.root_dir = strdup("/nonexistent");
        strcpy(h.inventory.engine.driver, "overlay2");
        host_image(&h, "classic", "other:1", NULL, IMAGE_KIND_CLASSIC);
        host_facts(&h, "classic")->inline_cache = INLINE_CACHE_NO;
        for (size_t i = 0; i < ELEMENTSOF(ids); i++) {
                char name[64];

                snprintf(name, sizeof(name), "watchparty-backend:%s", ids[i]);
                host_image(&h, ids[i], name, NULL, IMAGE_KIND_BUILDKIT);
                host_facts(&h, ids[i])->ours = true;
                host_facts(&h, ids[i])->inline_cache = inline_cache;
        }
        assert_int_equal(fact_set_index(&h.inventory.facts), 0);
        return h;
}

/* A record that can't be read hides no older ones. */
static void test_unreadable_record(void **state) {
        static const char *const statuses[] = { "2", "5", NULL };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(statuses); i++) {
                Records records = { N_UNREADABLE, 1, statuses[i], 0 };
                cleanup(stub_free) Stub *stub = stub_new(serve, &records);
                cleanup(docker_free) Docker *docker = client(stub);
                Host h = host_of_builds(INLINE_CACHE_NO);

                assert_int_equal(built_stages_observe(docker, &h.inventory), 0);
                assert_int_equal(host_facts(&h, "unreadable")->stages.n, 0);
                assert_int_equal(host_facts(&h, "image")->stages.n, 1);
                assert_int_equal(host_facts(&h, "old")->stages.n, 1);
                host_done(&h);

                h = host_of_builds(INLINE_CACHE_UNKNOWN);
                assert_int_equal(inline_caches_observe(docker, &h.inventory), 0);
                assert_int_equal(host_facts(&h, "unreadable")->inline_cache, INLINE_CACHE_UNKNOWN);
                assert_int_equal(host_facts(&h, "image")->inline_cache, INLINE_CACHE_NO);
                assert_int_equal(host_facts(&h, "old")->inline_cache, INLINE_CACHE_NO);
                host_done(&h);
        }
}

/* An image that was built many times costs one call, and takes the room of one. */
static void test_many_builds_of_one_image(void **state) {
        Records records = { 0, 30, NULL, 0 };
        cleanup(stub_free) Stub *stub = stub_new(serve, &records);
        cleanup(docker_free) Docker *docker = client(stub);
        Host h = host_of_builds(INLINE_CACHE_NO);

        (void)state;
        assert_int_equal(built_stages_observe(docker, &h.inventory), 0);
        assert_int_equal(records.n_asked, 2);
        assert_int_equal(host_facts(&h, "image")->stages.n, 1);
        assert_int_equal(host_facts(&h, "old")->stages.n, 1);
        host_done(&h);
}

/* Where the engine keeps no build history, one failure ends the questions. */
static void test_no_history(void **state) {
        Records records = { 1, 1, "12", 0 };
        cleanup(stub_free) Stub *stub = stub_new(serve, &records);
        cleanup(docker_free) Docker *docker = client(stub);
        Host h = host_of_builds(INLINE_CACHE_NO);

        (void)state;
        assert_int_equal(built_stages_observe(docker, &h.inventory), 0);
        assert_int_equal(records.n_asked, 1);
        host_done(&h);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_unreadable_record),
                cmocka_unit_test(test_many_builds_of_one_image),
                cmocka_unit_test(test_no_history),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
