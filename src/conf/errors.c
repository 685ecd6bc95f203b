/* SPDX-License-Identifier: MIT */

#include "conf/errors.h"

#include <stdio.h>

#include "base/text.h"

void config_errors_done(ConfigErrors *errors) {
        for (size_t i = 0; i < errors->n + errors->n_remarks; i++) {
                free(errors->v[i].file);
                free(errors->v[i].text);
        }
        free(errors->v);
        *errors = (ConfigErrors){ 0 };
}

char *config_error_text(const ConfigError *error) {
        const char *label = error->level == CONFIG_NOTE ? "note: " : "";
        char *text;
        int r;

        if (error->line > 0)
                r = asprintf(&text, "%s:%u: %s%s", error->file, error->line, label, error->text);
        else
                r = asprintf(&text, "%s: %s%s", error->file, label, error->text);
        return r < 0 ? NULL : text_clean(text);
}
