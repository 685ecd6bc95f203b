/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The verbs of wpcachectl. A verb prints its result on stdout and at most one line with what to do
 * next on stderr, and returns the exit status.
 */

#include "ctl/ctl.h"

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
