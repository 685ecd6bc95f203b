/* SPDX-License-Identifier: MIT */

/*
 * gRPC is HTTP/2 with a frame round each message and the outcome in the trailers, where an answer
 * without any trailer has been cut off.
 */

#include "docker/grpc.h"

#include <inttypes.h>
#include <string.h>

#include "base/array.h"

#define HEAD_SIZE 5
#define REQUEST_MAX 255

/* google.golang.org/grpc/codes */
#define GRPC_OK "0"
#define GRPC_UNIMPLEMENTED "12"

static uint32_t message_length(const GrpcReader *reader) {
        return (uint32_t)reader->head[1] << 24 | (uint32_t)reader->head[2] << 16 |
               (uint32_t)reader->head[3] << 8 | reader->head[4];
}

static int check_head(const GrpcReader *reader, Diag *reterr_diag) {
        if (reader->head[0] != 0)
                return diag_set(reterr_diag, -EBADMSG, "a message of the engine is compressed");
        if (message_length(reader) > GRPC_MESSAGE_MAX)
                return diag_set(reterr_diag, -EBADMSG,
                                "a message of the engine is longer than %u bytes",
                                GRPC_MESSAGE_MAX);
        return 0;
}

/* Takes what `data` has of the message in progress; returns the bytes taken, or -ENOMEM. */
static ssize_t fill(GrpcReader *reader, const char *data, size_t n) {
        size_t piece = MIN(n, message_length(reader) - reader->n);
        void *grown;

        grown = array_reserve(reader->message, &reader->size, reader->n, piece, 1);
        if (!grown)
                return -ENOMEM;

        reader->message = grown;
        memcpy(reader->message + reader->n, data, piece);
        reader->n += piece;
        return (ssize_t)piece;
}

int grpc_reader_feed(GrpcReader *reader, const char *data, size_t n, GrpcMessage message,
                     void *userdata, Diag *reterr_diag) {
        const char *end = data + n;
        int r;

        while (data < end) {
                ssize_t taken;

                if (reader->n_head < HEAD_SIZE) {
                        reader->head[reader->n_head++] = (uint8_t)*data++;
                        if (reader->n_head < HEAD_SIZE)
                                continue;
                        r = check_head(reader, reterr_diag);
                        if (r < 0)
                                return r;
                }

                taken = fill(reader, data, (size_t)(end - data));
                if (taken < 0)
                        return (int)taken;
                data += taken;
                if (reader->n < message_length(reader))
                        continue;

                r = message(userdata, reader->message, reader->n, reterr_diag);
                if (r < 0)
                        return r;
                reader->n = reader->n_head = 0;
        }

        return 0;
}

int grpc_reader_finish(const GrpcReader *reader, Diag *reterr_diag) {
        if (reader->n_head > 0)
                return diag_set(reterr_diag, -EBADMSG, "a message of the engine is cut off");
        return 0;
}

void grpc_reader_done(GrpcReader *reader) {
        free(reader->message);
        *reader = (GrpcReader){ 0 };
}

typedef struct Answer {
        GrpcReader reader;
        GrpcMessage message;
        void *userdata;
        uint64_t n, max;
} Answer;

static int on_bytes(void *userdata, const char *data, size_t n, Diag *reterr_diag) {
        Answer *answer = userdata;

        answer->n += n;
        if (answer->n > answer->max)
                return diag_set(reterr_diag, -EBADMSG,
                                "the answer is longer than %" PRIu64 " bytes", answer->max);

        return grpc_reader_feed(&answer->reader, data, n, answer->message, answer->userdata,
                                reterr_diag);
}

/* What an answer that came means. Without a status of gRPC's, the answer is that of HTTP: to the
 * upgrade, or to a request that never came to BuildKit. */
static int map_outcome(const HttpResponse *response, Diag *reterr_diag) {
        const char *status = response->grpc_status;
        bool absent = response->status == 404 || response->status == 403;

        if (strcmp(status, GRPC_OK) == 0)
                return 0;
        if (*status)
                return diag_set(reterr_diag,
                                strcmp(status, GRPC_UNIMPLEMENTED) == 0 ? -EOPNOTSUPP : -EREMOTEIO,
                                "BuildKit: %s (status %s)", response->grpc_message, status);
        if (response->status == 200)
                return diag_set(reterr_diag, -ECONNRESET, "the answer from /grpc was cut off");

        return diag_set(reterr_diag, absent ? -EOPNOTSUPP : -EREMOTEIO,
                        "the build history can't be read: /grpc is answered %ld", response->status);
}

int docker_grpc(Docker *docker, const char *method, const void *request, size_t n, uint64_t max,
                GrpcMessage message, void *userdata, Diag *reterr_diag) {
        Answer answer = { .message = message, .userdata = userdata, .max = max };
        uint8_t body[HEAD_SIZE + REQUEST_MAX] = { 0 };
        HttpResponse response;
        int r;

        if (n > REQUEST_MAX)
                return -EINVAL;

        body[4] = (uint8_t)n;
        memcpy(body + HEAD_SIZE, request, n);
        r = docker_call_grpc(docker, method, body, HEAD_SIZE + n, on_bytes, &answer, &response,
                             reterr_diag);
        if (r >= 0)
                r = map_outcome(&response, reterr_diag);
        if (r >= 0)
                r = grpc_reader_finish(&answer.reader, reterr_diag);
        grpc_reader_done(&answer.reader);
        return r;
}
