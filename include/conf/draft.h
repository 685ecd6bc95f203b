/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A configuration while it is being loaded, private to conf/: conf/config.c fills it, conf/check.c
 * looks at the whole of it.
 */

#include "conf/keys.h"

/* Where a key was set last, or the section of an application opened first. */
typedef struct Origin {
        const char *file; /* the very pointer from the loader's files; NULL: it has its default */
        unsigned line;
        unsigned turn; /* counts what is set, from 1; 0: it has its default */
        bool mistaken; /* the value then was none: an older one stayed; with turn 0: another
                        * mistake, which was told, was likely meant for it */
        bool emptied;  /* a list, set last to an empty value */
} Origin;

typedef struct Draft {
        Config *config;
        ConfigErrors *errors;
        /* 0: of the Config's own keys; 1 + i: of the keys of apps.v[i] */
        Origin origins[1 + APPS_MAX][KEYS_MAX];
        Origin app_heads[APPS_MAX]; /* mistaken: lines below one could not be read */
        bool out_of_memory;
} Draft;

void draft_error(Draft *draft, const char *file, unsigned line, const Diag *diag);
void draft_tell(Draft *draft, ConfigLevel level, const char *file, unsigned line, const Diag *diag);

/* Tells what no key can see alone. */
void draft_check(Draft *draft);

/* With the defaults. */
int config_new(Config **ret) must_check;
/* One more of this name, with no other field set; NULL on out of memory. */
AppConfig *app_configs_add(AppConfigs *apps, const char *name);
