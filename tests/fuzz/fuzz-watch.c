/* SPDX-License-Identifier: MIT */

/*
 * A stream of events gives the same events and the same error in any pieces; each event is one that
 * was asked for, and within its bounds.
 */

#undef NDEBUG
#include <assert.h>
#include <string.h>

#include "docker/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

typedef struct Result {
        uint64_t hash;
        size_t n_events;
        int error;
} Result;

static void hash_bytes(Result *result, const void *data, size_t n) {
        for (size_t i = 0; i < n; i++)
                result->hash =
                        (result->hash ^ ((const unsigned char *)data)[i]) * UINT64_C(0x100000001b3);
}

static int take(void *userdata, const DockerEvent *event) {
        Result *result = userdata;

        assert(event->type <= DOCKER_EVENT_BUILDER);
        assert(*event->action &&
               strnlen(event->action, sizeof(event->action)) <= strlen("destroy"));
        assert(strnlen(event->id, sizeof(event->id)) < sizeof(event->id));
        assert(event->time_nsec >= 0 && event->time_nsec < INT64_MAX);

        hash_bytes(result, event->action, strlen(event->action) + 1);
        hash_bytes(result, event->id, strlen(event->id) + 1);
        hash_bytes(result, &event->time_nsec, sizeof(event->time_nsec));
        if (event->name)
                hash_bytes(result, event->name, strlen(event->name) + 1);
        result->n_events++;
        return 0;
}

static Result feed(const char *text, size_t n, size_t step) {
        cleanup(records_free) Records *records = NULL;
        Result result = { 0 };
        EventReader reader = { take, &result };

        if (event_reader_new(&reader, &records) < 0)
                abort();

        for (size_t at = 0; at < n && result.error == 0; at += step) {
                size_t piece = MIN(step, n - at);
                cleanup_free char *copy = malloc(MAX(piece, (size_t)1));

                assert(copy);
                memcpy(copy, text + at, piece);
                result.error = records_feed(records, copy, piece, NULL);
        }
        return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        const char *text = (const char *)data;
        Result whole = feed(text, n, n + 1);

        for (size_t step = 1; step < 1000; step = step * 5 + 2) {
                Result pieces = feed(text, n, step);

                assert(pieces.error == whole.error);
                assert(pieces.n_events == whole.n_events);
                assert(pieces.hash == whole.hash);
        }
        return 0;
}
