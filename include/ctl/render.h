/* SPDX-License-Identifier: MIT */
#pragma once

/* What stdout is, and how things are written there. */

#include "base/bytes.h"
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
        bool utf8; /* by the locale */
} Render;

/* Looks at stdout, $TERM and $NO_COLOR. */
void render_init(Render *render, JsonFormat json, ColorMode color);

/* Whether nobody reads stdout any more. One that went away has seen what it wanted. */
bool render_reader_is_gone(void);

typedef enum Style { STYLE_PLAIN, STYLE_GOOD, STYLE_WARN, STYLE_BAD, STYLE_FAINT } Style;

/* The escape sequence that begins a style (STYLE_PLAIN: ends it), or "" without colour. */
const char *render_style(const Render *render, Style style);

/* Writes the value and a newline on stdout; 0 or -ENOMEM. */
int render_json(const Render *render, const Json *json) must_check;

/* "2h 3min ago"; "just now" below a second and for what lies ahead. Returns `buffer`. */
char *render_age(int64_t then_sec, char buffer[static SPAN_TEXT_MAX]);

/* "in 2h 3min"; "now" for what is over. Returns `buffer`. */
char *render_ahead(int64_t then_sec, char buffer[static SPAN_TEXT_MAX]);

/* "2026-11-20 14:39" by the local clock. Returns `buffer`. */
#define RENDER_TIME_MAX 32
char *render_time(int64_t sec, char buffer[static RENDER_TIME_MAX]);

/* A member that is an amount of bytes; absent or negative: 0. */
uint64_t render_amount(const Json *object, const char *name);
/* "2.5GB" of it. Returns `buffer`. */
char *render_bytes(const Json *object, const char *name, char buffer[static BYTES_TEXT_MAX]);

/* "[####----]"; full from 100 on. */
void render_bar(const Render *render, Style style, uint64_t percent);

/* Why policy does nothing now, and until when; "" if nothing stands against it. Returns `buffer`. */
#define RENDER_HOLD_MAX 160
char *render_hold(const Json *policy, char buffer[static RENDER_HOLD_MAX]);

/* "deploy (pid 42)", "uid 1000 (pid 42)". Returns `buffer`. */
#define RENDER_WHO_MAX 96
char *render_who(const Json *who, char buffer[static RENDER_WHO_MAX]);

/* What a job does, in a word or more. */
const char *render_job_kind(const Json *job);

/* "in the build context": where builds see a cache of an application. */
const char *render_reach(const Json *cache);
/* Whether nothing is known to stand against clearing the caches of an application; prints what
 * does: "/srv/app does not exist". */
bool render_app_ok(const Json *app);
void render_app_fault(const Json *app);

/* A line for each application that a receipt says caches were removed of, and below it the first of
 * these; or that there were none. */
void render_caches(const Json *receipt);
/* A line or two for each source of cached layers that is left. */
void render_remaining(const Render *render, const Json *remaining);
/* Prints how many elements are missing from the lists of an object, if any are. */
void render_omitted(const Json *object);
void render_not_reached(const Json *volumes);
/* Lines of "PREFIX: TEXT". */
void render_texts(const char *prefix, const Json *texts);

/* "1 name", "2 names" */
#define RENDER_COUNT_MAX 64
char *render_count(int64_t n, const char *singular, char buffer[static RENDER_COUNT_MAX]);

/* "sha256:0123456789ab" for a full image id, any other text as it is. Returns a length for "%.*s". */
int render_id_length(const char *id);

/* "a, b, c and 3 more" from the strings of an array, or from its members' strings `name`. */
void render_list(const Json *array, const char *name, size_t max);

/* How wide the terminal is. */
size_t render_columns(void);

/* One live line at the bottom of the terminal, cut to its width; the next one overwrites it.
 * render_live_clear() takes it away before anything else is printed. */
void render_live(const char *text);
void render_live_clear(void);
