/* SPDX-License-Identifier: MIT */

#include "key-internal.h"

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
