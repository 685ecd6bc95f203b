/* SPDX-License-Identifier: MIT */
#pragma once

/* Files that make a directory a project: "package.json", "manage.py", ".git" ... */

#include "apps/root.h"

/* The name of such a file in the root, or NULL if none is seen. */
const char *app_marker(const AppRoot *root);
/* All such names; NULL ends the list. */
const char *const *app_markers(void);
