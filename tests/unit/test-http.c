/* SPDX-License-Identifier: MIT */

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "stub.h"

#include "docker/http.h"

typedef struct Text {
        char text[4096];
        size_t n;
        int error;
} Text;

static int collect(void *userdata, const char *data, size_t n, Diag *reterr_diag) {
        Text *text = userdata;

        if (text->error < 0)
                return diag_set(reterr_diag, text->error, "enough");
        for (size_t i = 0; i < n && text->n < sizeof(text->text) - 1; i++)
                text->text[text->n++] = data[i];
        text->text[text->n] = '\0';
        return 0;
}

static Http *client(const Stub *stub) {
        Http *http = NULL;

        assert_int_equal(http_new(stub->path, &http), 0);
        return http;
}

/* One call with a deadline of 10 s. */
static int ask(Http *http, const char *method, bool same_connection, HttpResponse *ret) {
        HttpRequest request = {
                .method = method,
                .path = "/x?y=%2F",
                .timeout_usec = 10 * USEC_PER_SEC,
                .same_connection = same_connection,
        };

        return http_call(http, &request, ret, NULL);
}

static bool serve_plain(Stub *stub, int fd, const char *request) {
        (void)request;
        return stub_reply(stub, fd, 200,
                          "Server: Docker/20.10.24+dfsg1 (linux)\r\napi-version:\t1.41 \r\n",
                          "a body");
}

static bool serve_once(Stub *stub, int fd, const char *request) {
        serve_plain(stub, fd, request);
        return false;
}

static void test_plain(void **state) {
        cleanup(stub_free) Stub *stub = stub_new(serve_plain, NULL);
        cleanup(http_free) Http *http = client(stub);
        static const char *const methods[] = { "GET", "POST", "DELETE", "GET" };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(methods); i++) {
                Text text = { .n = 0 };
                HttpResponse response;
                HttpRequest request = { methods[i], "/v1.41/a?b=c%2Fd", 10 * USEC_PER_SEC,
                                        .sink = collect, .userdata = &text };
                Diag diag = DIAG_NULL;
                char line[64];

                assert_int_equal(http_call(http, &request, &response, &diag), 0);
                assert_int_equal(response.status, 200);
                assert_int_equal(response.new_connection, i == 0);
                assert_string_equal(response.server, "Docker/20.10.24+dfsg1 (linux)");
                assert_string_equal(response.api_version, "1.41");
                assert_string_equal(response.error, "");
                assert_string_equal(text.text, "a body");
                assert_string_equal(diag.text, "");

                snprintf(line, sizeof(line), "%s /v1.41/a?b=c%%2Fd HTTP/1.1\r\n", methods[i]);
                assert_int_equal(strncmp(stub->raw, line, strlen(line)), 0);
                assert_non_null(strstr(stub->raw, "\r\nHost: localhost\r\n"));
                assert_null(strcasestr(stub->raw, "\r\nExpect:"));
                assert_null(strcasestr(stub->raw, "\r\nTransfer-Encoding:"));
        }
        assert_int_equal(stub_n_connections(stub), 1);
}

static bool serve_chunked(Stub *stub, int fd, const char *request) {
        (void)request;
        return stub_text(stub, fd,
                         "HTTP/1.1 100 Continue\r\nServer: no\r\n\r\n"
                         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "3\r\nab\n\r\n1;ext=1\r\nc\r\n0\r\nServer: trailer\r\n\r\n");
}

static void test_chunked(void **state) {
        cleanup(stub_free) Stub *stub = stub_new(serve_chunked, NULL);
        cleanup(http_free) Http *http = client(stub);
        Text text = { .n = 0 };
        HttpRequest request = { "GET", "/", 10 * USEC_PER_SEC, .sink = collect, .userdata = &text };
        HttpResponse response;

        (void)state;
        assert_int_equal(http_call(http, &request, &response, NULL), 0);
        assert_string_equal(text.text, "ab\nc");
        assert_string_equal(response.server, "");
}

static void test_sink_error(void **state) {
        cleanup(stub_free) Stub *stub = stub_new(serve_plain, NULL);
        cleanup(http_free) Http *http = client(stub);
        Text text = { .error = -EMLINK };
        HttpRequest request = { "GET", "/", 10 * USEC_PER_SEC, .sink = collect, .userdata = &text };
        HttpResponse response;
        Diag diag = DIAG_NULL;

        (void)state;
        assert_int_equal(http_call(http, &request, &response, &diag), -EMLINK);
        assert_string_equal(diag.text, "enough");
        assert_int_equal(ask(http, "GET", false, &response), 0);
        assert_true(response.new_connection);
}

static bool serve_error(Stub *stub, int fd, const char *request) {
        (void)request;
        return stub_reply(stub, fd, 404, "", "{\"message\":\"No such image: x\"}\n");
}

static bool serve_long_error(Stub *stub, int fd, const char *request) {
        char body[30001];

        (void)request;
        memset(body, 'x', sizeof(body) - 1);
        body[sizeof(body) - 1] = '\0';
        return stub_reply(stub, fd, 500, "", body);
}

static bool serve_endless_error(Stub *stub, int fd, const char *request) {
        (void)request;
        stub_text(stub, fd, "HTTP/1.1 502 Bad Gateway\r\n\r\n<html>");
        return stub_endless(stub, fd, "and so on ");
}

static void count(void *userdata) {
        ++*(int *)userdata;
}

static bool serve_continued(Stub *stub, int fd, const char *request) {
        (void)request;
        stub_text(stub, fd, "HTTP/1.1 100 Continue\r\n\r\n");
        stub_begin(stub, fd);
        return stub_text(stub, fd, "0\r\nServer: trailer\r\n\r\n");
}

/* Once, before the body, and only for an answer that has one for us. */
static void test_begin(void **state) {
        static const struct {
                StubHandler handler;
                int n;
        } cases[] = {
                { serve_plain, 1 },
                { serve_chunked, 1 },
                { serve_continued, 1 },
                { serve_error, 0 },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                cleanup(stub_free) Stub *stub = stub_new(cases[i].handler, NULL);
                cleanup(http_free) Http *http = client(stub);
                int n = 0;
                HttpRequest request = { "GET", "/", 10 * USEC_PER_SEC, .on_begin = count,
                                        .userdata = &n };
                HttpResponse response;

                assert_int_equal(http_call(http, &request, &response, NULL), 0);
                assert_int_equal(n, cases[i].n);
        }
}

static void test_error_body(void **state) {
        cleanup(stub_free) Stub *stub = stub_new(serve_error, NULL);
        cleanup(http_free) Http *http = client(stub);
        HttpResponse response;
        Text text = { .n = 0 };
        HttpRequest request = { "GET", "/", 10 * USEC_PER_SEC, .sink = collect, .userdata = &text };

        (void)state;
        assert_int_equal(http_call(http, &request, &response, NULL), 0);
        assert_int_equal(response.status, 404);
        assert_string_equal(response.error, "{\"message\":\"No such image: x\"}\n");
        assert_int_equal(text.n, 0);

        /* A long one is read, so that the connection is kept; only its start is. */
        stub_stop(stub);
        stub_run(stub, serve_long_error);
        assert_int_equal(ask(http, "GET", false, &response), 0);
        assert_int_equal(response.status, 500);
        assert_int_equal(strlen(response.error), sizeof(response.error) - 1);
        assert_int_equal(ask(http, "GET", true, &response), 0);

        /* An endless one is not waited for. */
        stub_stop(stub);
        stub_run(stub, serve_endless_error);
        assert_int_equal(ask(http, "GET", false, &response), 0);
        assert_int_equal(response.status, 502);
        assert_int_equal(strncmp(response.error, "<html>and so on ", 16), 0);
}

/* Says its userdata and closes. */
static bool serve_text(Stub *stub, int fd, const char *request) {
        (void)request;
        stub_text(stub, fd, stub->userdata);
        return false;
}

static void test_broken(void **state) {
        static const struct {
                const char *text;
                int error;
        } cases[] = {
                { "", -ECONNRESET },
                { "HTTP/1.1", -ECONNRESET },
                { "HTTP/1.1 200 OK\r\n", -ECONNRESET },
                { "HTTP/1.1 200 OK\r\nServer: Dock", -ECONNRESET },
                { "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", -ECONNRESET },
                { "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123456789", -ECONNRESET },
                { "HTTP/1.1 404 Gone\r\nContent-Length: 10\r\n\r\n12345", -ECONNRESET },
                { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", -ECONNRESET },
                { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345", -ECONNRESET },
                { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
                  -ECONNRESET },
                { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", -ECONNRESET },
                { "HTTP/1.1 100 Continue\r\n\r\n", -ECONNRESET },
                { "garbage", -EBADMSG },
                { "garbage\r\n\r\n", -EBADMSG },
                { "<html><body>502 Bad Gateway</body></html>\n", -EBADMSG },
                { "\x16\x03\x01\x02\x01", -EBADMSG },
                { "HTTP/9.9 200 OK\r\n\r\n", -EBADMSG },
                { "HTTP/1.1 200 OK\r\n\r\nup to the end", 0 },
                { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOKrest", 0 },
                { "HTTP/1.1 204 No Content\r\n\r\n", 0 },
                { "HTTP/1.1 301 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", 0 },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                cleanup(stub_free) Stub *stub = stub_new(serve_text, cases[i].text);
                cleanup(http_free) Http *http = client(stub);
                HttpRequest request = { "GET", "/", 10 * USEC_PER_SEC };
                HttpResponse response;
                Diag diag = DIAG_NULL;
                int r = http_call(http, &request, &response, &diag);

                if (r != cases[i].error)
                        fail_msg("%s: %d (%s)", cases[i].text, r, diag.text);
                assert_int_equal(*diag.text == '\0', r == 0);
                assert_int_equal(stub_n_requests(stub), 1);
        }
}

static bool serve_long_header(Stub *stub, int fd, const char *request) {
        (void)request;
        stub_text(stub, fd, "HTTP/1.1 200 OK\r\nX: ");
        return stub_endless(stub, fd, "0123456789abcdef");
}

static bool serve_many_headers(Stub *stub, int fd, const char *request) {
        (void)request;
        stub_text(stub, fd, "HTTP/1.1 200 OK\r\n");
        return stub_endless(stub, fd, "X-Header: value\r\n");
}

static bool serve_endless(Stub *stub, int fd, const char *request) {
        (void)request;
        stub_text(stub, fd, "HTTP/1.1 200 OK\r\n\r\n");
        return stub_endless(stub, fd, "body and body and body and body");
}

static bool serve_hang(Stub *stub, int fd, const char *request) {
        (void)request;
        return stub_hang(stub, fd);
}

static bool serve_hang_in_body(Stub *stub, int fd, const char *request) {
        (void)request;
        stub_text(stub, fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nstart");
        return stub_hang(stub, fd);
}

static void test_too_much(void **state) {
        static const struct {
                StubHandler handler;
                int error;
        } cases[] = {
                { serve_long_header, -EBADMSG },    { serve_many_headers, -EBADMSG },
                { serve_endless, -ETIMEDOUT },      { serve_hang, -ETIMEDOUT },
                { serve_hang_in_body, -ETIMEDOUT },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                cleanup(stub_free) Stub *stub = stub_new(cases[i].handler, NULL);
                cleanup(http_free) Http *http = client(stub);
                bool late = cases[i].error == -ETIMEDOUT;
                HttpRequest request = { "GET", "/", late ? 200 * USEC_PER_MSEC : USEC_PER_MINUTE };
                HttpResponse response;
                Diag diag = DIAG_NULL;
                uint64_t begin = stub_now_usec(), took;

                assert_int_equal(http_call(http, &request, &response, &diag), cases[i].error);
                took = stub_now_usec() - begin;
                assert_string_not_equal(diag.text, "");
                if (late)
                        assert_in_range(took, 190 * USEC_PER_MSEC, 2 * USEC_PER_SEC);
        }
}

static void test_no_socket(void **state) {
        char directory[] = "/tmp/wpcache-http-XXXXXX", path[64], longer[200];
        cleanup(http_free) Http *http = NULL;
        HttpResponse response;
        HttpRequest request = { "GET", "/", USEC_PER_SEC };
        Diag diag = DIAG_NULL;
        int fd;

        (void)state;
        assert_non_null(mkdtemp(directory));
        snprintf(path, sizeof(path), "%s/s", directory);

        assert_int_equal(http_new(path, &http), 0);
        assert_int_equal(http_call(http, &request, &response, &diag), -ENOENT);
        assert_non_null(strstr(diag.text, path));
        assert_non_null(strstr(diag.text, "No such file"));

        fd = stub_listen(path);
        close(fd);
        assert_int_equal(http_call(http, &request, &response, &diag), -ECONNREFUSED);
        assert_int_equal(unlink(path), 0);

        memset(longer, 'x', sizeof(longer) - 1);
        longer[0] = '/';
        longer[sizeof(longer) - 1] = '\0';
        http = http_free(http);
        assert_int_equal(http_new(longer, &http), -ENAMETOOLONG);
        assert_null(http);
        rmdir(directory);
}

/* One that does not take connections any more is there, whatever was there before. */
static void test_full_queue(void **state) {
        static const int before[] = { 0, ENOENT, ECONNREFUSED };
        char directory[] = "/tmp/wpcache-http-XXXXXX";
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        HttpRequest request = { "GET", "/", 5 * USEC_PER_SEC };

        (void)state;
        assert_non_null(mkdtemp(directory));
        snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", directory);
        for (size_t i = 0; i < ELEMENTSOF(before); i++) {
                cleanup(http_free) Http *http = NULL;
                HttpResponse response;
                Diag diag = DIAG_NULL;
                int listener, fds[16], n_refused = 0;
                uint64_t begin;

                assert_int_equal(http_new(address.sun_path, &http), 0);
                if (before[i] == ECONNREFUSED)
                        close(stub_listen(address.sun_path));
                if (before[i] != 0)
                        assert_int_equal(http_call(http, &request, &response, &diag), -before[i]);
                unlink(address.sun_path);

                listener = stub_listen(address.sun_path);
                assert_int_equal(listen(listener, 1), 0);
                for (size_t j = 0; j < ELEMENTSOF(fds); j++) {
                        fds[j] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
                        n_refused +=
                                connect(fds[j], (struct sockaddr *)&address, sizeof(address)) < 0 &&
                                errno == EAGAIN;
                }
                assert_true(n_refused > 0);

                begin = stub_now_usec();
                assert_int_equal(http_call(http, &request, &response, &diag), -ETIMEDOUT);
                assert_true(stub_now_usec() - begin < 2 * USEC_PER_SEC);
                assert_non_null(strstr(diag.text, "takes no connections"));

                for (size_t j = 0; j < ELEMENTSOF(fds); j++)
                        close(fds[j]);
                close(listener);
                assert_int_equal(http_call(http, &request, &response, &diag), -ECONNREFUSED);
                assert_int_equal(unlink(address.sun_path), 0);
        }
        rmdir(directory);
}

/* What fails on this side says nothing of the other. */
static void test_no_descriptors(void **state) {
        cleanup(stub_free) Stub *stub = stub_new(serve_plain, NULL);
        cleanup(http_free) Http *http = client(stub);
        struct rlimit limit, low;
        HttpResponse response;
        int r, lowest_free;

        (void)state;
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        lowest_free = dup(stub->stop_fd);
        assert_true(lowest_free >= 0);
        close(lowest_free);
        low = (struct rlimit){ (rlim_t)lowest_free, limit.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        r = ask(http, "GET", false, &response);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        assert_int_equal(r, -EMFILE);
        assert_int_equal(ask(http, "GET", false, &response), 0);
}

static void *interrupt_soon(void *userdata) {
        usleep(50 * 1000);
        http_interrupt(userdata);
        return NULL;
}

/* What a call does that is interrupted after 50 ms, and how long it takes. */
static int interrupted_call(Stub *stub, bool uncut, uint64_t timeout_usec, uint64_t *ret_took) {
        cleanup(http_free) Http *http = client(stub);
        HttpRequest request = { "GET", "/", timeout_usec, .uncut = uncut };
        HttpResponse response;
        uint64_t begin = stub_now_usec();
        pthread_t thread;
        int r;

        assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, http), 0);
        r = http_call(http, &request, &response, NULL);
        *ret_took = stub_now_usec() - begin;
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(http_interrupted(http));

        assert_int_equal(ask(http, "GET", false, &response), -ECANCELED);
        return r;
}

static bool serve_slowly(Stub *stub, int fd, const char *request) {
        (void)request;
        usleep(300 * 1000);
        return stub_reply(stub, fd, 200, "", "done");
}

static void test_interrupt(void **state) {
        static const StubHandler handlers[] = { serve_hang, serve_hang_in_body, serve_endless };
        uint64_t took;

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(handlers); i++) {
                uint64_t best = USEC_INFINITY;

                /* A busy machine may be late once, not each time. */
                for (unsigned n = 0; n < 5 && best > 150 * USEC_PER_MSEC; n++) {
                        cleanup(stub_free) Stub *stub = stub_new(handlers[i], NULL);

                        assert_int_equal(interrupted_call(stub, false, 10 * USEC_PER_SEC, &took),
                                         -ECANCELED);
                        best = MIN(best, took);
                }
                assert_in_range(best, 50 * USEC_PER_MSEC, 150 * USEC_PER_MSEC);
        }
}

static void test_interrupt_uncut(void **state) {
        cleanup(stub_free) Stub *stub = stub_new(serve_slowly, NULL);
        uint64_t took;

        (void)state;
        assert_int_equal(interrupted_call(stub, true, 10 * USEC_PER_SEC, &took), 0);
        assert_true(took >= 300 * USEC_PER_MSEC);

        stub_stop(stub);
        stub_run(stub, serve_hang);
        assert_int_equal(interrupted_call(stub, true, 200 * USEC_PER_MSEC, &took), -ETIMEDOUT);
}

static bool serve_after_pauses(Stub *stub, int fd, const char *request) {
        (void)request;
        usleep(300 * 1000);
        stub_begin(stub, fd);
        usleep(300 * 1000);
        return stub_chunk(stub, fd, "late") && stub_end(stub, fd);
}

/* USEC_INFINITY is no short time, nor one that can't be interrupted. */
static void test_no_deadline(void **state) {
        cleanup(stub_free) Stub *stub = stub_new(serve_after_pauses, NULL);
        cleanup(http_free) Http *http = client(stub);
        Text text = { .n = 0 };
        HttpRequest request = { "GET", "/", USEC_PER_MINUTE, .sink = collect, .userdata = &text };
        HttpResponse response;
        uint64_t took;

        (void)state;
        assert_int_equal(http_call(http, &request, &response, NULL), 0);
        request.timeout_usec = USEC_INFINITY; /* after one that had a deadline */
        assert_int_equal(http_call(http, &request, &response, NULL), 0);
        assert_string_equal(text.text, "latelate");

        stub_stop(stub);
        stub_run(stub, serve_hang_in_body);
        assert_int_equal(interrupted_call(stub, false, USEC_INFINITY, &took), -ECANCELED);
        assert_true(took < 5 * USEC_PER_SEC);
}

static void test_wait(void **state) {
        cleanup(stub_free) Stub *stub = stub_new(serve_plain, NULL);
        cleanup(http_free) Http *http = client(stub);
        uint64_t begin = stub_now_usec();
        pthread_t thread;

        (void)state;
        assert_int_equal(http_wait(http, 30 * USEC_PER_MSEC), 0);
        assert_true(stub_now_usec() - begin >= 30 * USEC_PER_MSEC);

        begin = stub_now_usec();
        assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, http), 0);
        assert_int_equal(http_wait(http, USEC_INFINITY), -ECANCELED);
        assert_true(stub_now_usec() - begin < USEC_PER_SEC);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(http_wait(http, 0), -ECANCELED);
}

/* The engine closed the kept connection, or is another one by now. */
static void test_closed_meanwhile(void **state) {
        static const char *const methods[] = { "GET", "POST", "DELETE" };
        cleanup(stub_free) Stub *stub = stub_new(serve_once, NULL);
        cleanup(http_free) Http *http = client(stub);
        HttpResponse response;

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(methods); i++) {
                assert_int_equal(ask(http, "GET", false, &response), 0);
                assert_true(response.new_connection);
                stub_stop(stub);
                stub_run(stub, serve_once);
                stub_forget(stub);

                assert_int_equal(ask(http, methods[i], true, &response), -ESTALE);
                assert_int_equal(stub_n_requests(stub), 0);
                assert_int_equal(ask(http, methods[i], false, &response), 0);
                assert_true(response.new_connection);
                assert_int_equal(stub_n_requests(stub), 1);
        }
}

/* Answers the first request of a connection, and closes on the second: the first time ever. */
static bool serve_then_die(Stub *stub, int fd, const char *request) {
        return stub_n_requests(stub) != 2 && serve_plain(stub, fd, request);
}

static void test_dies_after_request(void **state) {
        static const struct {
                const char *method;
                bool same_connection;
                int error;
                size_t n_requests;
        } cases[] = {
                { "GET", false, 0, 3 },
                { "GET", true, -ESTALE, 2 },
                { "POST", false, -ECONNRESET, 2 },
                { "POST", true, -ECONNRESET, 2 },
                { "DELETE", false, -ECONNRESET, 2 },
                { "DELETE", true, -ECONNRESET, 2 },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                cleanup(stub_free) Stub *stub = stub_new(serve_then_die, NULL);
                cleanup(http_free) Http *http = client(stub);
                HttpResponse response;

                assert_int_equal(ask(http, "GET", false, &response), 0);
                assert_int_equal(ask(http, cases[i].method, cases[i].same_connection, &response),
                                 cases[i].error);
                assert_int_equal(stub_n_requests(stub), cases[i].n_requests);
                assert_int_equal(response.new_connection, cases[i].error == 0);
                assert_int_equal(ask(http, "POST", false, &response), 0);
        }
}

/* Closes each connection once the second request has come, and does not read it. */
static bool serve_and_not_read(Stub *stub, int fd, const char *request) {
        struct pollfd p[] = { { fd, POLLIN, 0 }, { stub->stop_fd, POLLIN, 0 } };

        if (serve_plain(stub, fd, request))
                poll(p, ELEMENTSOF(p), -1);
        return false;
}

/* Nothing was done of what was not read. Far more often than libcurl tries again on its own. */
static void test_closes_unread(void **state) {
        static const char *const methods[] = { "GET", "POST", "DELETE" };
        cleanup(stub_free) Stub *stub = stub_new(serve_and_not_read, NULL);
        cleanup(http_free) Http *http = client(stub);
        HttpResponse response;

        (void)state;
        assert_int_equal(ask(http, "GET", false, &response), 0);
        for (size_t i = 0; i < 30; i++) {
                const char *method = methods[i % ELEMENTSOF(methods)];

                assert_int_equal(ask(http, method, i % 2 > 0, &response), i % 2 > 0 ? -ESTALE : 0);
                assert_int_equal(response.new_connection, i % 2 == 0);
                if (i % 2 > 0)
                        assert_int_equal(ask(http, "GET", false, &response), 0);
        }
        assert_int_equal(stub_n_requests(stub), 31);
        assert_int_equal(stub_n_connections(stub), 31);
}

#if !defined(__SANITIZE_ADDRESS__) && \
        !defined(__SANITIZE_THREAD__) /* they have an allocator of their own */

#define EXPORT __attribute__((__visibility__("default"))) /* so that libcurl calls them */

/* glibc's own, which it exports for this purpose. */
void *libc_malloc(size_t size) __asm__("__libc_malloc");
void *libc_calloc(size_t n, size_t size) __asm__("__libc_calloc");
void *libc_realloc(void *p, size_t size) __asm__("__libc_realloc");

EXPORT void *malloc(size_t size);
EXPORT void *calloc(size_t n, size_t size);
EXPORT void *realloc(void *p, size_t size);

/* Of this thread: the number of the allocation that fails, counted down; 0: none does. */
static _Thread_local size_t fails_at;

static bool fails(void) {
        return fails_at > 0 && --fails_at == 0;
}

void *malloc(size_t size) {
        return fails() ? NULL : libc_malloc(size);
}

void *calloc(size_t n, size_t size) {
        return fails() ? NULL : libc_calloc(n, size);
}

void *realloc(void *p, size_t size) {
        return fails() ? NULL : libc_realloc(p, size);
}

/* Each allocation of a first call, and of one on a kept connection. */
static void test_no_memory(void **state) {
        cleanup(stub_free) Stub *stub = stub_new(serve_plain, NULL);
        size_t n_failed = 0;

        (void)state;
        for (size_t kept = 0; kept < 2; kept++) {
                bool failed = true;

                for (size_t number = 1; failed; number++) {
                        cleanup(http_free) Http *http = client(stub);
                        HttpRequest request = { "GET", "/", 10 * USEC_PER_SEC };
                        HttpResponse response;
                        Diag diag = DIAG_NULL;
                        int r;

                        if (kept)
                                assert_int_equal(ask(http, "GET", false, &response), 0);
                        fails_at = number;
                        r = http_call(http, &request, &response, &diag);
                        failed = fails_at == 0;
                        fails_at = 0;
                        if (r != 0)
                                assert_int_equal(r, -ENOMEM);
                        assert_string_equal(diag.text, "");
                        n_failed += r != 0;
                        assert_int_equal(ask(http, "GET", false, &response), 0);
                }
        }
        assert_true(n_failed > 10);
}

#endif

static void test_bad_path(void **state) {
        static const char *const paths[] = { "", "x", "/a b", "/a\r\nX: y", "/\xc3\xa9" };
        cleanup(stub_free) Stub *stub = stub_new(serve_plain, NULL);
        cleanup(http_free) Http *http = client(stub);

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                HttpRequest request = { "GET", paths[i], USEC_PER_SEC };
                HttpResponse response;

                assert_int_equal(http_call(http, &request, &response, NULL), -EINVAL);
        }
        assert_int_equal(stub_n_requests(stub), 0);
}

static void test_environment(void **state) {
        cleanup(stub_free) Stub *stub = stub_new(serve_plain, NULL);
        cleanup(http_free) Http *http = NULL;
        HttpResponse response;

        (void)state;
        setenv("http_proxy", "http://127.0.0.1:1", 1);
        setenv("all_proxy", "http://127.0.0.1:1", 1);
        http = client(stub);
        assert_int_equal(ask(http, "GET", false, &response), 0);
        unsetenv("http_proxy");
        unsetenv("all_proxy");
}

static void test_encode(void **state) {
        static const char *const cases[][2] = {
                { "", "" },
                { "aZ09-._~", "aZ09-._~" },
                { "localhost:5000/a b", "localhost%3A5000%2Fa%20b" },
                { "{\"type\":[\"x\"]}", "%7B%22type%22%3A%5B%22x%22%5D%7D" },
                { "%\xc3\xa9\x7f", "%25%C3%A9%7F" },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                cleanup_free char *encoded = http_encode(cases[i][0]);

                assert_string_equal(encoded, cases[i][1]);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_plain),
                cmocka_unit_test(test_chunked),
                cmocka_unit_test(test_sink_error),
                cmocka_unit_test(test_begin),
                cmocka_unit_test(test_error_body),
                cmocka_unit_test(test_broken),
                cmocka_unit_test(test_too_much),
                cmocka_unit_test(test_no_socket),
                cmocka_unit_test(test_full_queue),
                cmocka_unit_test(test_no_descriptors),
                cmocka_unit_test(test_interrupt),
                cmocka_unit_test(test_interrupt_uncut),
                cmocka_unit_test(test_no_deadline),
                cmocka_unit_test(test_wait),
                cmocka_unit_test(test_closed_meanwhile),
                cmocka_unit_test(test_dies_after_request),
                cmocka_unit_test(test_closes_unread),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
                cmocka_unit_test(test_no_memory),
#endif
                cmocka_unit_test(test_bad_path),
                cmocka_unit_test(test_environment),
                cmocka_unit_test(test_encode),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
