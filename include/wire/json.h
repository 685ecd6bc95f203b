/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * JSON values; the one user of cJSON is wire/json.c.
 *
 * A Json is owned by whoever got it from json_parse() or json_new_*(), and freed by json_free();
 * values reached through a getter are borrowed from their root. Text is UTF-8. Integers are kept
 * below 10^15 in magnitude (cJSON holds doubles): builders clamp, getters refuse what is larger or
 * not whole. Nesting is bounded by JSON_DEPTH_MAX. Of members of one name, the getters see the
 * first.
 */

#include "base/diag.h"
#include "base/macro.h"
#include "base/strv.h"

typedef struct cJSON Json;

#define JSON_DEPTH_MAX 32
#define JSON_INT_MAX INT64_C(999999999999999)

/*
 * Parses exactly one value in text[0..n), blanks around it allowed, anything else after it
 * refused. Errors: -EBADMSG (not JSON, too deep, not UTF-8, a NUL inside, also as "\u0000"),
 * -ENOMEM.
 */
int json_parse(const char *text, size_t n, Json **ret) must_check;
/* The same for what others wrote into an engine: "\u0000" becomes U+FFFD, since strings end at a NUL. */
int json_parse_foreign(const char *text, size_t n, Json **ret) must_check;
Json *json_free(Json *json);
DEFINE_CLEANUP(Json *, json_free);

/* Compact text, malloc'ed, NUL-terminated; NULL on out of memory. */
char *json_text(const Json *json);
/* Indented text for people. */
char *json_text_pretty(const Json *json);

/* Kinds. NULL is of no kind. */
bool json_is_object(const Json *json);
bool json_is_array(const Json *json);
bool json_is_string(const Json *json);
bool json_is_null(const Json *json);

/*
 * Typed getters on a member of an object, case-sensitive. A missing member and a JSON null are
 * the same: the default. A member of another type: the default, too, for lenient reading of an
 * engine's answer; json_read_*() below are for strict reading of a peer's message.
 */
const Json *json_get(const Json *object, const char *name);
const char *json_get_string(const Json *object, const char *name, const char *fallback);
int64_t json_get_int(const Json *object, const char *name, int64_t fallback);
bool json_get_bool(const Json *object, const char *name, bool fallback);

/*
 * Strict readers: 1 if the member is there with the right type, 0 if it is absent or null,
 * -EINVAL if it has another type. `*ret` is written only on 1.
 */
int json_read_string(const Json *object, const char *name, const char **ret) must_check;
int json_read_int(const Json *object, const char *name, int64_t *ret) must_check;
int json_read_bool(const Json *object, const char *name, bool *ret) must_check;

/* Value access. */
const char *json_string(const Json *json);           /* NULL if not a string */
const char *json_name(const Json *member);           /* its key inside an object, else NULL */
size_t json_size(const Json *array_or_object);       /* number of members; O(n) */
const Json *json_first(const Json *array_or_object); /* iteration, see json_foreach() */
const Json *json_next(const Json *member);

#define json_foreach(member, container) \
        for (const Json *member = json_first(container); member; member = json_next(member))

/*
 * Builders. json_new_*() return NULL on out of memory. json_add_*() return 0 or -ENOMEM, and
 * -ENOMEM when `object` itself is NULL, so that a chain of them can be checked once at the end by
 * `r |= …; if (r) return -ENOMEM`. Strings are copied; bytes that are not UTF-8 become U+FFFD.
 */
Json *json_new_object(void);
Json *json_new_array(void);
Json *json_copy(const Json *json);
Json *json_new_strings(const Strv *list);
int json_add_string(Json *object, const char *name, const char *value); /* NULL value: no member */
int json_add_int(Json *object, const char *name, int64_t value);
int json_add_bool(Json *object, const char *name, bool value);
/* Adds a value and takes it over, also on failure. In an array, `name` is NULL. */
int json_add(Json *object_or_array, const char *name, Json *value);
int json_append_string(Json *array, const char *value);
/* Replaces a member if it is there, else adds it; takes `value` over. */
int json_replace(Json *object, const char *name, Json *value);

/*
 * Shortens lists until the value's text is at most `max` bytes long: first those of the most elements,
 * from their ends. Each object whose lists lack elements then gets a member "omitted", the number of
 * those. Only lists that are members of objects are cut: no list within a list, nor the value itself if it
 * is a list, nor any string. One element of each list stays. 0, also where nothing had to go. After
 * -EMSGSIZE (it is too long with the lists cut, too) and -ENOMEM the value is sound, and perhaps cut.
 */
int json_shorten(Json *json, size_t max) must_check;

/* text_clean() on every string and name inside, for what is about to be shown to a person. */
void json_make_printable(Json *json);
