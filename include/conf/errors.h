/* SPDX-License-Identifier: MIT */
#pragma once

/* The mistakes of a configuration, and remarks on it. */

#include "base/macro.h"

typedef enum ConfigLevel {
        CONFIG_MISTAKE,
        CONFIG_STATE, /* of a root that users other than root may have made unusable */
        CONFIG_NOTE,  /* of a root that may yet come */
} ConfigLevel;

typedef struct ConfigError {
        ConfigLevel level;
        char *file;
        unsigned line; /* 0: the file as a whole */
        char *text;    /* "[images] mach: unknown key; did you mean 'match'?" */
} ConfigError;

typedef struct ConfigErrors {
        ConfigError *v;   /* mistakes first, then remarks */
        size_t n;         /* mistakes */
        size_t n_remarks; /* errors of the other levels */
} ConfigErrors;

void config_errors_done(ConfigErrors *errors);

/* "FILE:LINE: TEXT", or "FILE: TEXT" for line 0, with "note: " before the text of a CONFIG_NOTE;
 * malloc'ed, or NULL on out of memory. */
char *config_error_text(const ConfigError *error);
