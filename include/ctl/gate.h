/* SPDX-License-Identifier: MIT */
#pragma once

/* What ssh-gate allows a client to ask for. Lists of verbs are NULL-terminated. */

#include "base/macro.h"

#define GATE_LIST_MAX 256

/* "status, clear". Returns `buffer`. */
const char *gate_list(char **names, char buffer[static GATE_LIST_MAX]);

/* Whether a verb is among those allowed. Returns an exit status; on failure the reason was printed. */
int gate_check(const char *verb, char **allowed) must_check;
/* Prints that an option is not allowed. Returns the exit status. */
int gate_refuse_option(const char *option);
