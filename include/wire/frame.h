/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Varlink framing: each message is JSON text ended by one NUL byte. Bounded buffers on both
 * sides; never blocks, never reads past what it was given. One FrameReader and one FrameWriter a
 * connection; both are plain values to embed, zero-initialised by *_init().
 */

#include "base/macro.h"

#define FRAME_MESSAGE_MAX (64U * 1024U)

typedef struct FrameReader {
        char *buffer; /* grows up to `max` + 1, shrinks to nothing when empty */
        size_t size, start, n, max;
        size_t scanned; /* bytes from start on already known to hold no NUL */
} FrameReader;

typedef struct FrameWriter {
        char *buffer;
        size_t size, start, n, max;
} FrameWriter;

/* `max` bounds one message without its NUL. */
void frame_reader_init(FrameReader *reader, size_t max);
void frame_reader_done(FrameReader *reader);

/*
 * Reads once from `fd` (any kind). 1: something came; 0: end of file; -EAGAIN: nothing now;
 * -EMSGSIZE: the message in progress passes the limit; other -errno of read(2).
 * While a complete message waits, returns 1 and reads nothing, so that a peer can't queue without
 * bound; take messages with frame_next() until it returns 0 before waiting for the fd again.
 */
int frame_read(FrameReader *reader, int fd) must_check;

/*
 * Takes the next complete message: 1 with a malloc'ed, NUL-terminated copy; 0 if there is none
 * yet; -ENOMEM; -EMSGSIZE as above.
 */
int frame_next(FrameReader *reader, char **ret_message, size_t *ret_n) must_check;

/* Whether frame_next() would return 1. */
bool frame_reader_ready(FrameReader *reader);

/* Once frame_next() has returned 0: bytes of an unfinished message are held, the peer is in the
 * middle of one. */
bool frame_reader_partial(const FrameReader *reader);

/* `max` bounds what waits to be written. */
void frame_writer_init(FrameWriter *writer, size_t max);
void frame_writer_done(FrameWriter *writer);

/* Queues one message and its NUL. -ENOBUFS past the bound (nothing is queued then), -ENOMEM. */
int frame_queue(FrameWriter *writer, const char *message, size_t n) must_check;

/* Writes what it can with send(2) and MSG_NOSIGNAL, or write(2) if `fd` is no socket.
 * 1: all gone; 0: more is left; -errno. */
int frame_flush(FrameWriter *writer, int fd) must_check;

bool frame_writer_empty(const FrameWriter *writer);
/* Bytes that wait to be written. */
size_t frame_writer_waiting(const FrameWriter *writer);
