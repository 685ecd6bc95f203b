/* SPDX-License-Identifier: MIT */

/* How keys are found, and what is done with a key's field by its kind; conf/key-parse.c parses it. */

#include "conf/keys.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

const Key *key_find(const char *section, const char *name) {
        for (size_t i = 0; i < n_config_keys; i++)
                if (strcmp(config_keys[i].section, section) == 0 &&
                    strcmp(config_keys[i].name, name) == 0)
                        return &config_keys[i];
        return NULL;
}

const char *key_homes(const char *name, char buffer[static KEY_HOMES_MAX]) {
        size_t n = 0;

        for (size_t i = 0; i < n_config_keys; i++)
                if (strcmp(config_keys[i].name, name) == 0) {
                        int r = snprintf(buffer + n, KEY_HOMES_MAX - n, "%s[%s%s]",
                                         n > 0 ? " or " : "", config_keys[i].section,
                                         config_keys[i].owner == KEY_OF_APP ? " NAME" : "");

                        assert(r > 0 && (size_t)r < KEY_HOMES_MAX - n);
                        n += (size_t)r;
                }
        return n > 0 ? buffer : NULL;
}

const char *key_nearest(const char *section, const char *name) {
        const char *names[KEYS_MAX];
        size_t n = 0;

        for (size_t i = 0; i < n_config_keys; i++)
                if (strcmp(config_keys[i].section, section) == 0)
                        names[n++] = config_keys[i].name;
        return strv_nearest(name, names, n);
}

const char *section_find(const char *section) {
        for (size_t i = 0; i < n_config_keys; i++)
                if (strcmp(config_keys[i].section, section) == 0)
                        return config_keys[i].section;
        return NULL;
}

const char *section_nearest(const char *section) {
        const char *names[KEYS_MAX];

        for (size_t i = 0; i < n_config_keys; i++)
                names[i] = config_keys[i].section;
        return strv_nearest(section, names, n_config_keys);
}

static void *field(const Key *key, void *base) {
        return (char *)base + key->offset;
}

static const void *const_field(const Key *key, const void *base) {
        return (const char *)base + key->offset;
}

int key_copy(const Key *key, const void *from, void *to) {
        const void *value = const_field(key, from);
        void *copy = field(key, to);

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
        const void *x = const_field(key, a), *y = const_field(key, b);

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
        void *value = field(key, base);

        if (key->kind == KEY_TEXT) {
                free(*(char **)value);
                *(char **)value = NULL;
        } else if (key->kind == KEY_LIST)
                strv_done(value);
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
