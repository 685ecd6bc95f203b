/* SPDX-License-Identifier: MIT */

/*
 * What comes out of a document does not depend on the pieces it is fed in: its elements, and the
 * error it ends with. The first two bytes say which paths and members, how long an element may be, and
 * how the pieces are cut; the rest is the document.
 */

#undef NDEBUG
#include <assert.h>
#include <string.h>

#include "docker/records.h"

#define BRACKETS_MAX 16 /* past the limit on an element, to close what is open */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

typedef struct Result {
        uint64_t hash;
        size_t n_elements, n_bytes, max;
        int error;
} Result;

static int take(void *userdata, const char *text, size_t n, const char *defect, Diag *reterr_diag) {
        Result *result = userdata;

        (void)reterr_diag;

        assert((n > 0 || defect) && n <= result->max + BRACKETS_MAX);
        if (defect)
                result->hash = (result->hash ^ 257) * UINT64_C(0x100000001b3);
        for (size_t i = 0; i < n; i++)
                result->hash = (result->hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
        result->hash = (result->hash ^ 256) * UINT64_C(0x100000001b3);
        result->n_elements++;
        result->n_bytes += n;
        return 0;
}

/* Takes an object without members. */
static ssize_t take_flat(void *userdata, const char *text, size_t n, Diag *reterr_diag) {
        if (n < 2 || memcmp(text, "{}", 2) != 0)
                return 0;

        take(userdata, text, 2, NULL, reterr_diag);
        return 2;
}

/* In pieces of up to `piece_max` bytes. */
static Result feed(const RecordsWant *want, RecordsShortcut shortcut, const char *text, size_t n,
                   size_t piece_max, uint32_t seed) {
        cleanup(records_free) Records *records = NULL;
        Result result = { .max = want->element_max };

        if (records_new(want, take, shortcut, &result, &records) < 0)
                abort();
        for (size_t at = 0, piece; at < n && result.error == 0; at += piece) {
                cleanup_free char *copy = NULL;

                seed = seed * 1103515245 + 12345;
                piece = piece_max < n ? MIN(1 + (seed >> 16) % piece_max, n - at) : n;
                copy = malloc(piece);
                assert(copy);
                memcpy(copy, text + at, piece);
                result.error = records_feed(records, copy, piece, NULL);
        }
        if (result.error == 0)
                result.error = records_finish(records, NULL);
        return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        static const char *const paths[][3] = {
                { "", NULL },
                { "BuildCache", "BuildCacheUsage.Items", NULL },
                { "a", "b.c", NULL },
                { "a.a.a", NULL },
        };
        static const char *const keep[] = { "a",           "b/c",
                                            "Id",          "Labels/com.docker.compose.project",
                                            "Mounts/Type", NULL };
        RecordsWant want = { .element_max = RECORDS_ELEMENT_MAX };
        const char *text;
        Result whole;

        if (n < 2)
                return 0;

        if (data[0] % (ELEMENTSOF(paths) + 1) < ELEMENTSOF(paths))
                want.paths = paths[data[0] % (ELEMENTSOF(paths) + 1)];
        if (data[1] & 0x80)
                want.keep = keep;
        if (!(data[0] & 0x80))
                want.element_max = 1U + data[0] / 4;
        text = (const char *)data + 2;
        n -= 2;

        whole = feed(&want, NULL, text, n, SIZE_MAX, 0);
        for (uint32_t i = 0; i < 4; i++) {
                /* what the short cut takes is handed over as it stands */
                RecordsShortcut shortcut = i % 2 && !want.keep ? take_flat : NULL;
                Result pieces = feed(&want, shortcut, text, n, i < 2 ? 1 : 16, data[1] + i);

                assert(pieces.error == whole.error);
                assert(pieces.n_elements == whole.n_elements);
                assert(pieces.n_bytes == whole.n_bytes);
                assert(pieces.hash == whole.hash);
        }
        assert(whole.n_bytes <= n + BRACKETS_MAX);
        return 0;
}
