/* SPDX-License-Identifier: MIT */
#pragma once

/* The patterns of a .dockerignore, with the meaning that moby/patternmatcher gives them. */

#include "base/macro.h"

#define PATTERNS_MAX 4096
#define PATTERN_BYTES_MAX 1024

#define RUNE_ERROR 0xfffdU /* what Go reads for a byte that is not UTF-8 */

/* A pattern is a sequence of elements. */
typedef enum Kind {
        LITERAL,   /* lo */
        ONE,       /* [^/] */
        STAR,      /* [^/]* */
        DIRS,      /* (.*\/)?; newlines too: lo */
        ALL,       /* .*; newlines too: lo */
        CLASS,     /* a character of the `lo` ranges that follow */
        CLASS_NOT, /* a character of none of them */
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

/* Adds a line of the file and changes it. -EINVAL: malformed or not understood; -E2BIG: more than
 * PATTERNS_MAX patterns. */
int ignore_add(IgnoreRules *ignored, char *line) must_check;

/* Whether the rules exclude a directory with everything in it, or everything in it. False also if that
 * takes too long to find out. */
bool ignore_matches(const IgnoreRules *ignored, const char *path);
