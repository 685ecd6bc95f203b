/* SPDX-License-Identifier: MIT */
#pragma once

/* A configuration while it is being loaded: loader.c fills it, cross-checks.c checks the whole. */

#include "conf/errors.h"
#include "key-internal.h"

/* Where a key was set last, or where the section of an application was opened first. */
typedef struct Origin {
        const char
                *file; /* the pointer from the loader's list of files; NULL: the default stands */
        unsigned line;
        unsigned turn; /* counts settings, from 1; 0: the default stands */
        bool mistaken; /* the value was invalid, and the previous one was kept; with turn 0: a
                        * mistake that was reported was likely meant for this key */
        bool emptied;  /* a list that was last set to an empty value */
} Origin;

typedef struct Draft {
        Config *config;
        ConfigErrors *errors;
        /* 0: of the Config's own keys; 1 + i: of the keys of apps.v[i] */
        Origin origins[1 + APPS_MAX][KEYS_MAX];
        Origin app_heads[APPS_MAX]; /* mistaken: a line of the section could not be read */
        bool out_of_memory;
} Draft;

/* Adds an error of `level`. Sets draft->out_of_memory on failure. */
void draft_tell(Draft *draft, ConfigLevel level, const char *file, unsigned line,
                const char *format, ...) printf_like(5, 6);
#define draft_error(draft, file, line, ...) \
        draft_tell(draft, CONFIG_MISTAKE, file, line, __VA_ARGS__)
