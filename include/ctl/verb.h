/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The verbs of wpcachectl: one function and one file each. A verb prints its result on stdout, at
 * most one line with what to do next on stderr, and returns the exit status.
 */

#include "base/macro.h"
#include "ctl/render.h"

/* Exit statuses; docs/man/wpcachectl.1 explains them. */
enum {
        CTL_DONE = 0,
        CTL_FAILED = 1,
        CTL_USAGE = 2,
        CTL_NOT_FRESH = 3,
        CTL_NOT_PERMITTED = 4,
        CTL_UNREACHABLE = 5,
        CTL_NO_ENGINE = 6,
        CTL_BUSY = 7,
};

/* The command line, parsed. Strings are borrowed from argv and the environment. */
typedef struct Ctl {
        const char *socket_path;
        bool quiet;
        Render render;

        /* clear */
        const char *target;
        bool keep_mounts, dry_run;
        int64_t wait_sec;  /* -1: the daemon's default */
        char command[256]; /* the command line as it was typed, for the receipt */

        /* rollback; NULL: the last receipt */
        const char *receipt;
} Ctl;

int verb_status(const Ctl *ctl);
int verb_clear(const Ctl *ctl);
int verb_rollback(const Ctl *ctl);
int verb_watch(const Ctl *ctl);
int verb_reload(const Ctl *ctl);
