/* SPDX-License-Identifier: MIT */

#include "engine.h"

#include "base/span.h"
#include "janitor/watcher.h"

#define TAG                                                                        \
        "{\"Type\":\"image\",\"Action\":\"tag\",\"Actor\":{\"ID\":\"sha256:01\"}," \
        "\"time\":1795268361,\"timeNano\":1795268361179265895}\n"
#define SINCE "since=1795268361.179265896&"

/* An engine whose n-th stream of events is `streams[n]`, the last one again and again. */
typedef struct Script {
        Engine engine;
        bool (*streams[3])(Stub *stub, int fd);
        atomic_uint n;
} Script;

static bool serve_script(Stub *stub, int fd, const char *request) {
        Script *script = (Script *)(uintptr_t)stub->userdata;
        unsigned n;

        if (!strstr(request, "/events?"))
                return serve(stub, fd, request);

        n = atomic_fetch_add(&script->n, 1);
        while (n > 0 && (n >= ELEMENTSOF(script->streams) || !script->streams[n]))
                n--;
        return script->streams[n](stub, fd);
}

static bool silent(Stub *stub, int fd) {
        stub_begin(stub, fd);
        return stub_hang(stub, fd);
}

static bool tagged(Stub *stub, int fd) {
        stub_begin(stub, fd);
        usleep(100 * 1000);
        stub_chunk(stub, fd, TAG);
        return stub_hang(stub, fd);
}

#define TAGGED_AS(name)                                                           \
        "{\"Type\":\"image\",\"Action\":\"tag\",\"Actor\":{\"ID\":\"sha256:01\"," \
        "\"Attributes\":{\"name\":\"" name "\"}},\"time\":1795268361,"            \
        "\"timeNano\":1795268361179265895}\n"

static bool tagged_by_the_janitor(Stub *stub, int fd) {
        stub_begin(stub, fd);
        stub_chunk(stub, fd, TAGGED_AS("watchparty-web:before-0123"));
        stub_chunk(stub, fd, TAGGED_AS("wpcache-trash:0123"));
        return stub_hang(stub, fd);
}

static bool tagged_by_others(Stub *stub, int fd) {
        stub_begin(stub, fd);
        stub_chunk(stub, fd, TAGGED_AS("watchparty-web:wpcache-rollback-0123"));
        return stub_hang(stub, fd);
}

static bool tagged_and_cut(Stub *stub, int fd) {
        stub_begin(stub, fd);
        stub_chunk(stub, fd, TAG);
        return false;
}

static bool tagged_and_garbage(Stub *stub, int fd) {
        stub_begin(stub, fd);
        stub_chunk(stub, fd, TAG "Welcome\n");
        return stub_hang(stub, fd);
}

static bool cut_at_once(Stub *stub, int fd) {
        stub_begin(stub, fd);
        return false;
}

static bool no_answer(Stub *stub, int fd) {
        return stub_hang(stub, fd);
}

static TagEvents *tag_events;

static Watcher *watch(const Stub *stub) {
        Watcher *watcher = NULL;

        assert_int_equal(watcher_new(stub->path, "before", tag_events, &watcher), 0);
        return watcher;
}

/* The news once there have been this many events, all told. */
static WatcherNews wait_for(Watcher *watcher, uint64_t n_events) {
        uint64_t n = 0, end = stub_now_usec() + 30 * USEC_PER_SEC;
        WatcherNews news;

        do {
                struct pollfd p = { watcher_fd(watcher), POLLIN, 0 };

                assert_int_equal(poll(&p, 1, 30 * 1000), 1);
                news = watcher_news(watcher);
                n += news.n_events;
                if (stub_now_usec() > end)
                        fail_msg("%u events", (unsigned)n);
        } while (n < n_events);
        assert_int_equal(n, n_events);
        return news;
}

static void test_events(void **state) {
        Script script = { { ENGINE_28 }, { tagged }, 0 };
        uint64_t begin = now_boottime_usec();
        struct pollfd p = { .events = POLLIN };
        cleanup(stub_free) Stub *stub = stub_new(serve_script, &script);
        cleanup(watcher_free) Watcher *watcher = watch(stub);
        WatcherNews news;

        (void)state;
        news = wait_for(watcher, 1);
        assert_true(news.connected);
        assert_true(news.last_usec == 0);
        news = wait_for(watcher, 1);
        assert_true(news.connected);
        assert_true(news.last_usec > begin && news.last_usec <= now_boottime_usec());

        /* told once, and remembered */
        p.fd = watcher_fd(watcher);
        assert_int_equal(poll(&p, 1, 0), 0);
        begin = news.last_usec;
        news = watcher_news(watcher);
        assert_true(news.connected);
        assert_int_equal(news.n_events, 0);
        assert_true(news.last_usec == begin);
}

/* The janitor's own tags cause a poll, but do not restart the quiet time. */
static void test_own_tags_leave_the_host_quiet(void **state) {
        Script own = { { ENGINE_28 }, { tagged_by_the_janitor }, 0 };
        Script others = { { ENGINE_28 }, { tagged_by_others }, 0 };
        cleanup(stub_free) Stub *stub = stub_new(serve_script, &own);
        cleanup(stub_free) Stub *other_stub = stub_new(serve_script, &others);
        cleanup(watcher_free) Watcher *watcher = watch(stub), *other = watch(other_stub);
        WatcherNews news;

        (void)state;
        news = wait_for(watcher, 3);
        assert_true(news.last_usec == 0);
        news = wait_for(other, 2); /* the prefix is configured */
        assert_true(news.last_usec > 0);
}

/* It asks for what it missed, and takes it that there was more. */
static void test_reconnect(void **state) {
        Script script = { { ENGINE_28 }, { tagged_and_cut, silent }, 0 };
        cleanup(stub_free) Stub *stub = stub_new(serve_script, &script);
        cleanup(watcher_free) Watcher *watcher = watch(stub);
        char request[STUB_REQUEST_MAX];
        uint64_t last_usec;
        WatcherNews news;

        (void)state;
        news = wait_for(watcher, 2);
        last_usec = news.last_usec;
        assert_true(last_usec > 0);
        news = wait_for(watcher, 1);
        assert_true(news.connected);
        assert_true(news.last_usec >= last_usec + 500 * USEC_PER_MSEC);
        stub_last(stub, request);
        assert_int_equal(
                strncmp(request, "GET /v1.51/events?" SINCE, strlen("GET /v1.51/events?" SINCE)),
                0);
        assert_int_equal(atomic_load(&script.n), 2);
}

/* What can't be read is not asked for again. */
static void test_garbage(void **state) {
        Script script = { { ENGINE_28 }, { tagged_and_garbage, silent }, 0 };
        cleanup(stub_free) Stub *stub = stub_new(serve_script, &script);
        cleanup(watcher_free) Watcher *watcher = watch(stub);
        char request[STUB_REQUEST_MAX];
        WatcherNews news;

        (void)state;
        news = wait_for(watcher, 3);
        assert_true(news.connected);
        stub_last(stub, request);
        assert_int_equal(strncmp(request, "GET /v1.51/events?since=17",
                                 strlen("GET /v1.51/events?since=17")),
                         0);
        assert_null(strstr(request, SINCE));
}

/* What is known of tags begins anew with each connection, and ends with it. */
static void test_tags_are_followed(void **state) {
        Script script = { { ENGINE_28 }, { tagged, silent }, 0 };
        cleanup(stub_free) Stub *stub = stub_new(serve_script, &script);
        cleanup(watcher_free) Watcher *watcher = watch(stub);
        uint64_t begin;

        (void)state;
        wait_for(watcher, 1);
        usleep(1000);
        begin = now_boottime_usec();
        assert_true(tag_events_none_of(tag_events, "sha256:02", begin));
        wait_for(watcher, 1);
        assert_true(tag_events_none_of(tag_events, "sha256:02", begin));
        assert_false(tag_events_none_of(tag_events, "sha256:01", begin));
        assert_true(tag_events_none_of(tag_events, "sha256:01", now_boottime_usec() + 1));

        stub_stop(stub);
        wait_for(watcher, 0);
        assert_false(tag_events_none_of(tag_events, "sha256:02", now_boottime_usec() + 1));
        stub_run(stub, serve_script);
        wait_for(watcher, 1);
        assert_false(tag_events_none_of(tag_events, "sha256:02", begin));
        assert_true(tag_events_none_of(tag_events, "sha256:02", now_boottime_usec() + 1));
}

/* An engine that was away at first may have done something before it was heard. */
static void test_late(void **state) {
        Script script = { { ENGINE_28 }, { silent }, 0 };
        cleanup(stub_free) Stub *stub = stub_new(serve_script, &script);
        cleanup(watcher_free) Watcher *watcher = NULL;
        uint64_t begin;
        WatcherNews news;

        (void)state;
        stub_stop(stub);
        watcher = watch(stub);
        usleep(300 * 1000);
        news = watcher_news(watcher);
        assert_false(news.connected);
        assert_int_equal(news.n_events, 0);
        begin = now_boottime_usec();
        stub_run(stub, serve_script);
        news = wait_for(watcher, 1);
        assert_true(news.connected);
        assert_true(news.last_usec >= begin);

        /* and when it goes, that is no event, but news */
        begin = news.last_usec;
        stub_stop(stub);
        news = wait_for(watcher, 0);
        assert_false(news.connected);
        assert_true(news.last_usec == begin);
        stub_run(stub, serve_script);
}

/* A stream that never lasts is asked for less and less often: after 1 s, after 2 more, … */
static void test_backoff(void **state) {
        Script script = { { ENGINE_28 }, { cut_at_once }, 0 };
        cleanup(stub_free) Stub *stub = stub_new(serve_script, &script);
        Watcher *watcher = watch(stub);

        (void)state;
        usleep(3500 * 1000);
        assert_in_range(atomic_load(&script.n), 2, 3);
        watcher_free(watcher);
}

static void test_stop(void **state) {
        Script scripts[] = {
                { { ENGINE_28 }, { silent }, 0 },
                { { ENGINE_28 }, { no_answer }, 0 },
                { { ENGINE_28 }, { cut_at_once }, 0 },
                { { ENGINE_28, .answers = { { "GET /_ping", 0, NULL } } }, { silent }, 0 },
        };

        (void)state;
        for (size_t i = 0; i < 2 * ELEMENTSOF(scripts); i++) {
                cleanup(stub_free) Stub *stub = stub_new(serve_script, &scripts[i / 2]);
                Watcher *watcher = watch(stub);
                uint64_t begin;

                if (i % 2 == 0) /* else before it has begun */
                        usleep(200 * 1000);
                begin = stub_now_usec();
                watcher_free(watcher);
                assert_true(stub_now_usec() - begin < 800 * USEC_PER_MSEC);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_events),
                cmocka_unit_test(test_own_tags_leave_the_host_quiet),
                cmocka_unit_test(test_reconnect),
                cmocka_unit_test(test_garbage),
                cmocka_unit_test(test_tags_are_followed),
                cmocka_unit_test(test_late),
                cmocka_unit_test(test_backoff),
                cmocka_unit_test(test_stop),
        };

        int r;

        if (tag_events_new(&tag_events) < 0)
                return 1;
        r = cmocka_run_group_tests(tests, NULL, NULL);
        tag_events_free(tag_events);
        return r;
}
