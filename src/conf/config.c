/* SPDX-License-Identifier: MIT */

/*
 * The table of keys drives all of this. The name of the file and the names of the applications are not
 * keys, so each function handles them on its own.
 */

#include "config-internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/text.h"
#include "key-internal.h"
#include "key-value-internal.h"

uint64_t size_of(const Size *size, uint64_t whole_bytes) {
        uint64_t share =
                whole_bytes / 100 * size->percent + whole_bytes % 100 * size->percent / 100;

        if (size->percent == 0)
                return size->bytes > 0 ? size->bytes : UINT64_MAX;
        return size->bytes > 0 ? MIN(size->bytes, share) : share;
}

int config_new(Config **ret) {
        cleanup(config_free) Config *config = calloc(1, sizeof *config);
        int r;

        if (!config)
                return -ENOMEM;
        r = keys_set_defaults(KEY_OF_CONFIG, config);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(config);
        return 0;
}

AppConfig *app_configs_add(AppConfigs *apps, const char *name) {
        cleanup_free char *copy = strdup(name);

        if (!copy || array_grow(apps->v, apps->n, apps->size) < 0)
                return NULL;
        apps->v[apps->n] = (AppConfig){ .name = TAKE_PTR(copy) };
        return &apps->v[apps->n++];
}

static int copy_apps(const AppConfigs *from, AppConfigs *to) {
        for (size_t i = 0; i < from->n; i++) {
                AppConfig *app = app_configs_add(to, from->v[i].name);
                int r = app ? keys_copy(KEY_OF_APP, &from->v[i], app) : -ENOMEM;

                if (r < 0)
                        return r;
        }
        return 0;
}

int config_copy(const Config *config, Config **ret) {
        cleanup(config_free) Config *copy = calloc(1, sizeof *copy);
        int r;

        if (!copy)
                return -ENOMEM;
        if (config->file) {
                copy->file = strdup(config->file);
                if (!copy->file)
                        return -ENOMEM;
        }
        r = keys_copy(KEY_OF_CONFIG, config, copy);
        if (r == 0)
                r = copy_apps(&config->apps, &copy->apps);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(copy);
        return 0;
}

Config *config_free(Config *config) {
        if (!config)
                return NULL;
        keys_clear(KEY_OF_CONFIG, config);
        for (size_t i = 0; i < config->apps.n; i++) {
                keys_clear(KEY_OF_APP, &config->apps.v[i]);
                free(config->apps.v[i].name);
        }
        free(config->apps.v);
        free(config->file);
        free(config);
        return NULL;
}

const AppConfig *config_app(const Config *config, const char *name) {
        for (size_t i = 0; i < config->apps.n; i++)
                if (strcmp(config->apps.v[i].name, name) == 0)
                        return &config->apps.v[i];
        return NULL;
}

int config_build_directories(const Config *config, Strv *ret) {
        cleanup(strv_done) Strv directories = STRV_NULL;
        int r = 0;

        for (size_t i = 0; i < config->apps.n && r >= 0; i++) {
                const AppConfig *app = &config->apps.v[i];

                r = strv_add(&directories, app->root);
                if (r >= 0 && app->context)
                        r = strv_add(&directories, app->context);
        }
        if (r < 0)
                return r;
        *ret = directories;
        directories = STRV_NULL;
        return 0;
}

int config_restart_keys(const Config *old_config, const Config *new_config, Strv *ret_keys) {
        for (size_t i = 0; i < n_config_keys; i++) {
                const Key *key = &config_keys[i];
                char name[64];
                int r;

                assert(!key->restart || key->owner == KEY_OF_CONFIG);
                if (!key->restart || key_equal(key, old_config, new_config))
                        continue;
                snprintf(name, sizeof name, "[%s] %s", key->section, key->name);
                r = strv_add(ret_keys, name);
                if (r < 0)
                        return r;
        }
        return 0;
}
