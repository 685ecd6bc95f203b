/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Reads the fields of one protobuf message, in the order they come (protobuf.dev, "Encoding"). The
 * reader borrows the bytes and copies nothing. Internal to docker/, exposed for tests and fuzzing.
 */

#include "base/macro.h"

typedef struct Protobuf {
        const uint8_t *p;
        size_t n;
} Protobuf;

typedef enum ProtobufType {
        PROTOBUF_VARINT = 0,
        PROTOBUF_FIXED64 = 1,
        PROTOBUF_BYTES = 2, /* text, bytes or a message */
        PROTOBUF_FIXED32 = 5,
} ProtobufType;

typedef struct ProtobufField {
        uint32_t number;
        ProtobufType type;
        uint64_t value; /* of a varint or a fixed one */
        Protobuf bytes; /* of PROTOBUF_BYTES, else empty */
} ProtobufField;

/* The next field: 1, 0 at the end, or -EBADMSG for bytes that are no field; groups, which no message
 * of BuildKit has, are none. */
int protobuf_next(Protobuf *message, ProtobufField *ret) must_check;

/* Whether the field is text or a message of this number. */
static inline bool protobuf_is(const ProtobufField *field, uint32_t number) {
        return field->number == number && field->type == PROTOBUF_BYTES;
}

/* The number in a varint field of this number; `fallback` for another field. */
static inline uint64_t protobuf_number(const ProtobufField *field, uint32_t number,
                                       uint64_t fallback) {
        return field->number == number && field->type == PROTOBUF_VARINT ? field->value : fallback;
}

/* Copies a text, cut to fit `size` with its NUL; bytes that are NUL become '?'. */
void protobuf_text(Protobuf text, char *ret, size_t size);
