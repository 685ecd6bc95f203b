/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The command line. Options may stand anywhere on it, as with systemd's tools. Options that belong
 * to some verbs are refused with others. The words after `inhibit` are a command with options of its
 * own; the words after `ssh-gate` are verbs.
 */

#include "base/strv.h"
#include "ctl/ctl.h"

#define ARGUMENTS_MAX 2 /* the verb and its argument */

/* The parts of a command line that do not go into a Ctl. */
typedef struct Line {
        JsonFormat json;
        ColorMode color;
        uint32_t given;                           /* bits: the options that were given */
        const char *arguments[ARGUMENTS_MAX + 1]; /* the verb first */
        size_t n_arguments;                       /* ARGUMENTS_MAX + 1: too many */
        bool done;                                /* --help or --version was all that was asked */
        const char *host;                         /* of --host, or NULL */
        Strv words;                               /* the command line for that host */
        int words_error;                          /* -ENOMEM: `words` is not complete */
        char **allowed; /* the verbs that ssh-gate allows, NULL-terminated; NULL: all are */
} Line;

/* Parses argv into both. Returns an exit status; on failure the reason was printed. */
int options_parse(int argc, char **argv, Ctl *ctl, Line *line) must_check;

/* Checks that the verb takes every option that was given. Returns an exit status. */
int options_check_owned(const Line *line, const char *verb) must_check;
