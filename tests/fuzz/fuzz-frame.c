/* SPDX-License-Identifier: MIT */

/*
 * The input is cut into pieces that go through a socketpair one by one; what comes out are its
 * NUL-terminated parts, whatever the cuts. The first byte chooses the length of the pieces.
 */

#include <assert.h>
#include <string.h>
#include <sys/socket.h>

#include "wire/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define MESSAGE_MAX 512

static size_t take(FrameReader *reader, const char *expected, const char *end) {
        size_t taken = 0;

        for (;;) {
                cleanup_free char *message = NULL;
                size_t n;
                int r = frame_next(reader, &message, &n);

                if (r == -EMSGSIZE)
                        assert(!memchr(expected + taken, '\0',
                                       MIN((size_t)(end - expected) - taken, MESSAGE_MAX + 1U)));
                if (r <= 0)
                        return taken;
                assert(n <= MESSAGE_MAX && strlen(message) == n);
                assert(strcmp(message, expected + taken) == 0);
                taken += n + 1;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        const char *next, *end, *expected;
        FrameReader reader;
        size_t piece;
        int fds[2], r = 1;

        if (n < 1)
                return 0;
        piece = 1 + data[0] % 143;
        next = expected = (const char *)data + 1;
        end = (const char *)data + n;

        r = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds);
        assert(r == 0);
        frame_reader_init(&reader, MESSAGE_MAX);
        while (next < end) {
                size_t length = MIN(piece, (size_t)(end - next));
                ssize_t sent = send(fds[1], next, length, MSG_NOSIGNAL);

                assert(sent == (ssize_t)length);
                next += length;
                while ((r = frame_read(&reader, fds[0])) > 0)
                        expected += take(&reader, expected, end);
                if (r == -EMSGSIZE)
                        break;
                assert(r == -EAGAIN);
                assert(reader.size <= MESSAGE_MAX + 1);
        }
        assert(r == -EMSGSIZE || !memchr(expected, '\0', (size_t)(end - expected)));
        frame_reader_done(&reader);
        close(fds[0]);
        close(fds[1]);
        return 0;
}
