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
