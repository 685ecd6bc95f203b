/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A stub of an engine: a thread that serves one connection after another on a unix socket, by a
 * handler of the test's own, and keeps what it was asked.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "test.h"

#include "base/macro.h"

#define STUB_REQUESTS_MAX 256
#define STUB_REQUEST_MAX 512
#define STUB_MORE_MAX 4

typedef struct Stub Stub;

/* Answers "GET /path" on `fd`; true to keep the connection. */
typedef bool (*StubHandler)(Stub *stub, int fd, const char *request);

struct Stub {
        char directory[64];
        char path[96];
        StubHandler handler;
        const void *_Atomic userdata;
        int listen_fd, stop_fd;
        pthread_t thread, more[STUB_MORE_MAX];
        size_t n_more;

        pthread_mutex_t mutex;
        char requests[STUB_REQUESTS_MAX][STUB_REQUEST_MAX];
        char raw[4096]; /* of the last one */
        size_t n_requests, n_connections;
};

static inline uint64_t stub_now_usec(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

/* Sends what the peer takes; false once it is gone or the stub is to stop. */
static inline bool stub_send(Stub *stub, int fd, const char *data, size_t n) {
        while (n > 0) {
                struct pollfd p[] = { { fd, POLLOUT, 0 }, { stub->stop_fd, POLLIN, 0 } };
                ssize_t sent;

                if (poll(p, 2, -1) < 0 || p[1].revents)
                        return false;
                sent = send(fd, data, n, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (sent < 0)
                        return false;
                data += sent;
                n -= (size_t)sent;
        }
        return true;
}

static inline bool stub_text(Stub *stub, int fd, const char *text) {
        return stub_send(stub, fd, text, strlen(text));
}

/* A whole answer, kept alive; `headers` are lines of their own, each ended by CR LF. */
static inline bool stub_reply(Stub *stub, int fd, int status, const char *headers,
                              const char *body) {
        char head[1024];

        snprintf(head, sizeof(head), "HTTP/1.1 %d Status\r\n%sContent-Length: %zu\r\n\r\n", status,
                 headers, strlen(body));
        return stub_text(stub, fd, head) && stub_text(stub, fd, body);
}

/* An answer that has no end yet, and more of it. */
static inline bool stub_begin(Stub *stub, int fd) {
        return stub_text(stub, fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
}

static inline bool stub_chunk(Stub *stub, int fd, const char *text) {
        char head[32];

        snprintf(head, sizeof(head), "%zx\r\n", strlen(text));
        return stub_text(stub, fd, head) && stub_text(stub, fd, text) &&
               stub_text(stub, fd, "\r\n");
}

static inline bool stub_end(Stub *stub, int fd) {
        return stub_text(stub, fd, "0\r\n\r\n");
}

/* Says nothing until the peer goes away or the stub is to stop. */
static inline bool stub_hang(Stub *stub, int fd) {
        struct pollfd p[] = { { fd, POLLRDHUP, 0 }, { stub->stop_fd, POLLIN, 0 } };

        poll(p, 2, -1);
        return false;
}

/* Says `text` for ever. */
static inline bool stub_endless(Stub *stub, int fd, const char *text) {
        while (stub_text(stub, fd, text))
                ;
        return false;
}

static inline size_t stub_n_requests(Stub *stub) {
        size_t n;

        pthread_mutex_lock(&stub->mutex);
        n = stub->n_requests;
        pthread_mutex_unlock(&stub->mutex);
        return n;
}

static inline size_t stub_n_connections(Stub *stub) {
        size_t n;

        pthread_mutex_lock(&stub->mutex);
        n = stub->n_connections;
        pthread_mutex_unlock(&stub->mutex);
        return n;
}

/* How often exactly this was asked. */
static inline size_t stub_count(Stub *stub, const char *request) {
        size_t n = 0;

        pthread_mutex_lock(&stub->mutex);
        for (size_t i = 0; i < stub->n_requests; i++)
                n += strcmp(stub->requests[i], request) == 0;
        pthread_mutex_unlock(&stub->mutex);
        return n;
}

/* What was asked last, as long as it fits. */
static inline void stub_last(Stub *stub, char ret[static STUB_REQUEST_MAX]) {
        pthread_mutex_lock(&stub->mutex);
        *ret = '\0';
        if (stub->n_requests > 0)
                strcpy(ret, stub->requests[stub->n_requests - 1]);
        pthread_mutex_unlock(&stub->mutex);
}

static inline void stub_forget(Stub *stub) {
        pthread_mutex_lock(&stub->mutex);
        stub->n_requests = stub->n_connections = 0;
        pthread_mutex_unlock(&stub->mutex);
}

/* Reads a request's head, which is all there is: nothing here has a body. */
static inline bool stub_receive(Stub *stub, int fd, char *request, size_t size) {
        char raw[4096];
        size_t n = 0, n_line;

        for (;;) {
                struct pollfd p[] = { { fd, POLLIN, 0 }, { stub->stop_fd, POLLIN, 0 } };
                ssize_t got;

                if (poll(p, 2, -1) < 0 || p[1].revents || n == sizeof(raw) - 1)
                        return false;
                got = recv(fd, raw + n, sizeof(raw) - 1 - n, 0);
                if (got <= 0)
                        return false;
                n += (size_t)got;
                raw[n] = '\0';
                if (strstr(raw, "\r\n\r\n"))
                        break;
        }

        n_line = strcspn(raw, "\r");
        if (n_line > 9)
                n_line -= strlen(" HTTP/1.1");
        snprintf(request, size, "%.*s", (int)n_line, raw);

        pthread_mutex_lock(&stub->mutex);
        if (stub->n_requests < STUB_REQUESTS_MAX)
                snprintf(stub->requests[stub->n_requests++], sizeof(stub->requests[0]), "%s",
                         request);
        memcpy(stub->raw, raw, n + 1);
        pthread_mutex_unlock(&stub->mutex);
        return true;
}

static inline void *stub_thread(void *userdata) {
        Stub *stub = userdata;

        for (;;) {
                struct pollfd p[] = { { stub->listen_fd, POLLIN, 0 },
                                      { stub->stop_fd, POLLIN, 0 } };
                char request[STUB_REQUEST_MAX];
                int fd;

                if (poll(p, 2, -1) < 0 || p[1].revents)
                        return NULL;
                fd = accept4(stub->listen_fd, NULL, NULL, SOCK_CLOEXEC);
                if (fd < 0 && errno == EAGAIN) /* another thread took it */
                        continue;
                if (fd < 0)
                        return NULL;

                pthread_mutex_lock(&stub->mutex);
                stub->n_connections++;
                pthread_mutex_unlock(&stub->mutex);

                while (stub_receive(stub, fd, request, sizeof(request)) &&
                       stub->handler(stub, fd, request))
                        ;
                close(fd);
        }
}

static inline int stub_listen(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd;

        unlink(path);
        snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(fd, 8), 0);
        return fd;
}

/* Starts it, or starts it again after stub_stop(). */
static inline void stub_run(Stub *stub, StubHandler handler) {
        stub->handler = handler;
        stub->listen_fd = stub_listen(stub->path);
        stub->stop_fd = eventfd(0, EFD_CLOEXEC);
        assert_true(stub->stop_fd >= 0);
        assert_int_equal(pthread_create(&stub->thread, NULL, stub_thread, stub), 0);
}

static inline void stub_stop(Stub *stub) {
        assert_int_equal(eventfd_write(stub->stop_fd, 1), 0);
        assert_int_equal(pthread_join(stub->thread, NULL), 0);
        while (stub->n_more > 0)
                assert_int_equal(pthread_join(stub->more[--stub->n_more], NULL), 0);
        close(stub->listen_fd);
        close(stub->stop_fd);
}

/* Serves so many connections more at once, until stub_stop(). */
static inline void stub_widen(Stub *stub, size_t n) {
        assert_int_equal(fcntl(stub->listen_fd, F_SETFL, O_NONBLOCK), 0);
        for (size_t i = 0; i < n; i++)
                assert_int_equal(
                        pthread_create(&stub->more[stub->n_more++], NULL, stub_thread, stub), 0);
}

static inline Stub *stub_new(StubHandler handler, const void *userdata) {
        Stub *stub = calloc(1, sizeof(*stub));

        if (!stub)
                abort();
        strcpy(stub->directory, "/tmp/wpcache-stub-XXXXXX");
        assert_non_null(mkdtemp(stub->directory));
        snprintf(stub->path, sizeof(stub->path), "%s/docker.sock", stub->directory);
        stub->userdata = userdata;
        pthread_mutex_init(&stub->mutex, NULL);
        stub_run(stub, handler);
        return stub;
}

static inline Stub *stub_free(Stub *stub) {
        stub_stop(stub);
        unlink(stub->path);
        rmdir(stub->directory);
        pthread_mutex_destroy(&stub->mutex);
        free(stub);
        return NULL;
}
DEFINE_CLEANUP(Stub *, stub_free);
