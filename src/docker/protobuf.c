/* SPDX-License-Identifier: MIT */

/*
 * Protobuf, as far as BuildKit's records need it: a message is a row of fields, each a key (number
 * and type) and a value whose length the type gives. Unknown fields are the caller's to pass over.
 */

#include "docker/protobuf.h"

#include <string.h>

static int read_varint(Protobuf *message, uint64_t *ret) {
        uint64_t value = 0;

        for (unsigned shift = 0; shift < 64; shift += 7) {
                uint8_t byte;

                if (message->n == 0)
                        return -EBADMSG;
                byte = *message->p++;
                message->n--;
                value |= (uint64_t)(byte & 0x7f) << shift;
                if (!(byte & 0x80)) {
                        *ret = value;
                        return 0;
                }
        }

        return -EBADMSG;
}

static int take(Protobuf *message, uint64_t n, Protobuf *ret) {
        if (n > message->n)
                return -EBADMSG;

        *ret = (Protobuf){ message->p, (size_t)n };
        message->p += n;
        message->n -= (size_t)n;
        return 0;
}

/* Little endian, `n` bytes. */
static int read_fixed(Protobuf *message, size_t n, uint64_t *ret) {
        Protobuf bytes;
        uint64_t value = 0;
        int r;

        r = take(message, n, &bytes);
        if (r < 0)
                return r;
        for (size_t i = n; i > 0; i--)
                value = value << 8 | bytes.p[i - 1];
        *ret = value;
        return 0;
}

int protobuf_next(Protobuf *message, ProtobufField *ret) {
        ProtobufField field = { 0 };
        Protobuf rest = *message;
        uint64_t key, n;
        int r;

        if (rest.n == 0)
                return 0;

        r = read_varint(&rest, &key);
        if (r < 0)
                return r;
        if (key >> 3 == 0 || key >> 3 >= UINT32_C(1) << 29)
                return -EBADMSG;

        field.number = (uint32_t)(key >> 3);
        switch (key & 7) {
        case PROTOBUF_VARINT:
                r = read_varint(&rest, &field.value);
                break;
        case PROTOBUF_FIXED64:
                r = read_fixed(&rest, 8, &field.value);
                break;
        case PROTOBUF_BYTES:
                r = read_varint(&rest, &n);
                if (r >= 0)
                        r = take(&rest, n, &field.bytes);
                break;
        case PROTOBUF_FIXED32:
                r = read_fixed(&rest, 4, &field.value);
                break;
        default:
                r = -EBADMSG;
        }
        if (r < 0)
                return r;

        field.type = (ProtobufType)(key & 7);
        *ret = field;
        *message = rest;
        return 1;
}

void protobuf_text(Protobuf text, char *ret, size_t size) {
        size_t n = MIN(text.n, size - 1);

        for (size_t i = 0; i < n; i++)
                ret[i] = text.p[i] ? (char)text.p[i] : '?';
        ret[n] = '\0';
}
