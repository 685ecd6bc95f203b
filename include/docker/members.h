/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Copies the wanted members of one JSON value while a reader (docker/records.c) walks over it.
 * Internal to records.c, which owns the structure: it reports where values begin and end, and each
 * run of bytes. What is kept never exceeds `max` bytes: a member that would is taken out again.
 */

#include "base/diag.h"
#include "base/macro.h"

#define MEMBERS_LEVELS_MAX 8

typedef struct MembersLevel {
        uint32_t mask; /* the paths that lead here */
        uint32_t seen; /* those whose member was here already */
        unsigned component;
        bool array;
        size_t n; /* members or elements written */
} MembersLevel;

typedef struct Members {
        const char *const *keep; /* NULL: everything */
        size_t max;

        enum { MEMBERS_SELECT, MEMBERS_KEEP, MEMBERS_SKIP } mode;
        unsigned mode_depth; /* of the value that is kept or skipped whole */
        MembersLevel levels[MEMBERS_LEVELS_MAX];
        size_t n_levels;
        size_t member_begin; /* in `text`: where the outermost member in progress begins */
        char member[64];     /* its name */

        char *text;
        size_t n, size;
        char defect[128]; /* "" if there is none */
} Members;

void members_done(Members *members);

/* The element's value is about to begin. */
void members_reset(Members *members);
/* A value begins with `c`, below `depth` containers, the element's own value at 0; `key` is its name
 * in an object. 0 or -ENOMEM. */
int members_begin(Members *members, unsigned depth, char c, const char *key,
                  size_t n_key) must_check;
/* The value that began at `depth` is over; `c` is its bracket, or any other character. */
int members_end(Members *members, unsigned depth, char c) must_check;
/* Bytes of a value that is kept. */
int members_copy(Members *members, const char *text, size_t n) must_check;
/* The member in progress is left out, because of `why`. */
void members_spoil(Members *members, const char *why);
