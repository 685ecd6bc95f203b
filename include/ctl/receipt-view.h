/* SPDX-License-Identifier: MIT */
#pragma once

/* The parts of a clear's result that several verbs print. */

#include "ctl/output.h"

/* "in the build context": where a build sees a cache of an application. */
const char *view_reach(const Json *cache);

/* Whether nothing is known to prevent a clear of the application's caches. */
bool view_app_ok(const Json *app);
/* Prints what prevents it: "/srv/app does not exist". */
void view_app_fault(const Json *app);

/* Prints a line for each application whose caches were removed and below it the first of these
 * caches; or that there were none. */
void view_caches(const Json *receipt);
/* Prints a line or two for each remaining source of cached layers. */
void view_remaining(const Terminal *terminal, const Json *remaining);
void view_not_reached(const Json *volumes);

/* Whether a clear went to its end, whatever its outcome. Otherwise its receipt names caches that
 * were about to be removed, and lacks figures. */
bool receipt_ended(const Json *receipt);
/* Prints a receipt, from the removed caches to ASSUMES. `settled`: the disk has given back all
 * space that it will. */
void view_clear_result(const Ctl *ctl, const Json *receipt, bool settled);
