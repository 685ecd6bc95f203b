/* SPDX-License-Identifier: MIT */
#pragma once

/* What stdout is, and how things are written there. */

#include "base/macro.h"
#include "base/span.h"
#include "wire/json.h"

typedef enum JsonFormat {
        JSON_FORMAT_OFF,
        JSON_FORMAT_AUTO, /* pretty on a terminal, else short */
        JSON_FORMAT_SHORT,
        JSON_FORMAT_PRETTY,
} JsonFormat;

typedef enum ColorMode { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER } ColorMode;

typedef struct Render {
        JsonFormat json;
        bool terminal; /* stdout can rewrite its last line */
        bool color;
} Render;

/* Looks at stdout, $TERM and $NO_COLOR. */
void render_init(Render *render, JsonFormat json, ColorMode color);

typedef enum Style { STYLE_PLAIN, STYLE_GOOD, STYLE_WARN, STYLE_BAD, STYLE_FAINT } Style;

/* The escape sequence that begins a style (STYLE_PLAIN: ends it), or "" without colour. */
const char *render_style(const Render *render, Style style);

/* Writes the value and a newline on stdout; 0 or -ENOMEM. */
int render_json(const Render *render, const Json *json) must_check;

/* "2h 3min ago"; "just now" below a second and for what lies ahead. Returns `buffer`. */
char *render_age(int64_t then_sec, char buffer[static SPAN_TEXT_MAX]);

/* "1 name", "2 names" */
#define RENDER_COUNT_MAX 64
char *render_count(int64_t n, const char *singular, char buffer[static RENDER_COUNT_MAX]);

/* "sha256:0123456789ab" for a full image id, any other text as it is. Returns a length for "%.*s". */
int render_id_length(const char *id);

/* "a, b, c and 3 more" from the strings of an array, or from its members' strings `name`. */
void render_list(const Json *array, const char *name, size_t max);

/* One live line at the bottom of the terminal, cut to its width; the next one overwrites it.
 * render_live_clear() takes it away before anything else is printed. */
void render_live(const char *text);
void render_live_clear(void);
