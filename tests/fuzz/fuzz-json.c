/* SPDX-License-Identifier: MIT */

/* What json_parse() takes prints as text that parses to the same text again. */

#include <assert.h>
#include <string.h>

#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static size_t walk(const Json *json, size_t depth) {
        size_t longest = 0;

        assert(depth <= JSON_DEPTH_MAX);
        json_foreach (member, json) {
                const char *name = json_name(member);
                int64_t value = 0;

                longest = MAX(longest, walk(member, depth + 1));
                if (json_string(member))
                        longest = MAX(longest, strlen(json_string(member)));
                if (name && json_read_int(json, name, &value) > 0)
                        assert(value >= -JSON_INT_MAX && value <= JSON_INT_MAX);
        }
        return longest;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        cleanup(json_free) Json *json = NULL, *again = NULL, *pretty_again = NULL;
        cleanup_free char *text = NULL, *text_again = NULL, *pretty = NULL;

        if (json_parse((const char *)data, n, &json) < 0)
                return 0;
        assert(walk(json, 0) <= n);
        text = json_text(json);
        pretty = json_text_pretty(json);
        assert(text && pretty);
        /* numbers past a double's range print as null, so texts are compared from the second on */
        assert(json_parse(text, strlen(text), &again) == 0);
        assert(json_parse(pretty, strlen(pretty), &pretty_again) == 0);
        text_again = json_text(pretty_again);
        assert(text_again && strcmp(text, text_again) == 0);
        return 0;
}
