/* SPDX-License-Identifier: MIT */

#include "draft-internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void add_error(Draft *draft, ConfigLevel level, const char *file, unsigned line,
                      const char *text) {
        ConfigErrors *errors = draft->errors;
        ConfigError error = { .level = level, .line = line };
        size_t n = errors->n + errors->n_remarks;
        ConfigError *grown;

        error.file = strdup(file);
        error.text = strdup(text);
        grown = reallocarray(errors->v, n + 1, sizeof *grown);
        if (grown)
                errors->v = grown;
        if (!grown || !error.file || !error.text) {
                free(error.file);
                free(error.text);
                draft->out_of_memory = true;
                return;
        }
        if (level == CONFIG_MISTAKE) {
                ConfigError *at = &errors->v[errors->n++];

                memmove(at + 1, at, errors->n_remarks * sizeof *at);
                *at = error;
        } else {
                errors->v[n] = error;
                errors->n_remarks++;
        }
}

void draft_tell(Draft *draft, ConfigLevel level, const char *file, unsigned line,
                const char *format, ...) {
        Diag diag = DIAG_NULL;
        char text[sizeof diag.text + 8];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        diag_format(&diag, "%s", text); /* cleans and cuts it */
        add_error(draft, level, file, line, diag.text);
}
