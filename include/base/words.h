/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A command line as one line of text, for a shell that somebody else runs (ssh(1) sends such a line)
 * and back, without one.
 */

#include "base/diag.h"
#include "base/strv.h"

/* The words as a POSIX shell takes them apart again: one with anything in it but letters, digits and
 * _./:=,@%+- is put into single quotes. malloc'ed; NULL on out of memory. */
char *words_quote(const Strv *words);

/*
 * Takes a line apart that words_quote() may have made: plain words, single quotes, \' between those,
 * blanks. Nothing is expanded, and whatever else a shell would give a meaning to, control characters
 * and bytes past ASCII outside quotes are refused. -EINVAL: and the diag says what and where;
 * -E2BIG: more than `max_bytes`; -ENOMEM. Appends to `words`, on failure too.
 */
int words_split(const char *line, size_t max_bytes, Strv *words, Diag *reterr_diag) must_check;
