/* SPDX-License-Identifier: MIT */
#pragma once

/* The properties of stdout, and output that only a terminal gets. */

#include "base/macro.h"

typedef enum JsonFormat {
        JSON_FORMAT_OFF,
        JSON_FORMAT_AUTO, /* pretty on a terminal, otherwise short */
        JSON_FORMAT_SHORT,
        JSON_FORMAT_PRETTY,
} JsonFormat;

typedef enum ColorMode { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER } ColorMode;

typedef struct Terminal {
        JsonFormat json;
        bool live; /* the last line of stdout can be rewritten */
        bool color;
        bool utf8; /* by the locale */
} Terminal;

/* Looks at stdout, $TERM and $NO_COLOR. */
void terminal_init(Terminal *terminal, JsonFormat json, ColorMode color);

/* Whether the other end of stdout is closed. That is no failure: a reader such as head(1) goes away
 * once it has read enough. */
bool terminal_reader_is_gone(void);

typedef enum Style { STYLE_PLAIN, STYLE_GOOD, STYLE_WARN, STYLE_BAD, STYLE_FAINT } Style;

/* The escape sequence that begins a style (STYLE_PLAIN: ends it), or "" without colour. */
const char *terminal_style(const Terminal *terminal, Style style);

/* Prints "[####----]"; full from 100 on. */
void terminal_bar(const Terminal *terminal, Style style, uint64_t percent);

/* The width of the terminal. */
size_t terminal_columns(void);

/* Prints a line at the bottom of the terminal, cut to its width, which the next call overwrites.
 * Call terminal_live_clear() before anything else is printed. */
void terminal_live(const char *text);
void terminal_live_clear(void);
