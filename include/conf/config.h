/* SPDX-License-Identifier: MIT */
#pragma once

/* The configuration as a plain value, owned by its holder; jobs own copies. conf/loader.h reads it. */

#include "base/strv.h"

/* An amount of bytes, a share of a whole that is known later, or both, of which the smaller
 * counts. Neither (SIZE_OFF) means no limit. */
typedef struct Size {
        uint64_t bytes;   /* 0: not given */
        unsigned percent; /* 1 to 100; 0: not given */
} Size;

#define SIZE_OFF ((Size){ 0 })

/* The amount, given the whole, rounded down; UINT64_MAX for SIZE_OFF. Do not pass 0 for a whole
 * that is not known: every share of it would be 0. */
uint64_t size_of(const Size *size, uint64_t whole_bytes);

static inline bool size_is_off(const Size *size) {
        return size->bytes == 0 && size->percent == 0;
}

/* An [app NAME]. */
#define APP_NAME_MAX 32 /* NUL included */
#define APPS_MAX 32

typedef struct AppConfig {
        char *name;       /* [a-z0-9][a-z0-9_.-]*, none of the other targets of a clear */
        char *root;       /* absolute, with neither "." nor "..", nor a slash too many */
        Strv caches;      /* names that cache_name_valid() accepts; at least one */
        char *trash;      /* absolute; NULL: auto */
        char *context;    /* the build context, absolute; NULL: the root */
        char *dockerfile; /* relative to the context, or absolute */
} AppConfig;

typedef struct AppConfigs {
        AppConfig *v; /* in the order of the files */
        size_t n, size;
} AppConfigs;

typedef struct Config {
        char *file; /* the file that was loaded; NULL: the defaults */

        /* [docker] */
        char *docker_socket; /* path, from host=unix://PATH */
        uint64_t timeout_usec;
        uint64_t prune_timeout_usec;

        /* [poll] */
        uint64_t poll_interval_usec;
        unsigned poll_share_percent; /* at most this share of the engine's time */
        bool events;                 /* listen to the engine's events, too */

        /* [policy] */
        bool observe_only; /* mode=observe */
        uint64_t grace_usec;
        uint64_t quiet_usec;

        /* [builder] */
        Size builder_max;    /* percent: of the disk */
        Size builder_target; /* percent: of builder_max; an amount is at most that of builder_max */
        uint64_t builder_age_usec; /* max_age in whole hours; USEC_INFINITY: off */
        bool external_builders_ignore;

        /* [images] */
        Strv match;    /* globs on image names, see docker/name.h */
        Strv protect;  /* never touched */
        Strv base;     /* base images: neither cleared nor a source of cached layers */
        char *project; /* compose project whose images match by its label, or NULL */
        bool dangling_all;
        char *rollback_tag;          /* prefix of the tag: "wpcache-rollback" */
        uint64_t image_max_age_usec; /* USEC_INFINITY: off */
        uint64_t image_min_age_usec;
        uint64_t keep_last;
        uint64_t dangling_max_age_usec; /* USEC_INFINITY: off */

        /* [disk]; sizes are an amount or a share */
        Size min_free;    /* SIZE_OFF: no limit, whatever target_free is */
        Size target_free; /* SIZE_OFF only with min_free; not less, where both are of one kind */
        unsigned min_free_inodes_percent; /* 0: off */
        Strv disk_paths;                  /* empty: auto */

        AppConfigs apps;

        /* [history] */
        uint64_t retention_usec;

        /* [metrics] */
        char *metrics_textfile; /* NULL: none */

        /* [alarm] */
        char *alarm_command; /* for /bin/sh -c; NULL: none */

        /* [control] */
        char *control_socket;
        Strv operators; /* names of groups; "user:NAME" for one user */
        Strv readers;
} Config;

int config_copy(const Config *config, Config **ret) must_check;
Config *config_free(Config *config);
DEFINE_CLEANUP(Config *, config_free);

/* The application of this name, or NULL. */
const AppConfig *config_app(const Config *config, const char *name);

/* The roots and build contexts of all applications, which must not hold a trash. 0 or -ENOMEM. */
int config_build_directories(const Config *config, Strv *ret) must_check;

/* Adds the names of keys that differ but only take effect after a restart ("[control] socket"). */
int config_restart_keys(const Config *old_config, const Config *new_config,
                        Strv *ret_keys) must_check;
