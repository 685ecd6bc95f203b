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

/* FNV-1a, to notice changes; an attacker can make texts of equal hashes. */
static inline uint64_t text_hash_slice(const char *text, size_t n) {
        uint64_t hash = UINT64_C(0xcbf29ce484222325);

        for (size_t i = 0; i < n; i++)
                hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
        return hash;
}

static inline uint64_t text_hash(const char *text) {
        return text_hash_slice(text, strlen(text));
}

/* The length of the UTF-8 sequence at the start of `text`; 0 if there is none. Overlong forms,
 * surrogates and code points past U+10FFFF are not UTF-8. */
size_t utf8_length(const char *text);
/* The same within `max` bytes, which need not end in a NUL. */
size_t utf8_length_max(const char *text, size_t max);
/* The code point of a sequence of `n` bytes. */
uint32_t utf8_code_point(const char *text, size_t n);

/*
 * The length of the sequence at the start of `text` if it must not reach a terminal or a log; 0 if
 * it may. `text` is not empty. Such sequences are bytes that are not UTF-8, control characters
 * (with U+0080 to U+009F, which a terminal may take for ESC and another character), separators of
 * lines and paragraphs (U+2028, U+2029), and characters that change the direction of the text
 * after them, so that a person reads another text than is there (U+061C, U+200E, U+200F, U+202A to
 * U+202E, U+2066 to U+2069).
 */
size_t text_unprintable(const char *text);

/* Cleans a text in place: newlines and tabs become blanks, other unprintable sequences become
 * '?', and blanks at the end are removed. Returns `text`. */
char *text_clean(char *text);

/* Cuts `text` to `size` bytes with its NUL and ends it in "...", between two characters. It has
 * at least size - 1 bytes, and `size` is at least 4. */
void text_cut(char *text, size_t size);

/* Puts "#" in the place of each number: digits, with dots in between, and hashes of seven hexadecimal digits and
 * more. In place. */
void text_replace_numbers(char *text);

/*
 * Makes texts equal that differ in versions alone, in place: a word ends before its first number, and "#" stands
 * for the rest. "v12", "v13" and "v13-rc.1" become "v#". Words are made of letters, digits and "._-+~".
 */
void text_loosen_numbers(char *text);
