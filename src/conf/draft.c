/* SPDX-License-Identifier: MIT */

#include "draft-internal.h"

#include <string.h>

void draft_error(Draft *draft, const char *file, unsigned line, const Diag *diag) {
        draft_tell(draft, CONFIG_MISTAKE, file, line, diag);
}

void draft_tell(Draft *draft, ConfigLevel level, const char *file, unsigned line,
                const Diag *diag) {
        ConfigErrors *errors = draft->errors;
        ConfigError error = { .level = level, .line = line };
        size_t n = errors->n + errors->n_remarks;
        ConfigError *grown;

        error.file = strdup(file);
        error.text = strdup(diag->text);
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
