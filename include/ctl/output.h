/* SPDX-License-Identifier: MIT */
#pragma once

/* Replies of the daemon as JSON, and parts of them as text. */

#include "base/bytes.h"
#include "base/span.h"
#include "ctl/ctl.h"
#include "wire/json.h"

/* Prints a value and a newline. Returns CTL_DONE, or CTL_FAILED on out of memory, which is printed. */
int output_json(const Ctl *ctl, const Json *json) must_check;

/* "2h 3min ago"; "just now" below a second and for the future. Returns `buffer`. */
char *output_age(int64_t then_sec, char buffer[static SPAN_TEXT_MAX]);

/* "in 2h 3min"; "now" for the past. Returns `buffer`. */
char *output_ahead(int64_t then_sec, char buffer[static SPAN_TEXT_MAX]);

/* "2026-11-20 14:39" by the local clock. Returns `buffer`. */
#define OUTPUT_TIME_MAX 32
char *output_time(int64_t sec, char buffer[static OUTPUT_TIME_MAX]);

/* A member that is a string; "?" if it is absent or no string. Borrowed. */
static inline const char *output_text(const Json *object, const char *name) {
        return json_get_string(object, name, "?");
}

/* A member that is an amount of bytes; 0 if it is absent or negative. */
uint64_t output_amount(const Json *object, const char *name);
/* "2.5GB" of it. Returns `buffer`. */
char *output_bytes(const Json *object, const char *name, char buffer[static BYTES_TEXT_MAX]);

/* Why policy does nothing now, and until when; "" if nothing holds it. Returns `buffer`. */
#define OUTPUT_HOLD_MAX 160
char *output_hold(const Json *policy, char buffer[static OUTPUT_HOLD_MAX]);

/* "deploy (pid 42)", "uid 1000 (pid 42)". Returns `buffer`. */
#define OUTPUT_WHO_MAX 96
char *output_who(const Json *who, char buffer[static OUTPUT_WHO_MAX]);

/* The kind of a job, in a word or more. */
const char *output_job_kind(const Json *job);

/* Prints how many elements are missing from the lists of an object, if any are. */
void output_omitted(const Json *object);
/* Prints lines of "PREFIX: TEXT". */
void output_texts(const char *prefix, const Json *texts);

/* "1 name", "2 names". Returns `buffer`. */
#define OUTPUT_COUNT_MAX 64
char *output_count(int64_t n, const char *singular, char buffer[static OUTPUT_COUNT_MAX]);

/* The length, for "%.*s", of "sha256:0123456789ab" in a full image id; of any other text its own. */
int output_id_length(const char *id);

/* Prints "a, b, c and 3 more" from the strings of an array, or from its members' strings `name`. */
void output_list(const Json *array, const char *name, size_t max);

/* Prints "      Label: ". */
void output_label(const char *text);

/* The share of a part in percent, rounded down; 0 of nothing. */
uint64_t output_percent(uint64_t part, uint64_t whole);
