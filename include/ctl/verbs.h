/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The verbs of wpcachectl. A verb prints its result on stdout and at most one line with what to do
 * next on stderr, and returns the exit status. src/ctl/verb-NAME.c has the verb NAME.
 */

#include "ctl/ctl.h"

typedef struct Verb {
        const char *name;
        const char *argument; /* as the help shows it; NULL: the verb has none */
        const char *help;
        int (*run)(const Ctl *ctl); /* NULL: ssh-gate, which parses another command line */
} Verb;

extern const Verb verbs[];
extern const size_t n_verbs;

/* The verb, or NULL. */
const Verb *verb_find(const char *name);
/* Prints that there is no such verb and which one was probably meant. Returns CTL_USAGE. */
int verb_unknown(const char *given);

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
int verb_version(const Ctl *ctl);
int verb_help(const Ctl *ctl);
