/* SPDX-License-Identifier: MIT */
#pragma once

/* A growing list of strings, each owned by the list. */

#include "base/macro.h"

typedef struct Strv {
        char **v; /* not NULL-terminated */
        size_t n;
} Strv;

#define STRV_NULL ((Strv){ NULL, 0 })

/* Appends a copy; -ENOMEM leaves the list as it was. */
int strv_add(Strv *list, const char *text) must_check;
int strv_addn(Strv *list, const char *text, size_t n) must_check;

/* Splits `text` at commas, trims blanks, drops empty items, appends the rest. */
int strv_split(Strv *list, const char *text) must_check;

int strv_copy(Strv *ret_list, const Strv *list) must_check;
bool strv_contains(const Strv *list, const char *text);
bool strv_equal(const Strv *a, const Strv *b);
void strv_sort(Strv *list);
/* Of a sorted list: drops what is in it a second time. */
void strv_unique(Strv *list);
/* As strv_contains(), of a sorted list: by bisection. */
bool strv_sorted_contains(const Strv *list, const char *text);
/* All of them with `separator` between, malloc'ed; NULL on out of memory. */
char *strv_join(const Strv *list, const char *separator);

/* Frees the strings and the array; the list is empty and usable afterwards. */
void strv_done(Strv *list);

static inline void strv_donep(Strv *list) {
        strv_done(list);
}

/* The candidate nearest to `text` by edit distance, case aside, or NULL where none is near enough to
 * be what was meant; a beginning of three letters or more is near. Borrowed. */
const char *strv_nearest(const char *text, const char *const *candidates, size_t n_candidates);
