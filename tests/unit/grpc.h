/* SPDX-License-Identifier: MIT */
#pragma once

/* The engine's side of gRPC for a stub: the upgrade, one request, and an answer that the test makes up
 * of HTTP/2 frames. */

#include "stub.h"

#define UPGRADED "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"

/* HPACK: `:status 200` is number 8 of the static table; the rest is written out. */
#define STATUS_200 "\x88"

/* Bytes as they are put together. */
typedef struct Bytes {
        uint8_t v[512];
        size_t n;
} Bytes;

static inline void put(Bytes *bytes, const void *data, size_t n) {
        assert_true(n <= sizeof(bytes->v) - bytes->n);
        memcpy(bytes->v + bytes->n, data, n);
        bytes->n += n;
}

static inline void put_byte(Bytes *bytes, unsigned value) {
        put(bytes, &(uint8_t){ (uint8_t)value }, 1);
}

static inline void put_varint(Bytes *bytes, uint64_t value) {
        for (; value >= 0x80; value >>= 7)
                put_byte(bytes, (unsigned)(value & 0x7f) | 0x80);
        put_byte(bytes, (unsigned)value);
}

static inline void put_number(Bytes *bytes, unsigned field, uint64_t value) {
        put_varint(bytes, field << 3);
        put_varint(bytes, value);
}

static inline void put_text(Bytes *bytes, unsigned field, const char *text) {
        put_varint(bytes, field << 3 | 2);
        put_varint(bytes, strlen(text));
        put(bytes, text, strlen(text));
}

static inline void put_message(Bytes *bytes, unsigned field, const Bytes *message) {
        put_varint(bytes, field << 3 | 2);
        put_varint(bytes, message->n);
        put(bytes, message->v, message->n);
}

static inline void put_length(Bytes *bytes, size_t n, size_t size) {
        for (size_t i = size; i > 0; i--)
                put_byte(bytes, (unsigned)(n >> (8 * (i - 1))) & 0xff);
}

/* A message with its gRPC frame. */
static inline void put_grpc(Bytes *bytes, unsigned compressed, size_t length,
                            const Bytes *message) {
        put_byte(bytes, compressed);
        put_length(bytes, length, 4);
        put(bytes, message->v, message->n);
}

enum { H2_DATA = 0, H2_HEADERS = 1, H2_SETTINGS = 4, H2_GOAWAY = 7 };
enum { H2_END_STREAM = 1, H2_END_HEADERS = 4 };

static inline bool h2_send(Stub *stub, int fd, unsigned type, unsigned flags, unsigned stream,
                           const void *data, size_t n) {
        Bytes frame = { .n = 0 };

        put_length(&frame, n, 3);
        put_byte(&frame, type);
        put_byte(&frame, flags);
        put_length(&frame, stream, 4);
        put(&frame, data, n);
        return stub_send(stub, fd, (const char *)frame.v, frame.n);
}

static inline bool h2_read(Stub *stub, int fd, void *ret, size_t n) {
        for (size_t at = 0; at < n;) {
                struct pollfd p[] = { { fd, POLLIN, 0 }, { stub->stop_fd, POLLIN, 0 } };
                ssize_t got;

                if (poll(p, 2, -1) < 0 || p[1].revents)
                        return false;
                got = recv(fd, (char *)ret + at, n - at, 0);
                if (got <= 0)
                        return false;
                at += (size_t)got;
        }
        return true;
}

/* Upgrades the connection and reads the client's request to its end; its body goes to `ret`. */
static inline bool h2_accept(Stub *stub, int fd, Bytes *ret) {
        char preface[24];

        *ret = (Bytes){ .n = 0 };
        if (!stub_text(stub, fd, UPGRADED) || !h2_read(stub, fd, preface, sizeof(preface)) ||
            memcmp(preface, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", sizeof(preface)) != 0 ||
            !h2_send(stub, fd, H2_SETTINGS, 0, 0, "", 0))
                return false;
        for (;;) {
                uint8_t head[9], body[4096];
                size_t n;

                if (!h2_read(stub, fd, head, sizeof(head)))
                        return false;
                n = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
                if (n > sizeof(body) || !h2_read(stub, fd, body, n))
                        return false;
                if (head[3] == H2_DATA)
                        put(ret, body, n);
                if (head[3] <= H2_HEADERS && head[4] & H2_END_STREAM)
                        return true;
        }
}

static inline bool h2_headers(Stub *stub, int fd) {
        return h2_send(stub, fd, H2_HEADERS, H2_END_HEADERS, 1, STATUS_200, 1);
}

static inline bool h2_trailers(Stub *stub, int fd, const char *status) {
        char text[64];
        int n;

        n = snprintf(text, sizeof(text), "%c\x0bgrpc-status%c%s", '\0', (int)strlen(status),
                     status);
        return h2_send(stub, fd, H2_HEADERS, H2_END_HEADERS | H2_END_STREAM, 1, text, (size_t)n);
}
