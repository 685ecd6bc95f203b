/* SPDX-License-Identifier: MIT */

/*
 * Raw NUL can't occur in JSON text, so framing is one memchr(), and what was searched once is not
 * searched again: a peer that sends its message byte by byte costs no more than its bytes.
 * Taken messages leave the front of the reader's buffer by an offset; the rest moves down only
 * when the next read needs the room.
 */

#include <string.h>
#include <sys/socket.h>

#include "wire/frame.h"

#define BUFFER_MIN 1024U

/* Moves the content to the front and makes room for at least one byte more, up to `max`. */
static int make_room(char **buffer, size_t *size, size_t *start, size_t n, size_t want,
                     size_t max) {
        size_t larger = MAX(*size, BUFFER_MIN);
        char *grown;

        if (*start > 0)
                memmove(*buffer, *buffer + *start, n);
        *start = 0;
        if (want <= *size)
                return 0;
        while (larger < want)
                larger *= 2;
        larger = MIN(larger, max);
        grown = realloc(*buffer, larger);
        if (!grown)
                return -ENOMEM;
        *buffer = grown;
        *size = larger;
        return 0;
}

void frame_reader_init(FrameReader *reader, size_t max) {
        *reader = (FrameReader){ .max = max };
}

void frame_reader_done(FrameReader *reader) {
        free(reader->buffer);
        frame_reader_init(reader, reader->max);
}

/* The NUL that ends the first message, or NULL. */
static char *find_end(FrameReader *reader) {
        char *content, *end;

        if (reader->scanned == reader->n)
                return NULL;
        content = reader->buffer + reader->start;
        end = memchr(content + reader->scanned, '\0', reader->n - reader->scanned);
        reader->scanned = end ? (size_t)(end - content) : reader->n;
        return end;
}

int frame_read(FrameReader *reader, int fd) {
        ssize_t n;
        int r;

        if (find_end(reader))
                return 1;
        if (reader->n > reader->max)
                return -EMSGSIZE;
        r = make_room(&reader->buffer, &reader->size, &reader->start, reader->n, reader->n + 1,
                      reader->max + 1);
        if (r < 0)
                return r;
        do
                n = read(fd, reader->buffer + reader->n, reader->size - reader->n);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        reader->n += (size_t)n;
        return n > 0;
}

int frame_next(FrameReader *reader, char **ret_message, size_t *ret_n) {
        char *end = find_end(reader), *message;
        size_t n;

        if (!end)
                return reader->n > reader->max ? -EMSGSIZE : 0;
        n = (size_t)(end - reader->buffer) - reader->start;
        message = malloc(n + 1);
        if (!message)
                return -ENOMEM;
        memcpy(message, reader->buffer + reader->start, n + 1);

        reader->start += n + 1;
        reader->n -= n + 1;
        reader->scanned = 0;
        if (reader->n == 0)
                frame_reader_done(reader);
        *ret_message = message;
        *ret_n = n;
        return 1;
}

bool frame_reader_ready(FrameReader *reader) {
        return find_end(reader);
}

bool frame_reader_partial(const FrameReader *reader) {
        return reader->n > 0;
}

void frame_writer_init(FrameWriter *writer, size_t max) {
        *writer = (FrameWriter){ .max = max };
}

void frame_writer_done(FrameWriter *writer) {
        free(writer->buffer);
        frame_writer_init(writer, writer->max);
}

int frame_queue(FrameWriter *writer, const char *message, size_t n) {
        int r;

        if (n >= writer->max || n + 1 > writer->max - writer->n)
                return -ENOBUFS;
        if (writer->n + n + 1 > writer->size - writer->start) {
                r = make_room(&writer->buffer, &writer->size, &writer->start, writer->n,
                              writer->n + n + 1, writer->max);
                if (r < 0)
                        return r;
        }
        memcpy(writer->buffer + writer->start + writer->n, message, n);
        writer->n += n;
        writer->buffer[writer->start + writer->n++] = '\0';
        return 0;
}

int frame_flush(FrameWriter *writer, int fd) {
        while (writer->n > 0) {
                const char *data = writer->buffer + writer->start;
                ssize_t n = send(fd, data, writer->n, MSG_NOSIGNAL);

                if (n < 0 && errno == ENOTSOCK)
                        n = write(fd, data, writer->n);
                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        return errno == EAGAIN ? 0 : -errno;
                }
                writer->start += (size_t)n;
                writer->n -= (size_t)n;
        }
        frame_writer_done(writer);
        return 1;
}

size_t frame_writer_waiting(const FrameWriter *writer) {
        return writer->n;
}

bool frame_writer_empty(const FrameWriter *writer) {
        return writer->n == 0;
}
