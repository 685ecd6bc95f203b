/* SPDX-License-Identifier: MIT */
#pragma once

#include "ctl/terminal.h"

/* The command line, parsed. Strings are borrowed from argv and the environment. */
typedef struct Ctl {
        const char *socket_path;
        bool quiet;
        bool through_gate;    /* the command line was sent by an SSH client */
        bool ignores_sigpipe; /* SIGPIPE was ignored when the process started */
        Terminal terminal;
        char command[256]; /* the command line as typed, for the receipt */

        /* the object of the verb: the id of a receipt (rollback: NULL for the last one; history), or
         * an image or record (explain) */
        const char *object;

        /* clear, plan */
        const char *target; /* plan: NULL for the plan of policy */
        bool keep_mounts, include_mounted, dry_run, ignore_inhibitors;
        const char *inhibitor; /* token of the inhibitor that this process runs under, or NULL */
        int64_t wait_sec;      /* clear, inhibit; -1: the default */

        /* inhibit */
        const char *why;
        char **argv; /* the command; also the verbs of ssh-gate; NULL-terminated; NULL: none given */
        int64_t ttl_sec;
        bool require;

        /* history; -1: the daemon's default */
        int64_t since_sec;
} Ctl;
