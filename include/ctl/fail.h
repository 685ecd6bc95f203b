/* SPDX-License-Identifier: MIT */
#pragma once

/* How wpcachectl fails: one line on stderr and an exit status. */

#include "base/macro.h"

/* Exit statuses; docs/man/wpcachectl.1 explains them. Those of `inhibit` are env(1)'s, so that they
 * differ from those of the command. */
enum {
        CTL_DONE = 0,
        CTL_FAILED = 1,
        CTL_USAGE = 2,
        CTL_NOT_FRESH = 3,
        CTL_NOT_PERMITTED = 4,
        CTL_UNREACHABLE = 5,
        CTL_NO_ENGINE = 6,
        CTL_BUSY = 7,
        CTL_ALARM = 8,
        CTL_INHIBIT_FAILED = 125,
        CTL_NOT_EXECUTABLE = 126,
        CTL_NOT_FOUND = 127,
};

/* Prints "wpcachectl: " and the text on stderr. Returns `status`. */
int ctl_fail(int status, const char *format, ...) printf_like(2, 3);
/* Prints "wpcachectl: WHAT 'GIVEN'" and, unless NULL, what was probably meant. Returns CTL_USAGE. */
int ctl_usage(const char *what, const char *given, const char *nearest);
