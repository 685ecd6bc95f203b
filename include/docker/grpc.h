/* SPDX-License-Identifier: MIT */
#pragma once

/* gRPC to the engine's BuildKit: one request message, a row of messages as the answer. Internal to
 * docker/, exposed for tests and fuzzing. */

#include "docker/call.h"

/*
 * Cuts the body of a gRPC answer into its messages, whatever pieces it comes in: each has five bytes
 * before it, whether it is compressed (refused here) and its length, which is at most
 * GRPC_MESSAGE_MAX, BuildKit's own limit. The struct is zero at first; after an error it is spent.
 */
#define GRPC_MESSAGE_MAX (16U * 1024U * 1024U)

typedef int (*GrpcMessage)(void *userdata, const void *data, size_t n, Diag *reterr_diag);

typedef struct GrpcReader {
        uint8_t head[5];
        size_t n_head;
        uint8_t *message; /* in progress */
        size_t n, size;
} GrpcReader;

int grpc_reader_feed(GrpcReader *reader, const char *data, size_t n, GrpcMessage message,
                     void *userdata, Diag *reterr_diag) must_check;
/* -EBADMSG if a message is not whole. */
int grpc_reader_finish(const GrpcReader *reader, Diag *reterr_diag) must_check;
void grpc_reader_done(GrpcReader *reader);

/*
 * Calls `method` ("/moby.buildkit.v1.Control/Status") with one message as request[0..n), and hands
 * over those of the answer as they arrive, `max` bytes in all. The errors are those of
 * docker/history.h; the deadline is the common one.
 */
int docker_grpc(Docker *docker, const char *method, const void *request, size_t n, uint64_t max,
                GrpcMessage message, void *userdata, Diag *reterr_diag) must_check;
