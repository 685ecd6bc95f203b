/* SPDX-License-Identifier: MIT */

/*
 * libcurl can speak HTTP/2 to a server that is known to speak it, and can ask for an upgrade whose
 * answer is the first stream. The engine wants neither: it answers 101 and then waits for a new
 * HTTP/2 connection. So the upgrade is made here. The answer is read byte by byte, since curl must
 * find the first byte behind it in the socket.
 */

#include "docker/upgrade.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/span.h"

#define HEAD_MAX (16U * 1024U)
#define SLICE_MSEC 100

/* Waits for `events`, in short slices: no other thread can wake a poll() of curl's own socket. */
static int wait_for(int fd, short events, uint64_t deadline_usec, const atomic_bool *interrupted,
                    Diag *reterr_diag) {
        struct pollfd p = { .fd = fd, .events = events };

        for (;;) {
                int n;

                if (atomic_load(interrupted))
                        return -ECANCELED;
                if (now_monotonic_usec() >= deadline_usec)
                        return diag_set(reterr_diag, -ETIMEDOUT,
                                        "no answer to the upgrade of the connection in time");
                n = poll(&p, 1, SLICE_MSEC);
                if (n > 0)
                        return 0;
                if (n < 0 && errno != EINTR)
                        return -errno;
        }
}

static bool try_again(int error) {
        return error == EAGAIN || error == EINTR;
}

static int lost(Diag *reterr_diag) {
        return diag_set(reterr_diag, -ECONNRESET, "the connection was lost in its upgrade");
}

static int send_all(int fd, const char *text, size_t n, uint64_t deadline_usec,
                    const atomic_bool *interrupted, Diag *reterr_diag) {
        while (n > 0) {
                ssize_t sent;
                int r;

                r = wait_for(fd, POLLOUT, deadline_usec, interrupted, reterr_diag);
                if (r < 0)
                        return r;
                sent = send(fd, text, n, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (sent < 0 && !try_again(errno))
                        return lost(reterr_diag);
                if (sent > 0) {
                        text += sent;
                        n -= (size_t)sent;
                }
        }

        return 0;
}

/* "HTTP/1.1 101 UPGRADED" */
static int parse_status(const char *head, long *ret_status, Diag *reterr_diag) {
        unsigned minor, status;

        if (sscanf(head, "HTTP/1.%1u %3u", &minor, &status) != 2 || status < 100)
                return diag_set(reterr_diag, -EBADMSG, "the answer to the upgrade is not HTTP");

        *ret_status = (long)status;
        return 0;
}

int upgrade_to_h2c(int fd, const char *path, uint64_t timeout_usec, const atomic_bool *interrupted,
                   long *ret_status, Diag *reterr_diag) {
        char request[256], start[32] = "", last[4] = "";
        uint64_t deadline_usec;
        int n, r;

        if (__builtin_add_overflow(now_monotonic_usec(), timeout_usec, &deadline_usec))
                deadline_usec = USEC_INFINITY;
        n = snprintf(request, sizeof(request),
                     "POST %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: wpcached/" WPCACHE_VERSION
                     "\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n",
                     path);
        if (n < 0 || (size_t)n >= sizeof(request))
                return -EINVAL;

        r = send_all(fd, request, (size_t)n, deadline_usec, interrupted, reterr_diag);
        if (r < 0)
                return r;

        for (size_t i = 0; memcmp(last, "\r\n\r\n", sizeof(last)) != 0; i++) {
                ssize_t got;
                char c;

                if (i == HEAD_MAX)
                        return diag_set(reterr_diag, -EBADMSG,
                                        "the head of the answer to the upgrade is too long");
                do {
                        r = wait_for(fd, POLLIN, deadline_usec, interrupted, reterr_diag);
                        if (r < 0)
                                return r;
                        got = recv(fd, &c, 1, MSG_DONTWAIT);
                } while (got < 0 && try_again(errno));
                if (got <= 0)
                        return lost(reterr_diag);
                if (i < sizeof(start) - 1)
                        start[i] = c;
                memmove(last, last + 1, sizeof(last) - 1);
                last[sizeof(last) - 1] = c;
        }

        return parse_status(start, ret_status, reterr_diag);
}
