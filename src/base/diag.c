/* SPDX-License-Identifier: MIT */

#include "base/diag.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

static void store_text(Diag *diag, const char *context, const char *text) {
        char buffer[2 * sizeof diag->text + 16];

        snprintf(buffer, sizeof buffer, "%s%s%s", context, *context && *text ? ": " : "", text);
        text_clean(buffer);
        if (strlen(buffer) >= sizeof diag->text)
                text_cut(buffer, sizeof diag->text);
        memcpy(diag->text, buffer, strlen(buffer) + 1);
}

/* The arguments may point into the diag itself: formatting happens beside it. */
void diag_format(Diag *diag, const char *format, ...) {
        char text[sizeof diag->text + 8];
        va_list arguments;

        if (!diag)
                return;
        va_start(arguments, format);
        vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        store_text(diag, "", text);
}

void diag_prefix(Diag *diag, const char *format, ...) {
        char context[sizeof diag->text + 8];
        va_list arguments;

        if (!diag)
                return;
        va_start(arguments, format);
        vsnprintf(context, sizeof context, format, arguments);
        va_end(arguments);
        store_text(diag, context, diag->text);
}

const char *error_text(int error) {
        const char *text = strerrordesc_np(error < 0 ? -error : error);

        return text ? text : "Unknown error";
}

const char *diag_text(const Diag *diag, int error) {
        return diag && diag->text[0] ? diag->text : error_text(error);
}
