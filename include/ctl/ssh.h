/* SPDX-License-Identifier: MIT */
#pragma once

/* wpcachectl on another host, by ssh(1). */

#include "base/strv.h"
#include "ctl/ctl.h"

/* Printed first by a wpcachectl that is asked for it by --greet, and by nothing else. */
#define SSH_GREETING '\0'

/* Follows --greet where the terminal over there wants colour. */
#define SSH_COLOR "--color=always"

/* Whether ssh(1) may be given it as a destination. If not, has said why on stderr. */
int ssh_check_host(const char *host) must_check;

/* Has `host` run wpcachectl with `words`, and returns its exit status; or CTL_UNREACHABLE where it
 * did not come to that, CTL_FAILED where it did and its end was not seen, 128 + n after signal n; all
 * of which was said on stderr. `verb` is what the words ask for. */
int ssh_run(const Ctl *ctl, const char *host, const char *verb, const Strv *words);

/* In the wpcachectl on that host. */
void ssh_greet(void);
