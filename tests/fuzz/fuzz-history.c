/* SPDX-License-Identifier: MIT */

/*
 * The body of a gRPC answer gives the same messages and the same error in any pieces; each message is
 * read as a record and as the steps of a build, and what comes out of it is within its bounds.
 */

#undef NDEBUG
#include <assert.h>
#include <string.h>

#include "docker/grpc.h"
#include "docker/history.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

typedef struct Result {
        uint64_t hash;
        size_t n;
        int error;
} Result;

static void hash_bytes(Result *result, const void *data, size_t n) {
        for (size_t i = 0; i < n; i++)
                result->hash =
                        (result->hash ^ ((const unsigned char *)data)[i]) * UINT64_C(0x100000001b3);
        result->n++;
}

static void hash_text(Result *result, const char *text, size_t size) {
        size_t n = strnlen(text, size);

        assert(n < size);
        hash_bytes(result, text, n + 1);
}

static int on_build(void *userdata, const Build *build) {
        Result *result = userdata;

        assert(*build->ref);
        assert(build->created_nsec >= 0 && build->completed_nsec >= 0);
        hash_text(result, build->ref, sizeof(build->ref));
        hash_bytes(result, &build->created_nsec, sizeof(build->created_nsec));
        hash_bytes(result, &build->completed_nsec, sizeof(build->completed_nsec));
        for (size_t i = 0; i < build->results.n; i++)
                hash_text(result, build->results.v[i], BUILD_DIGEST_MAX);
        return 0;
}

static int on_step(void *userdata, const BuildStep *step) {
        Result *result = userdata;

        hash_text(result, step->name, sizeof(step->name));
        hash_text(result, step->digest, sizeof(step->digest));
        hash_bytes(result, &step->n_inputs, sizeof(step->n_inputs));
        return 0;
}

static int on_message(void *userdata, const void *data, size_t n, Diag *reterr_diag) {
        Result *result = userdata;
        int r;

        (void)reterr_diag;
        assert(n <= GRPC_MESSAGE_MAX);
        r = parse_build_event(data, n, on_build, result, NULL);
        assert(r == 0 || r == -EBADMSG);
        hash_bytes(result, &r, sizeof(r));
        r = parse_build_status(data, n, on_step, result, NULL);
        assert(r == 0 || r == -EBADMSG);
        hash_bytes(result, &r, sizeof(r));
        return 0;
}

static Result feed(const char *text, size_t n, size_t step) {
        GrpcReader reader = { { 0 } };
        Result result = { 0 };

        for (size_t at = 0; at < n && result.error == 0; at += step) {
                size_t piece = MIN(step, n - at);
                cleanup_free char *copy = malloc(MAX(piece, (size_t)1));

                assert(copy);
                memcpy(copy, text + at, piece);
                result.error = grpc_reader_feed(&reader, copy, piece, on_message, &result, NULL);
        }
        if (result.error == 0)
                result.error = grpc_reader_finish(&reader, NULL);
        grpc_reader_done(&reader);
        return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        Result whole = feed((const char *)data, n, n + 1);

        for (size_t step = 1; step < 1000; step = step * 5 + 2) {
                Result pieces = feed((const char *)data, n, step);

                assert(pieces.error == whole.error);
                assert(pieces.n == whole.n);
                assert(pieces.hash == whole.hash);
        }
        return 0;
}
