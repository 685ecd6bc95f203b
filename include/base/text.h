/* SPDX-License-Identifier: MIT */
#pragma once

/* Text as plain values. */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"

/* asprintf(3) that returns its text, malloc'ed, or NULL on out of memory. */
static inline char *text_vformat(const char *format, va_list args)
        __attribute__((format(printf, 1, 0)));
static inline char *text_vformat(const char *format, va_list args) {
        char *text;

        return vasprintf(&text, format, args) < 0 ? NULL : text;
}

static inline char *text_format(const char *format, ...) printf_like(1, 2);
static inline char *text_format(const char *format, ...) {
        va_list args;
        char *text;

        va_start(args, format);
        text = text_vformat(format, args);
        va_end(args);
        return text;
}

/* FNV-1a, to see a change by; not against anybody's ill will. */
static inline uint64_t text_hash_slice(const char *text, size_t n) {
        uint64_t hash = UINT64_C(0xcbf29ce484222325);

        for (size_t i = 0; i < n; i++)
                hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
        return hash;
}

static inline uint64_t text_hash(const char *text) {
        return text_hash_slice(text, strlen(text));
}

/* Puts "#" in the place of each number: digits, with dots in between, and hashes of seven hexadecimal digits and
 * more. In place. */
void text_replace_numbers(char *text);

/*
 * Makes texts equal that differ in versions alone, in place: a word ends before its first number, and "#" stands
 * for the rest. "v12", "v13" and "v13-rc.1" become "v#". Words are made of letters, digits and "._-+~".
 */
void text_loosen_numbers(char *text);
