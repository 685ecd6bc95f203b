/* SPDX-License-Identifier: MIT */
#pragma once

/* Runs wpcachectl on another host through ssh(1). */

#include "base/strv.h"
#include "ctl/ctl.h"

/* The first byte that wpcachectl prints if it is called with --greet, and at no other time. */
#define SSH_GREETING '\0'

/* Follows --greet if the calling terminal wants colour. */
#define SSH_COLOR "--color=always"

/* Checks that ssh(1) takes a text as a destination and not as an option. Returns an exit status;
 * on failure the reason was printed. */
int ssh_check_host(const char *host) must_check;

/* Runs wpcachectl with `words` on `host` and returns its exit status; or CTL_UNREACHABLE if it
 * was not started, CTL_FAILED if the connection was lost while it ran, or 128 + n after signal n,
 * all of which is printed. `verb` is the verb in the words. */
int ssh_run(const Ctl *ctl, const char *host, const char *verb, const Strv *words);

/* Prints the greeting. */
void ssh_greet(void);
