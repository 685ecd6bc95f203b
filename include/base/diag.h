/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The reason of a failure, for a person.
 *
 * Functions whose failures the outside world explains (the engine, a configuration file, a peer)
 * take a caller-owned `Diag *reterr_diag` as their last parameter and fill it when they return an
 * error; on success it is untouched. It may be NULL where nobody will read it. No allocation:
 * longer text is cut and ends in "...". The text is cleaned as by text_clean(), so that what an
 * engine says can't move a terminal's cursor. Arguments may point into the diag itself.
 */

#include <stdarg.h>

#include "base/macro.h"

typedef struct Diag {
        char text[512];
} Diag;

#define DIAG_NULL ((Diag){ "" })

/*
 * diag_set(diag, error, format, ...) sets the text; diag_wrap() puts "context: " before it, or only
 * the context if there is none. NULL diag is fine. Both give `error` back, so that
 * `return diag_set(diag, -ENOENT, "...", ...);` reads in one line, and are macros, so that a
 * compiler sees which error that is.
 */
#define diag_set(diag, error, ...)              \
        ({                                      \
                int _error = (error);           \
                diag_format(diag, __VA_ARGS__); \
                _error;                         \
        })
#define diag_wrap(diag, error, ...)             \
        ({                                      \
                int _error = (error);           \
                diag_prefix(diag, __VA_ARGS__); \
                _error;                         \
        })

void diag_format(Diag *diag, const char *format, ...) printf_like(2, 3);
void diag_prefix(Diag *diag, const char *format, ...) printf_like(2, 3);

/* The text, or strerror(-error) where none was set. Borrowed until the diag changes. */
const char *diag_text(const Diag *diag, int error);

/* strerror(-error) without its shared buffer; either sign will do. */
const char *error_text(int error);

/* The length of the UTF-8 sequence that `text` starts with, 0 if there is none: overlong forms,
 * surrogates and what is past U+10FFFF are none. */
size_t utf8_length(const char *text);
/* The character of that sequence of `n` bytes. */
uint32_t utf8_code_point(const char *text, size_t n);

/*
 * If `text`, which is not empty, starts with a sequence that neither a terminal nor a log may get, the
 * length of that sequence; else 0. Unprintable are bytes that are not UTF-8, control characters (U+0080 to
 * U+009F included: a terminal may take them as ESC and another character), separators of lines and
 * paragraphs (U+2028, U+2029), and characters that change the direction of the text after them, so that a
 * person reads another text than is there (U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069).
 */
size_t text_unprintable(const char *text);

/* Cleans a text in place: newlines and tabs become blanks, whatever else is unprintable becomes '?',
 * blanks at the end go. Returns `text`. */
char *text_clean(char *text);

/* Ends `text`, which has at least size - 1 bytes, in "..." so that it fits `size` with its NUL, and
 * splits no character. `size` is at least 4. */
void text_cut(char *text, size_t size);
