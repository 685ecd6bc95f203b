/* SPDX-License-Identifier: MIT */

/*
 * cJSON parses, prints and holds the values; what it takes too lightly is refused by one scan over
 * the text before it is called: nesting (its own limit is 1000 levels of recursion), bytes that are
 * no UTF-8, control characters (it skips any byte up to 32 as a blank, NUL included) and "\uXYZW"
 * (read as "\u0000"). The grammar itself is cJSON's affair. At "\u0000" its strings would end, and
 * some releases refuse it, so it is given "\ufffd" in its place, which has the same length.
 */

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "wire/json.h"

/* Elements that each list keeps when lists are first shortened. */
#define SHORTEN_FIRST 32768

/* The four hex digits at `p`, -1 if they are none. */
static int hex4(const unsigned char *p) {
        int value = 0;

        for (size_t i = 0; i < 4; i++) {
                int lower = p[i] | 0x20;

                if (p[i] >= '0' && p[i] <= '9')
                        value = value * 16 + p[i] - '0';
                else if (lower >= 'a' && lower <= 'f')
                        value = value * 16 + lower - 'a' + 10;
                else
                        return -1;
        }
        return value;
}

/* `p` is behind the opening quote; returns what is behind the closing one, or NULL. */
static const unsigned char *scan_string(const unsigned char *p, const unsigned char *end) {
        while (p < end && *p >= 0x20) {
                size_t length = 1;

                if (*p == '"')
                        return p + 1;
                if (*p == '\\') {
                        if (end - p < 2)
                                return NULL;
                        if (p[1] == 'u' && (end - p < 6 || hex4(p + 2) < 0))
                                return NULL;
                        length = 2;
                } else if (*p >= 0x80) {
                        length = utf8_length_max((const char *)p, (size_t)(end - p));
                        if (length == 0)
                                return NULL;
                }
                p += length;
        }
        return NULL;
}

static bool scan(const unsigned char *p, const unsigned char *end) {
        size_t depth = 0;

        while (p < end) {
                unsigned char c = *p++;

                if (c == '"') {
                        p = scan_string(p, end);
                        if (!p)
                                return false;
                } else if (c == '{' || c == '[') {
                        if (++depth > JSON_DEPTH_MAX)
                                return false;
                } else if (c == '}' || c == ']') {
                        if (depth-- == 0)
                                return false;
                } else if (c < 0x20 ? c != '\t' && c != '\n' && c != '\r' : c >= 0x7f) {
                        return false;
                }
        }
        return depth == 0;
}

/* Whether a text has "\u0000"; with `copy`, replaces it there. A backslash outside of strings, which
 * cJSON refuses, may be anywhere. */
static bool find_nul(const char *text, size_t n, char *copy) {
        const char *p = text, *end = text + n;
        bool found = false;

        while ((p = memchr(p, '\\', (size_t)(end - p))) && end - p >= 6) {
                if (p[1] == 'u' && memcmp(p + 2, "0000", 4) == 0) {
                        found = true;
                        if (copy)
                                memcpy(copy + (p - text) + 2, "fffd", 4);
                }
                p += 2;
        }
        return found;
}

static int parse(const char *text, size_t n, bool foreign, Json **ret) {
        cleanup(json_free) Json *json = NULL;
        cleanup_free char *copy = NULL;
        const char *end, *rest = NULL;
        const unsigned char *bytes = (const unsigned char *)text;

        if (!scan(bytes, bytes + n))
                return -EBADMSG;
        if (find_nul(text, n, NULL)) {
                if (!foreign)
                        return -EBADMSG;
                copy = malloc(n);
                if (!copy)
                        return -ENOMEM;
                memcpy(copy, text, n);
                find_nul(text, n, copy);
                text = copy;
        }
        end = text + n;
        errno = 0;
        json = cJSON_ParseWithLengthOpts(text, n, &rest, false);
        if (!json)
                return errno == ENOMEM ? -ENOMEM : -EBADMSG;
        while (rest < end && strchr(" \t\r\n", *rest))
                rest++;
        if (rest != end)
                return -EBADMSG;
        *ret = TAKE_PTR(json);
        return 0;
}

int json_parse(const char *text, size_t n, Json **ret) {
        return parse(text, n, false, ret);
}

int json_parse_foreign(const char *text, size_t n, Json **ret) {
        return parse(text, n, true, ret);
}

Json *json_free(Json *json) {
        cJSON_Delete(json);
        return NULL;
}

char *json_text(const Json *json) {
        return cJSON_PrintUnformatted(json);
}

/* cJSON's own indented text has a tab behind each colon; this one reads like everybody's. */
char *json_text_pretty(const Json *json) {
        cleanup_free char *compact = json_text(json);
        char *pretty = NULL;
        bool string = false;
        int depth = 0;
        size_t n;
        FILE *f;

        f = compact ? open_memstream(&pretty, &n) : NULL;
        if (!f)
                return NULL;
        for (const char *p = compact; *p; p++) {
                bool open = !string && (*p == '{' || *p == '[');
                bool close = !string && (*p == '}' || *p == ']');

                depth += open - close;
                if (close && p[-1] != '{' && p[-1] != '[')
                        fprintf(f, "\n%*s", 2 * depth, "");
                fputc(*p, f);
                if (!string && *p == ':')
                        fputc(' ', f);
                if ((open && p[1] != '}' && p[1] != ']') || (!string && *p == ','))
                        fprintf(f, "\n%*s", 2 * depth, "");
                if (string && *p == '\\')
                        fputc(*++p, f);
                else if (*p == '"')
                        string = !string;
        }
        if (fclose(f) != 0) {
                free(pretty);
                return NULL;
        }
        return pretty;
}

bool json_is_object(const Json *json) {
        return cJSON_IsObject(json);
}

bool json_is_array(const Json *json) {
        return cJSON_IsArray(json);
}

bool json_is_string(const Json *json) {
        return cJSON_IsString(json);
}

bool json_is_null(const Json *json) {
        return cJSON_IsNull(json);
}

const Json *json_get(const Json *object, const char *name) {
        const cJSON *member;

        if (!cJSON_IsObject(object))
                return NULL;
        member = cJSON_GetObjectItemCaseSensitive(object, name);
        return cJSON_IsNull(member) ? NULL : member;
}

const char *json_get_string(const Json *object, const char *name, const char *fallback) {
        const char *value = NULL;

        return json_read_string(object, name, &value) > 0 ? value : fallback;
}

int64_t json_get_int(const Json *object, const char *name, int64_t fallback) {
        int64_t value = 0;

        return json_read_int(object, name, &value) > 0 ? value : fallback;
}

bool json_get_bool(const Json *object, const char *name, bool fallback) {
        bool value = false;

        return json_read_bool(object, name, &value) > 0 ? value : fallback;
}

int json_read_string(const Json *object, const char *name, const char **ret) {
        const Json *member = json_get(object, name);

        if (!member)
                return 0;
        if (!cJSON_IsString(member))
                return -EINVAL;
        *ret = member->valuestring;
        return 1;
}

int json_read_int(const Json *object, const char *name, int64_t *ret) {
        const Json *member = json_get(object, name);

        if (!member)
                return 0;
        /* the negated comparisons take NaN along */
        if (!cJSON_IsNumber(member) || !(member->valuedouble >= -(double)JSON_INT_MAX) ||
            !(member->valuedouble <= (double)JSON_INT_MAX) ||
            (double)(int64_t)member->valuedouble != member->valuedouble)
                return -EINVAL;
        *ret = (int64_t)member->valuedouble;
        return 1;
}

int json_read_bool(const Json *object, const char *name, bool *ret) {
        const Json *member = json_get(object, name);

        if (!member)
                return 0;
        if (!cJSON_IsBool(member))
                return -EINVAL;
        *ret = cJSON_IsTrue(member);
        return 1;
}

const char *json_string(const Json *json) {
        return cJSON_IsString(json) ? json->valuestring : NULL;
}

const char *json_name(const Json *member) {
        return member ? member->string : NULL;
}

size_t json_size(const Json *array_or_object) {
        size_t n = 0;

        json_foreach (member, array_or_object)
                n++;
        return n;
}

const Json *json_first(const Json *array_or_object) {
        return array_or_object ? array_or_object->child : NULL;
}

const Json *json_next(const Json *member) {
        return member->next;
}

Json *json_new_object(void) {
        return cJSON_CreateObject();
}

Json *json_new_array(void) {
        return cJSON_CreateArray();
}

Json *json_copy(const Json *json) {
        return cJSON_Duplicate(json, true);
}

/* A string value; each byte that belongs to no UTF-8 sequence becomes U+FFFD. */
static Json *new_string(const char *value) {
        size_t n_bad = 0, n = 0;
        cleanup_free char *clean = NULL;

        for (const char *p = value; *p; p += MAX(utf8_length(p), (size_t)1))
                n_bad += utf8_length(p) == 0;
        if (n_bad == 0)
                return cJSON_CreateString(value);

        clean = malloc(strlen(value) + 2 * n_bad + 1);
        if (!clean)
                return NULL;
        for (const char *p = value; *p;) {
                size_t length = utf8_length(p);

                memcpy(clean + n, length > 0 ? p : "\xef\xbf\xbd", length > 0 ? length : 3);
                n += length > 0 ? length : 3;
                p += MAX(length, (size_t)1);
        }
        clean[n] = '\0';
        return cJSON_CreateString(clean);
}

int json_add_string(Json *object, const char *name, const char *value) {
        if (!value)
                return object ? 0 : -ENOMEM;
        return json_add(object, name, new_string(value));
}

int json_add_int(Json *object, const char *name, int64_t value) {
        value = MAX(MIN(value, JSON_INT_MAX), -JSON_INT_MAX);
        return json_add(object, name, cJSON_CreateNumber((double)value));
}

int json_add_bool(Json *object, const char *name, bool value) {
        return json_add(object, name, cJSON_CreateBool(value));
}

int json_add(Json *object_or_array, const char *name, Json *value) {
        bool added;

        if (!object_or_array || !value) {
                json_free(value);
                return -ENOMEM;
        }
        added = name ? cJSON_AddItemToObject(object_or_array, name, value)
                     : cJSON_AddItemToArray(object_or_array, value);
        if (!added) {
                json_free(value);
                return -ENOMEM;
        }
        return 0;
}

int json_append_string(Json *array, const char *value) {
        return json_add(array, NULL, new_string(value));
}

int json_replace(Json *object, const char *name, Json *value) {
        cJSON *member = NULL;
        char *key;

        if (object && value)
                member = cJSON_GetObjectItemCaseSensitive(object, name);
        if (!member)
                return json_add(object, name, value);
        /* cJSON_ReplaceItemInObject() leaves a nameless member behind when memory is out */
        key = strdup(name);
        if (!key) {
                json_free(value);
                return -ENOMEM;
        }
        free(value->string);
        value->string = key;
        cJSON_ReplaceItemViaPointer(object, member, value);
        return 0;
}

void json_make_printable(Json *json) {
        if (!json)
                return;
        if (json->string)
                text_clean(json->string);
        if (cJSON_IsString(json))
                text_clean(json->valuestring);
        for (cJSON *member = json->child; member; member = member->next)
                json_make_printable(member);
}

Json *json_new_strings(const Strv *list) {
        cleanup(json_free) Json *array = json_new_array();

        for (size_t i = 0; i < list->n; i++)
                if (json_append_string(array, list->v[i]) < 0)
                        return NULL;
        return TAKE_PTR(array);
}

/* Leaves the first `n` elements; returns how many went. */
static size_t cut(Json *array, size_t n) {
        cJSON *last = array->child, *next;
        size_t n_gone = 0;

        for (size_t i = 1; i < n && last; i++)
                last = last->next;
        for (cJSON *member = last ? last->next : NULL; member; member = next) {
                next = member->next;
                cJSON_Delete(cJSON_DetachItemViaPointer(array, member));
                n_gone++;
        }
        return n_gone;
}

/* Cuts every list inside to `n` elements. The nesting is bounded, by what made the value. */
static int cut_all(Json *json, size_t n) {
        size_t n_gone = 0;

        for (cJSON *member = json->child; member; member = member->next) {
                if (cJSON_IsArray(member) && cJSON_IsObject(json))
                        n_gone += cut(member, n);
                if (cut_all(member, n) < 0)
                        return -ENOMEM;
        }
        if (n_gone == 0)
                return 0;
        n_gone += (size_t)json_get_int(json, "omitted", 0);
        cJSON_DeleteItemFromObjectCaseSensitive(json, "omitted");
        return json_add_int(json, "omitted", (int64_t)n_gone);
}

int json_shorten(Json *json, size_t max) {
        for (size_t n = SHORTEN_FIRST;; n /= 2) {
                cleanup_free char *text = json_text(json);

                if (!text)
                        return -ENOMEM;
                if (strlen(text) <= max)
                        return 0;
                if (n == 0)
                        return -EMSGSIZE;
                if (cut_all(json, n) < 0)
                        return -ENOMEM;
        }
}
