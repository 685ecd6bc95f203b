/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The table of keys (key-table.c). Parsing, defaults, copies, comparison, suggestions, the keys that
 * need a restart, and the shipped listing all come from it. A new key is a field of Config or
 * AppConfig and a row of the table; the first row of a section makes the section.
 */

#include "base/diag.h"
#include "conf/config.h"

/* The type of the key's field. */
typedef enum KeyKind {
        KEY_TEXT,  /* char *, NULL for none */
        KEY_LIST,  /* Strv */
        KEY_SPAN,  /* uint64_t, microseconds */
        KEY_FLAG,  /* bool, written as one of two words */
        KEY_SIZE,  /* Size */
        KEY_COUNT, /* uint64_t */
        KEY_SHARE, /* unsigned, percent */
} KeyKind;

/* The struct that has the field. */
typedef enum KeyOwner {
        KEY_OF_CONFIG,
        KEY_OF_APP, /* AppConfig: a key of each [app NAME] */
} KeyOwner;

#define APP_SECTION "app"

/* Checks a text or an item of a list: 0, or -EINVAL with the reason. The check may shorten the text in
 * place. For a text, not an item, it may also move `*text` past a prefix, or set it to NULL for no
 * text. */
typedef int (*KeyCheck)(char **text, Diag *reterr_diag);

typedef struct Key {
        const char *section, *name;
        const char *fallback; /* as it would be written; NULL: the key is required */
        const char *example;  /* in the shipped file, of a required key */
        const char *about;    /* its lines in the shipped file, without the '#' */
        KeyOwner owner;
        size_t offset; /* of the field in its owner */
        KeyKind kind;
        bool restart;                   /* a change needs a restart */
        KeyCheck check;                 /* KEY_TEXT, KEY_LIST */
        uint64_t least_usec, most_usec; /* KEY_SPAN */
        uint64_t step_usec;             /* KEY_SPAN: in multiples of this; 0: any */
        uint64_t most_count;            /* KEY_COUNT */
        unsigned most_percent;          /* KEY_SIZE, KEY_SHARE; the least is 1 */
        bool both;                      /* KEY_SIZE: an amount and a share may be given */
        bool distinct;                  /* KEY_LIST: no item twice */
        const char *words[2];           /* KEY_FLAG: for false, for true */
        /* The word for no text, an empty list, USEC_INFINITY, SIZE_OFF or a share of 0, which can't
         * be had otherwise; NULL if there is none. */
        const char *none;
} Key;

#define KEYS_MAX 64
#define KEY_HOMES_MAX 64

extern const Key config_keys[];
extern const size_t n_config_keys;

/* The row of a key, or NULL. The section of every [app NAME] is APP_SECTION. */
const Key *key_find(const char *section, const char *name);
/* The sections that have such a key, "[builder] or [images]"; NULL if none has. */
const char *key_homes(const char *name, char buffer[static KEY_HOMES_MAX]);
const char *key_nearest(const char *section, const char *name);
/* The name of a section as the table has it, or NULL. */
const char *section_find(const char *section);
const char *section_nearest(const char *section);
