/* SPDX-License-Identifier: MIT */

/* What comes apart is put together again as the same words; and any words that may be sent come apart
 * as they were. */

#include <assert.h>
#include <string.h>

#include "base/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define LINE_MAX_BYTES 512

static void there_and_back(const Strv *words) {
        cleanup_free char *line = words_quote(words);
        cleanup(strv_done) Strv again = STRV_NULL;
        Diag diag = DIAG_NULL;

        assert(line);
        assert(words_split(line, SIZE_MAX - 1, &again, &diag) == 0);
        assert(strv_equal(words, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        cleanup_free char *line = malloc(n + 1);
        cleanup(strv_done) Strv split = STRV_NULL, words = STRV_NULL;
        Diag diag = DIAG_NULL;
        int r;

        assert(line);
        memcpy(line, data, n);
        line[n] = '\0';
        r = words_split(line, LINE_MAX_BYTES, &split, &diag);
        assert(r == 0 || ((r == -EINVAL || r == -E2BIG) && *diag.text));
        if (r == 0)
                there_and_back(&split);

        /* the same bytes, cut at blanks: what may not be sent becomes something else */
        for (size_t i = 0; i < n; i++)
                if ((unsigned char)line[i] < ' ' || line[i] == '\x7f')
                        line[i] = '\'';
        for (const char *p = line;; p++) {
                size_t length = strcspn(p, " ");

                assert(strv_addn(&words, p, length) == 0);
                p += length;
                if (!*p)
                        break;
        }
        there_and_back(&words);
        return 0;
}
