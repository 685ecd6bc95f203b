/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The verbs of wpcachectl: one function and one file each. A verb prints its result on stdout, at
 * most one line with what to do next on stderr, and returns the exit status.
 */

#include "base/macro.h"
#include "ctl/render.h"

/* Exit statuses; docs/man/wpcachectl.1 explains them. Those of `inhibit` are as with env(1), so that
 * they can be told from the command's own. */
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

/* The command line, parsed. Strings are borrowed from argv and the environment. */
typedef struct Ctl {
        const char *socket_path;
        bool quiet;
        bool through_gate;    /* the command line is what an SSH client sent */
        bool ignores_sigpipe; /* as whoever started this one had it */
        Render render;
        char command[256]; /* the command line as it was typed, for the receipt */

        /* what a verb is about: a receipt's id (rollback: NULL for the last; history), an object */
        const char *object;

        /* clear, plan */
        const char *target; /* plan: NULL for policy's */
        bool keep_mounts, include_mounted, dry_run, ignore_inhibitors;
        const char *inhibitor; /* token of the one that this runs under, or NULL */
        int64_t wait_sec;      /* clear, inhibit; -1: the default */

        /* inhibit */
        const char *why;
        char **argv; /* also ssh-gate's verbs; NULL-terminated; NULL: none was given */
        int64_t ttl_sec;
        bool require;

        /* history; -1: the daemon's default */
        int64_t since_sec;
} Ctl;

int verb_status(const Ctl *ctl);
int verb_clear(const Ctl *ctl);
int verb_rollback(const Ctl *ctl);
int verb_plan(const Ctl *ctl);
int verb_explain(const Ctl *ctl);
int verb_inhibit(const Ctl *ctl);
int verb_history(const Ctl *ctl);
int verb_watch(const Ctl *ctl);
int verb_metrics(const Ctl *ctl);
int verb_reload(const Ctl *ctl);

/* What clear, plan and history show alike. The first returns an exit status. */
int print_clear_plan(const Ctl *ctl, const Json *plan);
/* Whether a clear went to its end, whatever it found there: else its receipt has caches that were
 * only about to be removed, and not all figures. */
bool receipt_ended(const Json *receipt);
/* From the caches removed to ASSUMES; `settled`: the disk has given back what it will. */
void print_clear_result(const Ctl *ctl, const Json *receipt, bool settled);
