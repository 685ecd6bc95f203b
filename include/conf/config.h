/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The configuration: an INI file and its drop-ins, parsed and validated; the one user of inih is
 * conf/config.c.
 *
 * config_load() reads FILE, then the *.conf of FILE.d in name order; later settings win. Every key
 * has a default. Every mistake in every file is reported, not only the first: one ConfigError each,
 * in the order of the files and of their lines. A Config is a plain value owned by its holder; jobs
 * own copies.
 *
 * A file is UTF-8 text of at most CONFIG_FILE_MAX bytes: "[section]", "key=value", blank lines,
 * and comments. A comment is a line whose first character after blanks is ';' or '#', of any
 * length, or what follows a blank and ';' on another line ('#' has no such meaning). Other lines
 * start in the first column, do not continue, and hold at most CONFIG_LINE_MAX bytes. A section
 * may be opened again; a key is set at most once a file. A byte order mark at the start and
 * carriage returns at the ends of lines are taken; other control characters are not.
 */

#include "base/diag.h"
#include "base/strv.h"

#define CONFIG_LINE_MAX 198 /* inih's INI_MAX_LINE, less its newline and NUL */
#define CONFIG_FILE_MAX (64U * 1024U)

typedef struct Config {
        char *file; /* what was loaded; NULL: defaults alone */

        /* [docker] */
        char *docker_socket; /* path, from host=unix://PATH */
        uint64_t timeout_usec;
        uint64_t prune_timeout_usec;

        /* [poll] */
        uint64_t poll_interval_usec;

        /* [builder] */
        bool external_builders_ignore;

        /* [images] */
        Strv match;    /* globs on image names, see docker/name.h */
        Strv protect;  /* never touched */
        Strv base;     /* base images: neither cleared nor a source of cached layers */
        char *project; /* compose project whose images match by its label, or NULL */
        bool dangling_all;
        char *rollback_tag; /* prefix of the tag: "wpcache-rollback" */

        /* [control] */
        char *control_socket;
        Strv operators; /* names of groups; "user:NAME" for one user */
        Strv readers;
} Config;

/* One mistake. */
typedef struct ConfigError {
        char *file;
        unsigned line; /* 0: the file as a whole */
        char *text;    /* "[images] mach: unknown key; did you mean 'match'?" */
} ConfigError;

typedef struct ConfigErrors {
        ConfigError *v;
        size_t n;
} ConfigErrors;

/*
 * Loads `path`, or the defaults where `path` is NULL. 0 with a Config; -EINVAL with at least one
 * error in `reterr_errors` (which the caller frees in any case); other -errno where the file can't
 * be read (also told in the errors); -ENOMEM.
 */
int config_load(const char *path, Config **ret, ConfigErrors *reterr_errors) must_check;
int config_copy(const Config *config, Config **ret) must_check;
Config *config_free(Config *config);
DEFINE_CLEANUP(Config *, config_free);

void config_errors_done(ConfigErrors *errors);

/* "FILE:LINE: TEXT", or "FILE: TEXT" for line 0; malloc'ed or NULL. */
char *config_error_text(const ConfigError *error);

/* Adds the names of keys that differ but only take effect after a restart ("[control] socket"). */
int config_restart_keys(const Config *old_config, const Config *new_config,
                        Strv *ret_keys) must_check;

/* The shipped etc/wpcached.conf: every key, commented out, with its default and what it does.
 * Malloc'ed or NULL. */
char *config_listing(void);
