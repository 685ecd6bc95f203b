/* SPDX-License-Identifier: MIT */

#include "ctl/fail.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"

int ctl_fail(int status, const char *format, ...) {
        char text[1024];
        va_list ap;

        va_start(ap, format);
        vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        fflush(stdout);
        fprintf(stderr, "wpcachectl: %s\n", text_clean(text));
        return status;
}

int ctl_usage(const char *what, const char *given, const char *nearest) {
        if (nearest)
                return ctl_fail(CTL_USAGE, "%s '%s'; did you mean '%s'? wpcachectl help", what,
                                given, nearest);
        return ctl_fail(CTL_USAGE, "%s '%s'; see wpcachectl help", what, given);
}
