/* SPDX-License-Identifier: MIT */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/socket.h>

#include "wire/frame.h"

/* A reader on one end of a socketpair, the peer's end, and a writer. */
typedef struct Pair {
        int fd, peer;
        FrameReader reader;
        FrameWriter writer;
} Pair;

static void pair_open(Pair *pair, size_t max) {
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
                         0);
        *pair = (Pair){ .fd = fds[0], .peer = fds[1] };
        frame_reader_init(&pair->reader, max);
        frame_writer_init(&pair->writer, max);
}

static void pair_close(Pair *pair) {
        frame_reader_done(&pair->reader);
        frame_writer_done(&pair->writer);
        close(pair->fd);
        if (pair->peer >= 0)
                close(pair->peer);
}

static void peer_sends(Pair *pair, const char *data, size_t n) {
        assert_int_equal(send(pair->peer, data, n, MSG_NOSIGNAL), n);
}

static void expect_message(Pair *pair, const char *text) {
        cleanup_free char *message = NULL;
        size_t n = 0;

        assert_true(frame_reader_ready(&pair->reader));
        assert_int_equal(frame_next(&pair->reader, &message, &n), 1);
        assert_string_equal(message, text);
        assert_int_equal(n, strlen(text));
}

static void expect_none(Pair *pair, int r) {
        char *message = NULL;
        size_t n = 0;

        assert_false(frame_reader_ready(&pair->reader));
        assert_int_equal(frame_next(&pair->reader, &message, &n), r);
        assert_null(message);
}

static void test_short_reads(void **state) {
        static const char text[] = "{\"method\":\"a.b.C\"}";
        Pair pair;

        (void)state;
        pair_open(&pair, 64);
        expect_none(&pair, 0);
        assert_int_equal(frame_read(&pair.reader, pair.fd), -EAGAIN);
        for (size_t i = 0; i < sizeof(text); i++) {
                expect_none(&pair, 0);
                assert_int_equal(frame_reader_partial(&pair.reader), i > 0);
                peer_sends(&pair, text + i, 1);
                assert_int_equal(frame_read(&pair.reader, pair.fd), 1);
        }
        expect_message(&pair, text);
        expect_none(&pair, 0);
        assert_false(frame_reader_partial(&pair.reader));
        assert_null(pair.reader.buffer);
        pair_close(&pair);
}

static void test_several_at_once(void **state) {
        Pair pair;

        (void)state;
        pair_open(&pair, 64);
        peer_sends(&pair, "one\0\0three\0fo", 13);
        assert_int_equal(frame_read(&pair.reader, pair.fd), 1);
        expect_message(&pair, "one");
        /* nothing more is read while messages wait */
        peer_sends(&pair, "ur\0", 3);
        assert_int_equal(frame_read(&pair.reader, pair.fd), 1);
        assert_int_equal(pair.reader.n, 1 + 6 + 2);
        expect_message(&pair, "");
        expect_message(&pair, "three");
        expect_none(&pair, 0);
        assert_true(frame_reader_partial(&pair.reader));
        assert_int_equal(frame_read(&pair.reader, pair.fd), 1);
        expect_message(&pair, "four");
        expect_none(&pair, 0);
        pair_close(&pair);
}

static void test_limit(void **state) {
        char text[4096 + 2];
        Pair pair;

        (void)state;
        memset(text, 'x', sizeof(text));

        /* as long as may be */
        pair_open(&pair, 4096);
        text[4096] = '\0';
        peer_sends(&pair, text, 4097);
        while (frame_read(&pair.reader, pair.fd) > 0)
                if (memchr(pair.reader.buffer, '\0', pair.reader.n))
                        break;
        expect_message(&pair, text);
        pair_close(&pair);

        /* one byte too long: refused before its end is seen */
        pair_open(&pair, 4096);
        text[4096] = 'x';
        peer_sends(&pair, text, 4097);
        for (size_t n = 0; n < 4097; n = pair.reader.n)
                assert_int_equal(frame_read(&pair.reader, pair.fd), 1);
        expect_none(&pair, -EMSGSIZE);
        assert_int_equal(frame_read(&pair.reader, pair.fd), -EMSGSIZE);
        assert_true(pair.reader.size <= 4097);
        pair_close(&pair);
}

static void test_end(void **state) {
        Pair pair;

        (void)state;
        pair_open(&pair, 64);
        peer_sends(&pair, "whole\0half", 10);
        close(pair.peer);
        pair.peer = -EBADF;
        assert_int_equal(frame_read(&pair.reader, pair.fd), 1);
        expect_message(&pair, "whole");
        expect_none(&pair, 0);
        assert_int_equal(frame_read(&pair.reader, pair.fd), 0);
        assert_true(frame_reader_partial(&pair.reader));
        expect_none(&pair, 0);
        pair_close(&pair);
}

static void test_writer(void **state) {
        char received[64];
        Pair pair;

        (void)state;
        pair_open(&pair, 16);
        assert_int_equal(frame_flush(&pair.writer, pair.fd), 1);
        assert_int_equal(frame_queue(&pair.writer, "0123456789abcdef", 16), -ENOBUFS);
        assert_int_equal(frame_queue(&pair.writer, "0123456789", 10), 0);
        assert_int_equal(frame_queue(&pair.writer, "abcde", 5), -ENOBUFS);
        assert_int_equal(frame_queue(&pair.writer, "abcd", 4), 0);
        assert_int_equal(frame_queue(&pair.writer, "", 0), -ENOBUFS);
        assert_false(frame_writer_empty(&pair.writer));
        assert_true(frame_writer_waiting(&pair.writer) > 0);
        assert_int_equal(frame_flush(&pair.writer, pair.fd), 1);
        assert_true(frame_writer_empty(&pair.writer));
        assert_int_equal(recv(pair.peer, received, sizeof(received), 0), 16);
        assert_memory_equal(received, "0123456789\0abcd\0", 16);

        close(pair.peer);
        pair.peer = -EBADF;
        assert_int_equal(frame_queue(&pair.writer, "x", 1), 0);
        assert_int_equal(frame_flush(&pair.writer, pair.fd), -EPIPE);
        pair_close(&pair);
}

/* More than the socket holds goes through in pieces, in order, while more is queued behind it. */
static void test_backpressure(void **state) {
        size_t n_sent = 0, n_got = 0, max = 1024 * 1024;
        bool full = false;
        char text[997];
        Pair pair;

        (void)state;
        pair_open(&pair, max);
        while (n_got < 3000) {
                cleanup_free char *message = NULL;
                size_t n;
                int r;

                while (n_sent < 3000) {
                        memset(text, 'a' + (int)(n_sent % 26), sizeof(text));
                        if (frame_queue(&pair.writer, text, sizeof(text)) == -ENOBUFS) {
                                full = true;
                                break;
                        }
                        n_sent++;
                }
                assert_true(frame_flush(&pair.writer, pair.fd) >= 0);
                r = frame_next(&pair.reader, &message, &n);
                if (r == 0) {
                        r = frame_read(&pair.reader, pair.peer);
                        assert_true(r == 1 || r == -EAGAIN);
                        continue;
                }
                assert_int_equal(r, 1);
                assert_int_equal(n, sizeof(text));
                assert_int_equal(message[0], 'a' + (int)(n_got % 26));
                assert_int_equal(message[n - 1], message[0]);
                n_got++;
        }
        assert_true(full);
        assert_true(pair.writer.size <= max);
        assert_true(frame_writer_empty(&pair.writer));
        pair_close(&pair);
}

static void test_pipe(void **state) {
        FrameReader reader;
        FrameWriter writer;
        cleanup_free char *message = NULL;
        size_t n;
        int fds[2];

        (void)state;
        assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
        frame_reader_init(&reader, 64);
        frame_writer_init(&writer, 64);
        assert_int_equal(frame_queue(&writer, "text", 4), 0);
        assert_int_equal(frame_flush(&writer, fds[1]), 1);
        assert_int_equal(frame_read(&reader, fds[0]), 1);
        assert_int_equal(frame_next(&reader, &message, &n), 1);
        assert_string_equal(message, "text");
        frame_reader_done(&reader);
        frame_writer_done(&writer);
        close(fds[0]);
        close(fds[1]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_short_reads), cmocka_unit_test(test_several_at_once),
                cmocka_unit_test(test_limit),       cmocka_unit_test(test_end),
                cmocka_unit_test(test_writer),      cmocka_unit_test(test_backpressure),
                cmocka_unit_test(test_pipe),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
