/* SPDX-License-Identifier: MIT */

/*
 * inih does not remove quotes, as readers of other formats do, so they are part of the value. If a
 * value is wrong and would be right without its quotes, the error says so.
 */

#include "key-value-internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/decimal.h"
#include "base/span.h"

static void *key_field(const Key *key, void *base) {
        return (char *)base + key->offset;
}

static const void *const_key_field(const Key *key, const void *base) {
        return (const char *)base + key->offset;
}

int key_copy(const Key *key, const void *from, void *to) {
        const void *value = const_key_field(key, from);
        void *copy = key_field(key, to);

        switch (key->kind) {
        case KEY_TEXT: {
                const char *text = *(char *const *)value;

                *(char **)copy = text ? strdup(text) : NULL;
                return text && !*(char **)copy ? -ENOMEM : 0;
        }
        case KEY_LIST:
                return strv_copy(copy, value);
        case KEY_SPAN:
        case KEY_COUNT:
                *(uint64_t *)copy = *(const uint64_t *)value;
                return 0;
        case KEY_FLAG:
                *(bool *)copy = *(const bool *)value;
                return 0;
        case KEY_SIZE:
                *(Size *)copy = *(const Size *)value;
                return 0;
        case KEY_SHARE:
                *(unsigned *)copy = *(const unsigned *)value;
                return 0;
        }
        assert(false);
        return -EINVAL;
}

bool key_equal(const Key *key, const void *a, const void *b) {
        const void *x = const_key_field(key, a), *y = const_key_field(key, b);

        switch (key->kind) {
        case KEY_TEXT: {
                const char *s = *(char *const *)x, *t = *(char *const *)y;

                return s && t ? strcmp(s, t) == 0 : s == t;
        }
        case KEY_LIST:
                return strv_equal(x, y);
        case KEY_SPAN:
        case KEY_COUNT:
                return *(const uint64_t *)x == *(const uint64_t *)y;
        case KEY_FLAG:
                return *(const bool *)x == *(const bool *)y;
        case KEY_SIZE: {
                const Size *s = x, *t = y;

                return s->bytes == t->bytes && s->percent == t->percent;
        }
        case KEY_SHARE:
                return *(const unsigned *)x == *(const unsigned *)y;
        }
        assert(false);
        return false;
}

void key_clear(const Key *key, void *base) {
        void *value = key_field(key, base);

        if (key->kind == KEY_TEXT) {
                free(*(char **)value);
                *(char **)value = NULL;
        } else if (key->kind == KEY_LIST)
                strv_done(value);
}

/* Says that a value is not `what`. */
static int no_such(const Key *key, const char *text, const char *what, Diag *diag) {
        if (!key->none)
                return diag_set(diag, -EINVAL, "'%s' is not %s", text, what);
        if (strcmp(text, key->none) == 0)
                return diag_set(diag, -EINVAL, "'%s' stands alone", text);
        return diag_set(diag, -EINVAL, "'%s' is neither '%s' nor %s", text, key->none, what);
}

static int parse_text(const Key *key, const char *text, char **ret, Diag *diag) {
        cleanup_free char *checked = strdup(text);
        char *at = checked, *copy = NULL;
        int r;

        if (!checked)
                return -ENOMEM;
        if (key->none && *text != '/') /* a text with a word for none is a path */
                return no_such(key, text, "an absolute path", diag);
        r = key->check(&at, diag);
        if (r < 0)
                return r;
        if (at) {
                copy = strdup(at);
                if (!copy)
                        return -ENOMEM;
        }
        free(*ret);
        *ret = copy;
        return 0;
}

static bool in_front(const Strv *list, size_t n, const char *text) {
        for (size_t i = 0; i < n; i++)
                if (strcmp(list->v[i], text) == 0)
                        return true;
        return false;
}

int key_empty(const Key *key, Diag *reterr_diag) {
        if (key->none)
                return diag_set(reterr_diag, -EINVAL, "may not be empty; did you mean '%s'?",
                                key->none);
        if (!key->fallback)
                return diag_set(reterr_diag, -EINVAL, "may not be empty");
        return diag_set(reterr_diag, -EINVAL, "no item between the commas; the empty list is '%s='",
                        key->name);
}

/* Replaces the list, or adds to it. */
static int parse_list(const Key *key, const char *text, bool add, Strv *ret, Diag *diag) {
        cleanup(strv_done) Strv list = STRV_NULL;
        int r;

        r = strv_split(&list, text);
        if (r < 0)
                return r;
        if (list.n == 0 &&
            *text) /* commas alone were meant for an empty value, or the list was cut off */
                return key_empty(key, diag);
        for (size_t i = 0; i < list.n; i++) {
                char *item = list.v[i];

                r = key->check(&item, diag);
                if (r < 0)
                        return r;
                if (key->distinct &&
                    (in_front(&list, i, item) || (add && strv_contains(ret, item))))
                        return diag_set(diag, -EINVAL, "'%s' is in the list twice", item);
        }
        if (add && list.n > 0) {
                for (size_t i = 0; i < list.n && r >= 0; i++)
                        r = strv_add(ret, list.v[i]);
                return r;
        }
        strv_done(ret);
        *ret = list;
        list = STRV_NULL;
        return 0;
}

static int parse_span_value(const Key *key, const char *text, uint64_t *ret, Diag *diag) {
        char limit[SPAN_TEXT_MAX], near[SPAN_TEXT_MAX];
        uint64_t usec;
        int r;

        r = span_parse(text, &usec);
        if (r == -EINVAL)
                return no_such(key, text, "a span of time as in 90s, 5min or 1h 30min", diag);
        if (r == 0 && usec < key->least_usec)
                return diag_set(diag, -EINVAL, "'%s' is too short; the least is %s", text,
                                span_format(key->least_usec, limit));
        if (r < 0 || usec > key->most_usec)
                return diag_set(diag, -EINVAL, "'%s' is too long; the most is %s", text,
                                span_format(key->most_usec, limit));
        if (key->step_usec > 0 && usec % key->step_usec > 0) {
                usec += key->step_usec - usec % key->step_usec;
                return diag_set(diag, -EINVAL, "'%s' is no multiple of %s; did you mean '%s'?",
                                text, span_format(key->step_usec, limit), span_format(usec, near));
        }
        *ret = usec;
        return 0;
}

static int parse_count(const Key *key, const char *text, uint64_t *ret, Diag *diag) {
        const char *p = text;
        Decimal number;
        int r;

        r = decimal_read(&p, &number);
        if (r == 0)
                r = *p ? -EINVAL : decimal_scale(&number, 1, key->most_count, ret);
        if (r < 0)
                return diag_set(diag, -EINVAL, "'%s' is not a number from 0 to %" PRIu64, text,
                                key->most_count);
        return 0;
}

static int too_little(const Key *key, const char *text, const char *least, Diag *diag) {
        if (!key->none)
                return diag_set(diag, -EINVAL, "'%s' is too little; the least is %s", text, least);
        return diag_set(diag, -EINVAL, "'%s' is too little; the least is %s, and '%s' is no limit",
                        text, least, key->none);
}

static int parse_share(const Key *key, const char *text, unsigned *ret, Diag *diag) {
        const char *p = text;
        uint64_t percent = 0;
        Decimal number;
        int r;

        r = decimal_read(&p, &number);
        if (r == 0) {
                p += *p == ' ';
                r = strcmp(p, "%") == 0 ? decimal_scale(&number, 1, key->most_percent, &percent)
                                        : -EINVAL;
        }
        if (r == -EINVAL)
                return no_such(key, text, "a share in whole percents as in 20%", diag);
        if (r < 0)
                return diag_set(diag, -EINVAL, "'%s' is too much; the most is %u%%", text,
                                key->most_percent);
        if (percent == 0)
                return too_little(key, text, "1%", diag);
        *ret = (unsigned)percent;
        return 0;
}

/* Refuses a number without a unit: 10 may mean 10GB or 10%, and never ten bytes. */
static int parse_amount(const Key *key, const char *text, uint64_t *ret, Diag *diag) {
        char limit[BYTES_TEXT_MAX];
        uint64_t bytes;
        int r;

        r = strchr("0123456789", text[strlen(text) - 1]) ? -EINVAL : bytes_parse(text, &bytes);
        if (r == -EINVAL)
                return no_such(key, text, "an amount as in 10GB or a share as in 20%", diag);
        if (r < 0)
                return diag_set(diag, -EINVAL, "'%s' is too much; the most is %s", text,
                                bytes_format(INT64_MAX, limit));
        if (bytes == 0)
                return too_little(key, text, "1B", diag);
        *ret = bytes;
        return 0;
}

static int parse_size(const Key *key, const char *text, Size *ret, Diag *diag) {
        cleanup(strv_done) Strv items = STRV_NULL;
        Size size = SIZE_OFF;
        int r;

        r = strv_split(&items, text);
        if (r < 0)
                return r;
        if (items.n == 0)
                return no_such(key, text, "an amount as in 10GB or a share as in 20%", diag);
        if (items.n > 1 && !key->both)
                return diag_set(diag, -EINVAL, "'%s' is more than one; an amount or a share", text);
        for (size_t i = 0; i < items.n; i++) {
                const char *item = items.v[i];
                bool share = item[strlen(item) - 1] == '%';

                if (share ? size.percent > 0 : size.bytes > 0)
                        return diag_set(diag, -EINVAL,
                                        "'%s' has two %s; one amount and one share are possible, "
                                        "and the smaller counts",
                                        text, share ? "shares" : "amounts");
                r = share ? parse_share(key, item, &size.percent, diag)
                          : parse_amount(key, item, &size.bytes, diag);
                if (r < 0)
                        return r;
        }
        *ret = size;
        return 0;
}

static int parse_flag(const Key *key, const char *text, bool *ret, Diag *diag) {
        const char *nearest;

        for (size_t i = 0; i < ELEMENTSOF(key->words); i++)
                if (strcmp(text, key->words[i]) == 0) {
                        *ret = i == 1;
                        return 0;
                }
        nearest = strv_nearest(text, key->words, ELEMENTSOF(key->words));
        if (nearest)
                return diag_set(diag, -EINVAL, "'%s' is neither '%s' nor '%s'; did you mean '%s'?",
                                text, key->words[0], key->words[1], nearest);
        return diag_set(diag, -EINVAL, "'%s' is neither '%s' nor '%s'", text, key->words[0],
                        key->words[1]);
}

static void set_none(const Key *key, void *base) {
        void *value = key_field(key, base);

        if (key->kind == KEY_TEXT || key->kind == KEY_LIST)
                key_clear(key, base);
        else if (key->kind == KEY_SPAN)
                *(uint64_t *)value = USEC_INFINITY;
        else if (key->kind == KEY_SIZE)
                *(Size *)value = SIZE_OFF;
        else if (key->kind == KEY_SHARE)
                *(unsigned *)value = 0;
        else
                assert(false);
}

static int parse_value(const Key *key, const char *text, bool add, void *base, Diag *reterr_diag) {
        void *value = key_field(key, base);

        if (key->none && strcmp(text, key->none) == 0) {
                set_none(key, base);
                return 0;
        }

        switch (key->kind) {
        case KEY_TEXT:
                return parse_text(key, text, value, reterr_diag);
        case KEY_LIST:
                return parse_list(key, text, add, value, reterr_diag);
        case KEY_SPAN:
                return parse_span_value(key, text, value, reterr_diag);
        case KEY_FLAG:
                return parse_flag(key, text, value, reterr_diag);
        case KEY_SIZE:
                return parse_size(key, text, value, reterr_diag);
        case KEY_COUNT:
                return parse_count(key, text, value, reterr_diag);
        case KEY_SHARE:
                return parse_share(key, text, value, reterr_diag);
        }
        assert(false);
        return -EINVAL;
}

/* A copy of the text without quotes of any kind; NULL on out of memory. */
static char *without_quotes(const char *text) {
        static const char *const quotes[] = {
                "\"", "'", "`", "‘", "’", "‚", "“", "”", "„", "«", "»"
        };
        char *bare = malloc(strlen(text) + 1), *to = bare;

        if (!bare)
                return NULL;
        while (*text) {
                size_t n = 0;

                for (size_t i = 0; i < ELEMENTSOF(quotes) && n == 0; i++)
                        if (strncmp(text, quotes[i], strlen(quotes[i])) == 0)
                                n = strlen(quotes[i]);
                if (n == 0)
                        *to++ = *text++;
                text += n;
        }
        *to = '\0';
        return bare;
}

/* Suggests the value without quotes, if it is valid. */
static void suggest_bare(const Key *key, const char *text, Diag *diag) {
        cleanup_free char *bare = without_quotes(text);
        union {
                Config config;
                AppConfig app;
        } scratch = { 0 };

        if (!bare || !diag || strcmp(bare, text) == 0)
                return;
        if (parse_value(key, bare, false, &scratch, NULL) == 0)
                diag_format(diag, "%s; quotes are not removed: write %s=%s", diag->text, key->name,
                            bare);
        key_clear(key, &scratch);
}

static int parse_told(const Key *key, const char *text, bool add, void *base, Diag *diag) {
        int r = parse_value(key, text, add, base, diag);

        if (r == -EINVAL)
                suggest_bare(key, text, diag);
        return r;
}

int key_parse(const Key *key, const char *text, void *base, Diag *reterr_diag) {
        return parse_told(key, text, false, base, reterr_diag);
}

int key_add(const Key *key, const char *text, void *base, Diag *reterr_diag) {
        assert(key->kind == KEY_LIST);
        return parse_told(key, text, true, base, reterr_diag);
}

int keys_set_defaults(KeyOwner owner, void *base) {
        for (size_t i = 0; i < n_config_keys; i++) {
                const Key *key = &config_keys[i];
                int r;

                if (key->owner != owner || !key->fallback)
                        continue;
                r = key_parse(key, key->fallback, base, NULL);
                assert(r != -EINVAL);
                if (r < 0)
                        return r;
        }
        return 0;
}

int keys_copy(KeyOwner owner, const void *from, void *to) {
        for (size_t i = 0; i < n_config_keys; i++)
                if (config_keys[i].owner == owner) {
                        int r = key_copy(&config_keys[i], from, to);

                        if (r < 0)
                                return r;
                }
        return 0;
}

void keys_clear(KeyOwner owner, void *base) {
        for (size_t i = 0; i < n_config_keys; i++)
                if (config_keys[i].owner == owner)
                        key_clear(&config_keys[i], base);
}
