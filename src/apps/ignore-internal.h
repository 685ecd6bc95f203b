/* SPDX-License-Identifier: MIT */
#pragma once

/* The patterns of a .dockerignore, as moby/patternmatcher has them: what context.c shares with the
 * files that read and match them. */

#include "base/macro.h"

#define PATTERNS_MAX 4096
#define PATTERN_BYTES_MAX 1024

#define RUNE_ERROR 0xfffdU /* what Go reads where there is no UTF-8 */

/* A pattern is a row of elements. */
typedef enum Kind {
        LITERAL,   /* lo */
        ONE,       /* [^/] */
        STAR,      /* [^/]* */
        DIRS,      /* (.*\/)?; newlines too: lo */
        ALL,       /* .*; newlines too: lo */
        CLASS,     /* of the `lo` ranges that follow */
        CLASS_NOT, /* of others */
        RANGE,     /* lo to hi */
} Kind;

typedef struct Element {
        Kind kind;
        uint32_t lo, hi;
} Element;

typedef struct Pattern {
        size_t first, n; /* of the elements */
        bool exception;
} Pattern;

typedef struct IgnoreRules {
        Element *elements;
        size_t n_elements, size_elements;
        Pattern *patterns;
        size_t n_patterns, size_patterns;
} IgnoreRules;

void ignore_done(IgnoreRules *ignored);

/* A line of the file, which is changed. -EINVAL: malformed, or not understood; -E2BIG: more than
 * PATTERNS_MAX. */
int ignore_add(IgnoreRules *ignored, char *line) must_check;

/* Whether a directory is left out with all that is in it, or all that is in it. False also where
 * that would take too long to tell. */
bool ignore_matches(const IgnoreRules *ignored, const char *path);
