/* SPDX-License-Identifier: MIT */

#include "conf/loader.h"

#include <assert.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "apps/marker.h"
#include "base/io.h"
#include "conf/checks-internal.h"
#include "conf/key-value-internal.h"
#include "test.h"

static char directory[] = "/tmp/test-config-XXXXXX";

static int setup(void **state) {
        (void)state;
        return mkdtemp(directory) && chdir(directory) == 0 && mkdir("f.d", 0700) == 0 ? 0 : -1;
}

static int teardown(void **state) {
        char command[128];

        (void)state;
        snprintf(command, sizeof command, "rm -rf '%s'", directory);
        return chdir("/") == 0 ? system(command) : -1;
}

static void write_file_n(const char *path, const char *text, size_t n) {
        assert_int_equal(file_write_atomic(AT_FDCWD, path, text, n, 0600), 0);
}

static void write_file(const char *path, const char *text) {
        write_file_n(path, text, strlen(text));
}

/* Loads "f": the Config, or NULL and the mistakes, a line each; whether there are remarks is asked by
 * assert_root(). */
static Config *load(int expected, char *errors, size_t size) {
        ConfigErrors list;
        Config *config = NULL;
        int r = config_load("f", &config, &list);

        errors[0] = '\0';
        for (size_t i = 0; i < list.n; i++) {
                cleanup_free char *text = config_error_text(&list.v[i]);
                size_t n = strlen(errors);

                assert_non_null(text);
                snprintf(errors + n, size - n, "%s%s", i ? "\n" : "", text);
        }
        if (r != expected)
                fail_msg("%d instead of %d: %s", r, expected, errors);
        assert_true((r == 0) == (config != NULL) && (r == 0) == (list.n == 0));
        config_errors_done(&list);
        return config;
}

static Config *load_text(const char *text) {
        char errors[4096];

        write_file("f", text);
        return load(0, errors, sizeof errors);
}

static void assert_same_keys(KeyOwner owner, const void *a, const void *b) {
        for (size_t i = 0; i < n_config_keys; i++)
                if (config_keys[i].owner == owner && !key_equal(&config_keys[i], a, b))
                        fail_msg("[%s] %s differs", config_keys[i].section, config_keys[i].name);
}

static void assert_same(const Config *a, const Config *b) {
        assert_same_keys(KEY_OF_CONFIG, a, b);
        assert_int_equal(a->apps.n, b->apps.n);
        for (size_t i = 0; i < a->apps.n; i++) {
                assert_string_equal(a->apps.v[i].name, b->apps.v[i].name);
                assert_same_keys(KEY_OF_APP, &a->apps.v[i], &b->apps.v[i]);
        }
}

/* A key's owner: the first application, where it is one's. */
static void *base_of(Config *config, const Key *key) {
        if (key->owner == KEY_OF_CONFIG)
                return config;
        assert_true(config->apps.n > 0);
        return &config->apps.v[0];
}

#define APP "[app a]\nroot=/nowhere/a\ncaches=x\n"

static void assert_size(const Size *size, uint64_t bytes, unsigned percent) {
        assert_int_equal(size->bytes, bytes);
        assert_int_equal(size->percent, percent);
}

static void test_defaults(void **state) {
        cleanup(config_free) Config *config = NULL;
        ConfigErrors errors;

        (void)state;
        assert_int_equal(config_load(NULL, &config, &errors), 0);
        assert_int_equal(errors.n, 0);
        assert_null(config->file);
        assert_string_equal(config->docker_socket, "/run/docker.sock");
        assert_int_equal(config->timeout_usec, 30 * USEC_PER_SEC);
        assert_int_equal(config->prune_timeout_usec, 30 * USEC_PER_MINUTE);
        assert_int_equal(config->poll_interval_usec, USEC_PER_MINUTE);
        assert_int_equal(config->poll_share_percent, 1);
        assert_true(config->events);
        assert_false(config->observe_only);
        assert_int_equal(config->grace_usec, USEC_PER_DAY);
        assert_int_equal(config->quiet_usec, 5 * USEC_PER_MINUTE);
        assert_size(&config->builder_max, UINT64_C(10000000000), 20);
        assert_size(&config->builder_target, 0, 80);
        assert_true(config->builder_age_usec == USEC_INFINITY);
        assert_false(config->external_builders_ignore);
        assert_int_equal(config->match.n, 1);
        assert_string_equal(config->match.v[0], "watchparty-*");
        assert_int_equal(config->protect.n, 0);
        assert_int_equal(config->base.n, 0);
        assert_null(config->project);
        assert_false(config->dangling_all);
        assert_string_equal(config->rollback_tag, "wpcache-rollback");
        assert_int_equal(config->image_max_age_usec, 30 * USEC_PER_DAY);
        assert_int_equal(config->image_min_age_usec, USEC_PER_HOUR);
        assert_int_equal(config->keep_last, 2);
        assert_int_equal(config->dangling_max_age_usec, USEC_PER_DAY);
        assert_size(&config->min_free, 0, 15);
        assert_size(&config->target_free, 0, 20);
        assert_int_equal(config->min_free_inodes_percent, 5);
        assert_int_equal(config->disk_paths.n, 0);
        assert_int_equal(config->retention_usec, 90 * USEC_PER_DAY);
        assert_null(config->metrics_textfile);
        assert_null(config->alarm_command);
        assert_string_equal(config->control_socket, "/run/wpcache/io.watchparty.Cache");
        assert_int_equal(config->operators.n, 1);
        assert_string_equal(config->operators.v[0], "wpcache");
        assert_int_equal(config->readers.n, 1);
        assert_string_equal(config->readers.v[0], "wpcache");
        assert_int_equal(config->apps.n, 0);
        assert_null(config_app(config, "frontend"));
}

static void test_every_key(void **state) {
        cleanup(config_free) Config *config = load_text("[docker]\n"
                                                        "host = unix:///tmp/d.sock\n"
                                                        "timeout=5\n"
                                                        "prune_timeout=1h 30min\n"
                                                        "[poll]\n"
                                                        "interval=1d\n"
                                                        "events=no\n"
                                                        "[policy]\n"
                                                        "mode=observe\n"
                                                        "grace=0\n"
                                                        "quiet=90s\n"
                                                        "[builder]\n"
                                                        "max_size=30%, 2 GiB\n"
                                                        "target_size=1.5GB\n"
                                                        "max_age=1w 2h\n"
                                                        "external_builders=ignore\n"
                                                        "[images]\n"
                                                        "match=a-*,\tteam/b-?:v[0-9] , c[!]]\n"
                                                        "project=watch-party_1\n"
                                                        "protect=*:stable\n"
                                                        "base=python, node\n"
                                                        "dangling=all\n"
                                                        "rollback_tag=_old\n"
                                                        "max_age=2h\n"
                                                        "min_age=0\n"
                                                        "keep_last=7\n"
                                                        "dangling_max_age=off\n"
                                                        "[disk]\n"
                                                        "min_free=5GB\n"
                                                        "target_free=10 %\n"
                                                        "min_free_inodes=9%\n"
                                                        "paths=/a, /b/\n"
                                                        "[history]\n"
                                                        "retention=1d\n"
                                                        "[metrics]\n"
                                                        "textfile=/m/w.prom\n"
                                                        "[alarm]\n"
                                                        "command=mail -s \"$A;b\" x, y ; me\n"
                                                        "[control]\n"
                                                        "socket=/tmp/c\n"
                                                        "operators=docker, user:ann, a.b@c\n"
                                                        "readers=\n");

        (void)state;
        assert_string_equal(config->file, "f");
        assert_string_equal(config->docker_socket, "/tmp/d.sock");
        assert_int_equal(config->timeout_usec, 5 * USEC_PER_SEC);
        assert_int_equal(config->prune_timeout_usec, 90 * USEC_PER_MINUTE);
        assert_int_equal(config->poll_interval_usec, USEC_PER_DAY);
        assert_false(config->events);
        assert_true(config->observe_only);
        assert_int_equal(config->grace_usec, 0);
        assert_int_equal(config->quiet_usec, 90 * USEC_PER_SEC);
        assert_size(&config->builder_max, UINT64_C(2) << 30, 30);
        assert_size(&config->builder_target, 1500000000, 0);
        assert_int_equal(config->builder_age_usec, 170 * USEC_PER_HOUR);
        assert_true(config->external_builders_ignore);
        assert_int_equal(config->match.n, 3);
        assert_string_equal(config->match.v[1], "team/b-?:v[0-9]");
        assert_string_equal(config->match.v[2], "c[!]]");
        assert_string_equal(config->project, "watch-party_1");
        assert_int_equal(config->protect.n, 1);
        assert_int_equal(config->base.n, 2);
        assert_true(config->dangling_all);
        assert_string_equal(config->rollback_tag, "_old");
        assert_int_equal(config->image_max_age_usec, 2 * USEC_PER_HOUR);
        assert_int_equal(config->image_min_age_usec, 0);
        assert_int_equal(config->keep_last, 7);
        assert_true(config->dangling_max_age_usec == USEC_INFINITY);
        assert_size(&config->min_free, UINT64_C(5000000000), 0);
        assert_size(&config->target_free, 0, 10);
        assert_int_equal(config->min_free_inodes_percent, 9);
        assert_int_equal(config->disk_paths.n, 2);
        assert_string_equal(config->disk_paths.v[1], "/b/");
        assert_int_equal(config->retention_usec, USEC_PER_DAY);
        assert_string_equal(config->metrics_textfile, "/m/w.prom");
        assert_string_equal(config->alarm_command, "mail -s \"$A;b\" x, y");
        assert_string_equal(config->control_socket, "/tmp/c");
        assert_int_equal(config->operators.n, 3);
        assert_string_equal(config->operators.v[1], "user:ann");
        assert_int_equal(config->readers.n, 0);
}

/* What is no mistake. */
static void test_syntax(void **state) {
        static const char *const table[] = {
                "",
                "\n\n",
                "; comment\n# comment\n  ; indented\n\t# comment\n   \n",
                "# [docker\n# host\n# =\n# caf\xe9 \x1b[m\n",
                "[images]",
                "[images]\nmatch=x",
                "[images] ; comment\nmatch=x,y ; comment = # x\n",
                "[images]\nmatch=\nproject=p\n",
                "[images]\nproject=p\nmatch=\n",
                "[images]\nproject=\n",
                "[images]\nmatch=\\x[[:alnum:]]\n",
                "[images]\r\nmatch=x\r\n\r\n",
                "\xef\xbb\xbf[images]\nmatch=x\n",
                "\xef\xbb\xbf",
                "[images]  \t\nmatch\t=\tx\t \n",
                "[images]\nmatch=x\n[docker]\ntimeout=1s\n[images]\nprotect=x\n",
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup(config_free) Config *config = load_text(table[i]);

                assert_non_null(config);
        }
}

static void test_long_comment(void **state) {
        cleanup(config_free) Config *config = NULL;
        char text[1000] = "[images]\n#";

        (void)state;
        memset(text + 10, '=', 900);
        strcpy(text + 910, "\nmatch=y\n");
        config = load_text(text);
        assert_string_equal(config->match.v[0], "y");
}

static void test_mistakes(void **state) {
        static const struct {
                const char *text, *errors;
        } table[] = {
                /* lines */
                { "host=x\n", "f:1: host: a key outside a section; it belongs to [docker]" },
                { "x=y\n", "f:1: x: a key outside a section" },
                { "[docker]\nhost\n", "f:2: no '=': 'host' is neither KEY=VALUE nor [SECTION]" },
                { "[docker]\nhost: unix:///x\n",
                  "f:2: no '=': 'host: unix:///x' is neither KEY=VALUE nor [SECTION]" },
                { "[docker]\nhost ;=unix:///x\n", "f:2: neither KEY=VALUE nor [SECTION]" },
                { "[docker]\n=x\n", "f:2: no key before '='" },
                { "[docker]\ntimeout=1s\n 2s\n",
                  "f:3: a blank before the text: keys and sections start in the first column, and "
                  "values do not continue" },
                { "\t[docker]\n",
                  "f:1: a blank before the text: keys and sections start in the first column, and "
                  "values do not continue" },
                { "[docker]\ntimeout=1\x01s\n",
                  "f:2: a control character, or not UTF-8: 'timeout=1?s'" },
                { "[docker]\ntimeout=1s\r \n",
                  "f:2: a control character, or not UTF-8: 'timeout=1s'" },
                { "[docker]\ntimeout=\xe9\n",
                  "f:2: a control character, or not UTF-8: 'timeout=?'" },
                { "[docker]\n\xef\xbb\xbftimeout=1s\n",
                  "f:2: [docker] \xef\xbb\xbftimeout: unknown key; did you mean 'timeout'?" },

                /* sections */
                { "[docker\ntimeout=x\n", "f:1: a section without its ']'" },
                { "[docker] timeout=1s\n", "f:1: something after the ']' of a section" },
                { "[docker];\n", "f:1: something after the ']' of a section" },
                { "[Docker]\ntimeout=x\n",
                  "f:1: [Docker]: unknown section; did you mean [docker]?" },
                { "[ docker ]\n", "f:1: [ docker ]: unknown section; did you mean [docker]?" },
                { "[volumes]\nmode=observe\n[poll]\ninterval=0\n",
                  "f:1: [volumes]: unknown section; did you mean [app volumes]?\n"
                  "f:4: [poll] interval: '0' is too short; the least is 1s" },
                { "[]\n", "f:1: []: unknown section" },
                { "[metric]\n", "f:1: [metric]: unknown section; did you mean [metrics]?" },

                /* keys */
                { "[images]\nmach=x\n", "f:2: [images] mach: unknown key; did you mean 'match'?" },
                { "[images]\nMatch=x\n",
                  "f:2: [images] Match: unknown key; did you mean 'match'?" },
                { "[poll]\ntimeout=1s\n",
                  "f:2: [poll] timeout: unknown key; it belongs to [docker]" },
                { "[policy]\nmax_age=1d\n",
                  "f:2: [policy] max_age: unknown key; it belongs to [builder] or [images]" },
                { "max_age=1d\n",
                  "f:1: max_age: a key outside a section; it belongs to [builder] or [images]" },
                { "[poll]\nzzz=1s\n", "f:2: [poll] zzz: unknown key" },
                { "[images]\nkeep_last=1\n\n[images]\nkeep_last=2\n",
                  "f:5: [images] keep_last: set twice, before in line 2" },

                /* values */
                { "[docker]\nhost=\n",
                  "f:2: [docker] host: '' is not unix:// and an absolute path" },
                { "[docker]\nhost=/run/docker.sock\n",
                  "f:2: [docker] host: '/run/docker.sock' lacks its scheme; did you mean "
                  "'unix:///run/docker.sock'?" },
                { "[docker]\nhost=unix://run/docker.sock\n",
                  "f:2: [docker] host: 'run/docker.sock' is not an absolute path" },
                { "[docker]\nhost=unix:///run/\n",
                  "f:2: [docker] host: '/run/' is a directory, not a socket" },
                { "[docker]\nhost=tcp://10.0.0.1:2375\n",
                  "f:2: [docker] host: 'tcp://10.0.0.1:2375' is not a local socket, and only those "
                  "are supported: what wpcached clears and measures is on its own host" },
                { "[docker]\nhost=ssh://x\n",
                  "f:2: [docker] host: 'ssh://x' is not a local socket, and only those are "
                  "supported: what wpcached clears and measures is on its own host" },
                { "[docker]\ntimeout=\n",
                  "f:2: [docker] timeout: '' is not a span of time as in 90s, 5min or 1h 30min" },
                { "[docker]\ntimeout=5x\n",
                  "f:2: [docker] timeout: '5x' is not a span of time as in 90s, 5min or 1h 30min" },
                { "[docker]\ntimeout=2h\n",
                  "f:2: [docker] timeout: '2h' is too long; the most is 1h" },
                { "[poll]\ninterval=999ms\n",
                  "f:2: [poll] interval: '999ms' is too short; the least is 1s" },
                { "[poll]\ninterval=25h\n",
                  "f:2: [poll] interval: '25h' is too long; the most is 1d" },
                { "[poll]\ninterval=99999999999999999999\n",
                  "f:2: [poll] interval: '99999999999999999999' is too long; the most is 1d" },
                { "[builder]\nexternal_builders=ignored\n",
                  "f:2: [builder] external_builders: 'ignored' is neither 'report' nor 'ignore'; "
                  "did you mean 'ignore'?" },
                { "[images]\ndangling=\n",
                  "f:2: [images] dangling: '' is neither 'matched' nor 'all'" },
                { "[images]\nmatch=a # mine\n",
                  "f:2: [images] match: 'a # mine' has a blank in it; commas separate the globs of "
                  "a list" },
                { "[images]\nmatch=a[b\n", "f:2: [images] match: 'a[b' has a '[' without its ']'" },
                { "[images]\nmatch=a[]\n", "f:2: [images] match: 'a[]' has a '[' without its ']'" },
                { "[images]\nmatch=a[^]\n",
                  "f:2: [images] match: 'a[^]' has a '[' without its ']'" },
                { "[images]\nmatch=b,a]\n", "f:2: [images] match: 'a]' has a ']' without its '['" },
                { "[images]\nmatch=a\\\n", "f:2: [images] match: 'a\\' ends in a backslash" },
                { "[images]\nmatch=\n",
                  "f:2: [images] match: empty, with no project set: no image would ever be "
                  "cleared" },
                { "[images]\nmatch= , ;\n",
                  "f:2: [images] match: no item between the commas; the empty list is 'match='" },
                { "[images]\nproject=Watch\n",
                  "f:2: [images] project: 'Watch' is no name of a compose project: those have a-z "
                  "0-9 _ - and start with a letter or digit" },
                { "[images]\nproject=a b\n",
                  "f:2: [images] project: 'a b' is no name of a compose project: those have a-z "
                  "0-9 _ - and start with a letter or digit" },
                { "[images]\nrollback_tag=\n", "f:2: [images] rollback_tag: may not be empty" },
                { "[images]\nrollback_tag=-x\n",
                  "f:2: [images] rollback_tag: '-x' can't begin a tag: those have A-Z a-z 0-9 _ . "
                  "- and start with none of the last two" },
                { "[images]\nrollback_tag=a:b\n",
                  "f:2: [images] rollback_tag: 'a:b' can't begin a tag: those have A-Z a-z 0-9 _ . "
                  "- and start with none of the last two" },
                { "[control]\nsocket=\n", "f:2: [control] socket: '' is not an absolute path" },
                { "[control]\nsocket=run/x\n",
                  "f:2: [control] socket: 'run/x' is not an absolute path" },
                { "[control]\noperators=a b\n",
                  "f:2: [control] operators: 'a b' is neither the name of a group nor user:NAME" },
                { "[control]\noperators=user:\n",
                  "f:2: [control] operators: 'user:' is neither the name of a group nor "
                  "user:NAME" },
                { "[control]\noperators=group:x\n",
                  "f:2: [control] operators: 'group:x' is neither the name of a group nor "
                  "user:NAME" },
                { "[control]\nreaders=user:0\n",
                  "f:2: [control] readers: 'user:0' is neither the name of a group nor "
                  "user:NAME" },

                /* all of them, in order */
                { "a=b\n[images]\nmatch=[\nmach=x\n\n oops\n[dokcer]\nhost=y\n[docker]\nhost=y\n",
                  "f:1: a: a key outside a section\n"
                  "f:3: [images] match: '[' has a '[' without its ']'\n"
                  "f:4: [images] mach: unknown key; did you mean 'match'?\n"
                  "f:6: a blank before the text: keys and sections start in the first column, and "
                  "values do not continue\n"
                  "f:7: [dokcer]: unknown section; did you mean [docker]?\n"
                  "f:10: [docker] host: 'y' is not unix:// and an absolute path" },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                char errors[4096];

                write_file("f", table[i].text);
                assert_null(load(-EINVAL, errors, sizeof errors));
                assert_string_equal(errors, table[i].errors);
        }
}

/* A value of a key, and what is wrong with it; NULL: nothing. */
static void test_values(void **state) {
        static const struct {
                const char *section, *name, *value, *error;
        } table[] = {
                { "builder", "max_size", "10GB", NULL },
                { "builder", "max_size", "10GB,20%", NULL },
                { "builder", "max_size", "20%, 10 GB", NULL },
                { "builder", "max_size", "1%", NULL },
                { "builder", "max_size", "100%", NULL },
                { "builder", "max_size", "5MB", NULL },
                { "builder", "max_size", "9223372036854775807B", NULL },
                { "builder", "max_size", "off", NULL },
                { "builder", "max_size", ",10GB,", NULL },
                { "builder", "max_size", "",
                  "'' is neither 'off' nor an amount as in 10GB or a share as in 20%" },
                { "builder", "max_size", "ten",
                  "'ten' is neither 'off' nor an amount as in 10GB or a share as in 20%" },
                { "builder", "max_size", "10",
                  "'10' is neither 'off' nor an amount as in 10GB or a share as in 20%" },
                { "builder", "max_size", "0",
                  "'0' is neither 'off' nor an amount as in 10GB or a share as in 20%" },
                { "builder", "max_size", "OFF",
                  "'OFF' is neither 'off' nor an amount as in 10GB or a share as in 20%" },
                { "builder", "max_size", "20%%",
                  "'20%%' is neither 'off' nor a share in whole percents as in 20%" },
                { "builder", "max_size", "10GB 20%",
                  "'10GB 20%' is neither 'off' nor a share in whole percents as in 20%" },
                { "builder", "max_size", "off, 20%", "'off' stands alone" },
                { "builder", "max_size", "12.5%",
                  "'12.5%' is neither 'off' nor a share in whole percents as in 20%" },
                { "builder", "max_size", "-1%",
                  "'-1%' is neither 'off' nor a share in whole percents as in 20%" },
                { "builder", "max_size", "101%", "'101%' is too much; the most is 100%" },
                { "builder", "max_size", "99999999999999999999%",
                  "'99999999999999999999%' is too much; the most is 100%" },
                { "builder", "max_size", "10000PB", "'10000PB' is too much; the most is 9.223EB" },
                { "builder", "max_size", "0GB",
                  "'0GB' is too little; the least is 1B, and 'off' is no limit" },
                { "builder", "max_size", "10GB, 0%",
                  "'0%' is too little; the least is 1%, and 'off' is no limit" },
                { "builder", "max_size", "10GB, 5GB",
                  "'10GB, 5GB' has two amounts; one amount and one share are possible, and the smaller counts" },
                { "builder", "max_size", "1%,2%",
                  "'1%,2%' has two shares; one amount and one share are possible, and the smaller counts" },
                { "builder", "target_size", "1%", NULL },
                { "builder", "target_size", "100%", NULL },
                { "builder", "target_size", "8GB", NULL },
                { "builder", "target_size", "off",
                  "'off' is not an amount as in 10GB or a share as in 20%" },
                { "builder", "target_size", "0%", "'0%' is too little; the least is 1%" },
                { "builder", "target_size", "8GB, 10%",
                  "'8GB, 10%' is more than one; an amount or a share" },
                { "builder", "max_age", "off", NULL },
                { "builder", "max_age", "1h", NULL },
                { "builder", "max_age", "60min", NULL },
                { "builder", "max_age", "36h", NULL },
                { "builder", "max_age", "3650d", NULL },
                { "builder", "max_age", "never",
                  "'never' is neither 'off' nor a span of time as in 90s, 5min or 1h 30min" },
                { "builder", "max_age", "",
                  "'' is neither 'off' nor a span of time as in 90s, 5min or 1h 30min" },
                { "builder", "max_age", "59min", "'59min' is too short; the least is 1h" },
                { "builder", "max_age", "90min",
                  "'90min' is no multiple of 1h; did you mean '2h'?" },
                { "builder", "max_age", "1d 1h 1us",
                  "'1d 1h 1us' is no multiple of 1h; did you mean '1d 2h'?" },
                { "builder", "max_age", "3651d", "'3651d' is too long; the most is 3650d" },
                { "poll", "events", "yes", NULL },
                { "poll", "events", "no", NULL },
                { "poll", "events", "true", "'true' is neither 'no' nor 'yes'" },
                { "policy", "mode", "enforce", NULL },
                { "policy", "mode", "observe", NULL },
                { "policy", "mode", "observed",
                  "'observed' is neither 'enforce' nor 'observe'; did you mean 'observe'?" },
                { "policy", "grace", "0", NULL },
                { "policy", "grace", "3650d", NULL },
                { "policy", "grace", "off",
                  "'off' is not a span of time as in 90s, 5min or 1h 30min" },
                { "policy", "grace", "3651d", "'3651d' is too long; the most is 3650d" },
                { "policy", "quiet", "0s", NULL },
                { "policy", "quiet", "1d", NULL },
                { "policy", "quiet", "25h", "'25h' is too long; the most is 1d" },
                { "images", "max_age", "off", NULL },
                { "images", "max_age", "1h", NULL },
                { "images", "max_age", "3650d", NULL },
                { "images", "max_age", "59s", "'59s' is too short; the least is 1min" },
                { "images", "max_age", "30days old",
                  "'30days old' is neither 'off' nor a span of time as in 90s, 5min or 1h 30min" },
                { "images", "min_age", "0", NULL },
                { "images", "min_age", "30d", NULL },
                { "images", "min_age", "off",
                  "'off' is not a span of time as in 90s, 5min or 1h 30min" },
                { "images", "keep_last", "0", NULL },
                { "images", "keep_last", "1", NULL },
                { "images", "keep_last", "1000", NULL },
                { "images", "keep_last", "007", NULL },
                { "images", "keep_last", "", "'' is not a number from 0 to 1000" },
                { "images", "keep_last", "-1", "'-1' is not a number from 0 to 1000" },
                { "images", "keep_last", "1001", "'1001' is not a number from 0 to 1000" },
                { "images", "keep_last", "2.0", "'2.0' is not a number from 0 to 1000" },
                { "images", "keep_last", "two", "'two' is not a number from 0 to 1000" },
                { "images", "keep_last", "2 releases",
                  "'2 releases' is not a number from 0 to 1000" },
                { "images", "keep_last", "99999999999999999999",
                  "'99999999999999999999' is not a number from 0 to 1000" },
                { "images", "dangling_max_age", "off", NULL },
                { "images", "dangling_max_age", "1min", NULL },
                { "images", "dangling_max_age", "0", "'0' is too short; the least is 1min" },
                { "disk", "min_free", "1%", NULL },
                { "disk", "min_free", "20%", NULL },
                { "disk", "min_free", "1GB", NULL },
                { "disk", "min_free", "off", NULL },
                { "disk", "min_free", "10%, 1GB",
                  "'10%, 1GB' is more than one; an amount or a share" },
                { "disk", "min_free", "100%", "'100%' is too much; the most is 99%" },
                { "disk", "target_free", "99%", NULL },
                { "disk", "target_free", "15%", NULL },
                { "disk", "target_free", "1GB", NULL },
                { "disk", "target_free", "off", NULL },
                { "disk", "target_free", "",
                  "'' is neither 'off' nor an amount as in 10GB or a share as in 20%" },
                { "poll", "share", "100%", NULL },
                { "poll", "share", "0%", "'0%' is too little; the least is 1%" },
                { "poll", "share", "off", "'off' is not a share in whole percents as in 20%" },
                { "poll", "share", "101%", "'101%' is too much; the most is 100%" },
                { "disk", "min_free_inodes", "1%", NULL },
                { "disk", "min_free_inodes", "99 %", NULL },
                { "disk", "min_free_inodes", "off", NULL },
                { "disk", "min_free_inodes", "",
                  "'' is neither 'off' nor a share in whole percents as in 20%" },
                { "disk", "min_free_inodes", "5",
                  "'5' is neither 'off' nor a share in whole percents as in 20%" },
                { "disk", "min_free_inodes", "5GB",
                  "'5GB' is neither 'off' nor a share in whole percents as in 20%" },
                { "disk", "min_free_inodes", "1.5%",
                  "'1.5%' is neither 'off' nor a share in whole percents as in 20%" },
                { "disk", "min_free_inodes", "5% ,",
                  "'5% ,' is neither 'off' nor a share in whole percents as in 20%" },
                { "disk", "min_free_inodes", "0%",
                  "'0%' is too little; the least is 1%, and 'off' is no limit" },
                { "disk", "min_free_inodes", "100%", "'100%' is too much; the most is 99%" },
                { "disk", "paths", "auto", NULL },
                { "disk", "paths", "/", NULL },
                { "disk", "paths", "/var/lib/docker, /mnt", NULL },
                { "disk", "paths", "", "may not be empty; did you mean 'auto'?" },
                { "disk", "paths", ",", "may not be empty; did you mean 'auto'?" },
                { "disk", "paths", "auto, /mnt", "'auto' is not an absolute path" },
                { "disk", "paths", "/mnt, var", "'var' is not an absolute path" },
                { "history", "retention", "1d", NULL },
                { "history", "retention", "3650d", NULL },
                { "history", "retention", "23h", "'23h' is too short; the least is 1d" },
                { "history", "retention", "11w 3650d",
                  "'11w 3650d' is too long; the most is 3650d" },
                { "history", "retention", "off",
                  "'off' is not a span of time as in 90s, 5min or 1h 30min" },
                { "metrics", "textfile", "", NULL },
                { "metrics", "textfile", "/x/wpcache.prom", NULL },
                { "metrics", "textfile", "wpcache.prom", "'wpcache.prom' is not an absolute path" },
                { "metrics", "textfile", "/x/",
                  "'/x/' is a directory; did you mean '/x/wpcache.prom'?" },
                { "metrics", "textfile", "/x",
                  "'/x' does not end in '.prom', and node_exporter reads only what does; did you mean '/x.prom'?" },
                { "metrics", "textfile", "/x/a.prom.bak",
                  "'/x/a.prom.bak' does not end in '.prom', and node_exporter reads only what does; did you mean '/x/a.prom.bak.prom'?" },
                { "alarm", "command", "", NULL },
                { "alarm", "command", "logger \"$WPCACHE_ALARM_MESSAGE\"", NULL },
                { "alarm", "command", "a;b", NULL },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const char *section = table[i].section, *name = table[i].name;
                cleanup(config_free) Config *config = NULL;
                char text[256], expected[512], errors[1024];

                snprintf(text, sizeof text, "[%s]\n%s=%s\n", section, name, table[i].value);
                snprintf(expected, sizeof expected, "f:2: [%s] %s: %s", section, name,
                         table[i].error ? table[i].error : "");
                write_file("f", text);
                config = load(table[i].error ? -EINVAL : 0, errors, sizeof errors);
                assert_string_equal(errors, table[i].error ? expected : "");
        }
}

/* A mistake leaves what was there, of whatever kind. */
static void test_mistake_changes_nothing(void **state) {
        cleanup(config_free) Config *config = load_text(APP "trash=/t\ncontext=/c\n");
        cleanup(config_free) Config *copy = NULL;

        (void)state;
        assert_int_equal(config_copy(config, &copy), 0);
        for (size_t i = 0; i < n_config_keys; i++) {
                const Key *key = &config_keys[i];

                if (strcmp(key->name, "command") == 0) /* any text will do */
                        continue;
                assert_int_equal(key_parse(key,
                                           strcmp(key->name, "dockerfile") == 0 ? "../x" : "- -",
                                           base_of(config, key), NULL),
                                 -EINVAL);
        }
        assert_same(config, copy);
}

/* What two keys get wrong is told of the one that was set last. */
static void test_order(void **state) {
        static const struct {
                const char *text, *drop_in, *errors;
        } table[] = {
                { "[builder]\nmax_size=10GB\ntarget_size=10GB\n", "", NULL },
                { "[builder]\nmax_size=20%\ntarget_size=12GB\n", "", NULL },
                { "[builder]\nmax_size=off\ntarget_size=12GB\n", "", NULL },
                { "[builder]\nmax_size=1%\ntarget_size=100%\n", "", NULL },
                { "[builder]\nmax_size=5GB\ntarget_size=8GB\n", "[builder]\nmax_size=8GB\n", NULL },
                { "[builder]\ntarget_size=12GB\n", "",
                  "f:2: [builder] target_size: 12GB is more than max_size, which is 10GB by "
                  "default" },
                { "[builder]\nmax_size=5GB, 50%\ntarget_size=8GB\n", "",
                  "f:3: [builder] target_size: 8GB is more than max_size, which is 5GB" },
                { "[builder]\ntarget_size=8GB\n\nmax_size=5GB\n", "",
                  "f:4: [builder] max_size: 5GB is less than target_size, which is 8GB" },
                { "\n\n[builder]\ntarget_size=8GB\n", "[builder]\nmax_size=5GB\n",
                  "f.d/x.conf:2: [builder] max_size: 5GB is less than target_size, which is 8GB" },
                { "[images]\nmin_age=30d\n", "", NULL },
                { "[images]\nmin_age=60d\nmax_age=off\n", "", NULL },
                { "[images]\nmin_age=60d\n", "",
                  "f:2: [images] min_age: 60d is more than max_age, which is 30d by default" },
                { "[images]\nmax_age=59min\n", "",
                  "f:2: [images] max_age: 59min is less than min_age, which is 1h by default" },
                { "[disk]\nmin_free=20%\n", "", NULL },
                { "[disk]\nmin_free=50%\ntarget_free=1GB\n", "", NULL },
                { "[disk]\nmin_free=50GB\n", "", NULL },
                { "[disk]\nmin_free=off\ntarget_free=1%\n", "", NULL },
                { "[disk]\nmin_free=50%\ntarget_free=off\n", "", NULL },
                { "[disk]\nmin_free=25%\n", "",
                  "f:2: [disk] min_free: 25% is more than target_free, which is 20% by default" },
                { "[disk]\nmin_free=2GB\ntarget_free=1GB\n", "",
                  "f:3: [disk] target_free: 1GB is less than min_free, which is 2GB" },
                /* of a value that is a mistake itself, nothing more is said */
                { "[builder]\nmax_size=20\ntarget_size=12GB\n", "",
                  "f:2: [builder] max_size: '20' is neither 'off' nor an amount as in 10GB or a "
                  "share as in 20%" },
                /* all of them */
                { "[disk]\nmin_free=25%\n[images]\nmin_age=60d\nkeep_last=x\n", "",
                  "f:5: [images] keep_last: 'x' is not a number from 0 to 1000\n"
                  "f:4: [images] min_age: 60d is more than max_age, which is 30d by default\n"
                  "f:2: [disk] min_free: 25% is more than target_free, which is 20% by default" },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup(config_free) Config *config = NULL;
                char errors[1024];

                write_file("f", table[i].text);
                write_file("f.d/x.conf", table[i].drop_in);
                config = load(table[i].errors ? -EINVAL : 0, errors, sizeof errors);
                assert_string_equal(errors, table[i].errors ? table[i].errors : "");
        }
        assert_int_equal(unlink("f.d/x.conf"), 0);
}

static void test_target_free_off(void **state) {
        cleanup(config_free) Config *config = load_text("[disk]\nmin_free=50%\ntarget_free=off\n");
        cleanup(config_free) Config *neither = load_text("[disk]\nmin_free=off\ntarget_free=off\n");

        (void)state;
        assert_size(&config->target_free, 0, 50);
        assert_size(&neither->target_free, 0, 0);
}

static void test_size_of(void **state) {
        static const struct {
                Size size;
                uint64_t whole_bytes, bytes;
        } table[] = {
                { { 0, 0 }, 0, UINT64_MAX },
                { { 0, 0 }, 1000, UINT64_MAX },
                { { 10, 0 }, 0, 10 },
                { { 10, 0 }, 1000, 10 },
                { { 0, 20 }, 1000, 200 },
                { { 0, 20 }, 0, 0 },
                { { 0, 33 }, 199, 65 },
                { { 0, 1 }, 99, 0 },
                { { 0, 100 }, UINT64_MAX, UINT64_MAX },
                { { 0, 50 }, UINT64_MAX, UINT64_MAX / 2 },
                { { 10, 20 }, 1000, 10 },
                { { 500, 20 }, 1000, 200 },
                { { 200, 20 }, 1000, 200 },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_true(size_of(&table[i].size, table[i].whole_bytes) == table[i].bytes);
}

static void test_nul(void **state) {
        static const char text[] = "# a\0b\n[docker]\nho\0st=x\n";
        char errors[256];

        (void)state;
        write_file_n("f", text, sizeof text - 1);
        assert_null(load(-EINVAL, errors, sizeof errors));
        assert_string_equal(errors, "f:1: a NUL byte\nf:3: a NUL byte");
}

/* A value of any length up to the limit arrives whole; one past it is refused. */
static void test_long_lines(void **state) {
        static const char key[] = "match=";
        char text[600], errors[256];

        (void)state;
        for (size_t n = 1; n <= CONFIG_LINE_MAX + 50; n++) {
                cleanup(config_free) Config *config = NULL;
                bool fits = n + strlen(key) <= CONFIG_LINE_MAX;

                strcpy(text, "[images]\nmatch=");
                memset(text + strlen(text), 'x', n);
                strcpy(text + strlen("[images]\nmatch=") + n, "\nprotect=y\nbase=[\n");
                write_file("f", text);
                assert_null(load(-EINVAL, errors, sizeof errors));
                if (fits)
                        assert_string_equal(errors, "f:4: [images] base: '[' has a '[' without its "
                                                    "']'");
                else {
                        char expected[256];

                        snprintf(
                                expected, sizeof expected,
                                "f:2: the line has %zu characters; %d are possible: repeat match= in "
                                "further lines, each adds to the list\n"
                                "f:4: [images] base: '[' has a '[' without its ']'",
                                n + strlen(key), CONFIG_LINE_MAX);
                        assert_string_equal(errors, expected);
                        continue;
                }
                text[strlen(text) - strlen("base=[\n")] = '\0';
                config = load_text(text);
                assert_int_equal(strlen(config->match.v[0]), n);
                assert_string_equal(config->protect.v[0], "y");
        }
}

/* A glob that no name of an image can match is a mistake, and what to write is told. */
static void test_globs_that_match_nothing(void **state) {
        static const struct {
                const char *glob, *error; /* NULL: taken */
        } table[] = {
                { "watchparty-keep*", NULL },
                { "*", NULL },
                { "?", NULL },
                { "*:*", NULL },
                { "*-*", NULL },
                { "a--b__c.d_e", NULL },
                { "watchparty-**", NULL },
                { "watchparty.*", NULL },
                { "registry.example:5000/team/*", NULL },
                { "Registry.Example/team/a", NULL },
                { "REGISTRY/a", NULL },
                { "127.0.0.1:5000/a:V1.0-RC_2", NULL },
                { "\\[::1\\]:5000/a", NULL },
                { "localhost/library/a", NULL },
                { "*.example:*/a/?[a-c]*:[0-9]*", NULL },
                { "[!A-Z]*", NULL },
                { "[A-Za]pp", NULL },
                { "[[:upper:]]/a", NULL },
                { "a:[[:upper:]]", NULL },
                { "a:_x", NULL },
                { "\\w\\a", NULL },
                { "[a/]:[/x]", NULL },

                { "\"watchparty-keep*\"",
                  "'\"watchparty-keep*\"' matches no image: no repository starts with '\"'; quotes "
                  "are not removed: write protect=watchparty-keep*" },
                { "'a', 'b-*'", "''a'' matches no image: no repository starts with '''; quotes are "
                                "not removed: write protect=a, b-*" },
                { "“a-*”",
                  "'“a-*”' matches no image: no repository starts with '“'; quotes are not "
                  "removed: write protect=a-*" },
                { "a,b`", "'b`' matches no image: no repository has '`' after 'b'; quotes are not "
                          "removed: write protect=a,b" },
                { "\"A\"", "'\"A\"' matches no image: no repository starts with '\"'" },
                { "a-*;b-*",
                  "'a-*;b-*' matches no image: no repository has ';' after 'a-*'; commas "
                  "separate the globs of a list, and a blank and ';' start a comment" },
                { "x-{a,b}",
                  "'x-{a' matches no image: no repository has '{' after 'x-'; braces are "
                  "not expanded: write each glob in full, with commas between" },
                { "^x$",
                  "'^x$' matches no image: no repository starts with '^'; patterns are globs, as in 'name-*', not regular expressions" },
                { "x$",
                  "'x$' matches no image: no repository has '$' after 'x'; patterns are globs, as in 'name-*', not regular expressions" },
                { "watchparty-.*", "'watchparty-.*' matches no image: no repository has '.' after "
                                   "'watchparty-'" },
                { "Watchparty-*", "'Watchparty-*' matches no image: no repository starts with 'W'; "
                                  "repository names are lowercase" },
                { "registry.example/Team/*",
                  "'registry.example/Team/*' matches no image: no repository has 'T' after "
                  "'registry.example/'; repository names are lowercase" },
                { "[A-Z]*", "'[A-Z]*' matches no image: no repository starts with '[A-Z]'" },
                { "a[.]", "'a[.]' matches no image: no repository ends so; did you mean 'a[.]*'?" },
                { "watchparty-",
                  "'watchparty-' matches no image: no repository ends so; did you mean "
                  "'watchparty-*'?" },
                { "team/",
                  "'team/' matches no image: no repository ends so; did you mean 'team/*'?" },
                { "a:", "'a:' matches no image: no tag ends so; did you mean 'a:*'?" },
                { "a-:1", "'a-:1' matches no image: no repository is 'a-'" },
                { ":latest",
                  "':latest' has no repository before its tag; did you mean '*:latest'?" },
                { "a:.x", "'a:.x' matches no image: no tag starts with '.'" },
                { "a:b:c", "'a:b:c' matches no image: no repository has ':' after 'a'" },
                { "a:x+y",
                  "'a:x+y' matches no image: no tag has '+' after 'x'; patterns are globs, as in 'name-*', not regular expressions" },
                { "a..b", "'a..b' matches no image: no repository has '.' after 'a.'" },
                { "a___b", "'a___b' matches no image: no repository has '_' after 'a__'" },
                { "a//b",
                  "'a//b' matches no image: no repository has '/' after 'a/'; a '/' only stands between parts that are not empty" },
                { "/a",
                  "'/a' matches no image: no repository starts with '/'; a '/' only stands between parts that are not empty" },
                { "a\\/b", "'a\\/b' matches no image: no repository has '\\/' after 'a'" },
                { "reg:x/a", "'reg:x/a' matches no image: no repository has 'x' after 'reg:'" },
                { "https://reg/a", "'https://reg/a' is a URL; a glob is on the name of an image" },
                { "python:3@sha256:01", "'python:3@sha256:01' has a digest; a glob is on the "
                                        "repository and the tag: write 'python:3'" },
                { "<none>", "'<none>' matches no image: no repository starts with '<'" },
                { "sha256:0123456789ab",
                  "'sha256:0123456789ab' is the id of an image; a glob is on its name" },
                { "docker.io/library/python:3", "the engine lists images without "
                                                "'docker.io/library/': write 'python:3'" },
                { "docker.io/team/*",
                  "the engine lists images without 'docker.io/': write 'team/*'" },
                { "library/python", "the engine lists images without 'library/': write 'python'" },
                { "a:café", "'a:café' matches no image: no tag has 'é' after 'caf'" },
                { ",", "no item between the commas; the empty list is 'protect='" },
                { "a b", "'a b' has a blank in it; commas separate the globs of a list" },
        };
        static const char *const keys[] = { "match", "protect", "base" };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup(config_free) Config *config = NULL;
                char text[256], expected[512] = "", errors[1024];

                snprintf(text, sizeof text, "[images]\nprotect=%s\n", table[i].glob);
                if (table[i].error)
                        snprintf(expected, sizeof expected, "f:2: [images] protect: %s",
                                 table[i].error);
                write_file("f", text);
                config = load(table[i].error ? -EINVAL : 0, errors, sizeof errors);
                assert_string_equal(errors, expected);
        }
        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                char text[64], errors[1024];

                snprintf(text, sizeof text, "[images]\n%s=a, \"b\"\n", keys[i]);
                write_file("f", text);
                assert_null(load(-EINVAL, errors, sizeof errors));
                assert_non_null(strstr(errors, "quotes are not removed: write "));
        }
}

/* A tag has at most 128 characters. */
static void test_globs_too_long(void **state) {
        char text[512], tag[160], errors[1024];

        (void)state;
        memset(tag, 'x', sizeof tag);
        for (int n = 120; n < 136; n++) {
                cleanup(config_free) Config *config = NULL;

                snprintf(text, sizeof text, "[images]\nprotect=a:%.*s*\n", n, tag);
                write_file("f", text);
                config = load(n <= 128 ? 0 : -EINVAL, errors, sizeof errors);
        }
}

/* Quotes are part of a value, and wherever they alone are wrong it is told. */
static void test_quotes(void **state) {
        static const struct {
                const char *section, *key, *value, *write;
        } table[] = {
                { "docker", "timeout", "\"5s\"", "timeout=5s" },
                { "docker", "host", "\"unix:///x\"", "host=unix:///x" },
                { "builder", "max_size", "'10GB', '20%'", "max_size=10GB, 20%" },
                { "images", "project", "\"watchparty\"", "project=watchparty" },
                { "images", "rollback_tag", "'x'", "rollback_tag=x" },
                { "images", "match", "\"\"", "match=" },
                { "disk", "paths", "\"/a\"", "paths=/a" },
                { "disk", "paths", "\"auto\"", "paths=auto" },
                { "control", "operators", "\"wpcache\"", "operators=wpcache" },
                { "control", "readers", "'user:ann'", "readers=user:ann" },
                { "metrics", "textfile", "\"/x/a.prom\"", "textfile=/x/a.prom" },
                { "policy", "mode", "“observe”", "mode=observe" },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                char text[128], expected[128], errors[1024];

                snprintf(text, sizeof text, "[%s]\n%s=%s\n", table[i].section, table[i].key,
                         table[i].value);
                snprintf(expected, sizeof expected, "; quotes are not removed: write %s",
                         table[i].write);
                write_file("f", text);
                assert_null(load(-EINVAL, errors, sizeof errors));
                if (!strstr(errors, expected))
                        fail_msg("%s", errors);
        }
}

/* The text of the table for a key: K is its name, S its section, A to D are items. */
static void fill(char *to, const Key *key, const char *text) {
        bool app = key->owner == KEY_OF_APP;

        for (*to = '\0'; *text; text++, to += strlen(to)) {
                if (*text == 'K')
                        strcpy(to, key->name);
                else if (*text == 'S')
                        strcpy(to, app ? "app a" : key->section);
                else if (*text >= 'A' && *text <= 'D')
                        sprintf(to, "%s%c", key->check == check_path ? "/" : "",
                                *text + ('a' - 'A'));
                else
                        sprintf(to, "%c", *text);
        }
}

/* Every list key may be given more than once: the first in a file replaces the default and what files
 * before it said, those after it add, and an empty value resets. */
static void test_lists_of_several_lines(void **state) {
        static const struct {
                const char *text, *drop_in, *list; /* with a blank between items */
        } table[] = {
                { "K=A\n", "", "A" },
                { "K=A\nK=B, C\nK=D\n", "", "A B C D" },
                { "K=A\n[docker]\n[S]\nK=B\n", "", "A B" },
                { "K=A\nK=B\n", "[S]\nK=C\nK=D\n", "C D" },
                { "K=A\nK=B\n", "[docker]\ntimeout=1s\n", "A B" },
                { "K=A\nK=\nK=B\nK=C\n", "", "B C" },
                { "K=\nK=A\n", "", "A" },
                { "K=A\n", "[S]\nK=\nK=B\n", "B" },
                { "K=A\nK=,B,\n", "", "A B" },
        };
        size_t n_lists = 0;

        (void)state;
        for (size_t k = 0; k < n_config_keys; k++)
                for (size_t i = 0; i < ELEMENTSOF(table) && config_keys[k].kind == KEY_LIST; i++) {
                        const Key *key = &config_keys[k];
                        cleanup(config_free) Config *config = NULL;
                        cleanup_free char *list = NULL;
                        char text[512], errors[1024];

                        n_lists += i == 0;
                        fill(text, key, "[S]\n");
                        if (key->owner == KEY_OF_APP)
                                strcat(text, "root=/nowhere/a\n");
                        fill(text + strlen(text), key, table[i].text);
                        write_file("f", text);
                        fill(text, key, table[i].drop_in);
                        write_file("f.d/x.conf", text);
                        fill(text, key, table[i].list);
                        config = load(0, errors, sizeof errors);
                        list = strv_join(
                                (const Strv *)((const char *)base_of(config, key) + key->offset),
                                " ");
                        assert_string_equal(list, text);
                }
        assert_int_equal(n_lists, 7);
        assert_int_equal(unlink("f.d/x.conf"), 0);
}

/* A list may end empty, but for those that have a word for it and those that are required. */
static void test_lists_emptied(void **state) {
        cleanup(config_free) Config *config =
                load_text("[images]\nprotect=a\nprotect=\nmatch=a\n[disk]\npaths=/a\npaths=auto\n"
                          "[control]\nreaders=a\nreaders=\n");
        char errors[1024];

        (void)state;
        assert_int_equal(config->protect.n, 0);
        assert_int_equal(config->disk_paths.n, 0);
        assert_int_equal(config->readers.n, 0);
        write_file("f", "[disk]\npaths=/a\npaths=\n" APP "caches=\n");
        assert_null(load(-EINVAL, errors, sizeof errors));
        assert_string_equal(errors, "f:3: [disk] paths: may not be empty; did you mean 'auto'?\n"
                                    "f:7: [app a] caches: may not be empty");
        /* of an item that is wrong, and nothing else of that list */
        write_file("f", "[disk]\npaths=x\npaths=/a\npaths=\n");
        assert_null(load(-EINVAL, errors, sizeof errors));
        assert_string_equal(errors, "f:2: [disk] paths: 'x' is not an absolute path");
}

/* Five names with a registry's host and port do not fit a line. */
static void test_five_registry_names(void **state) {
        static const char host[] = "registry.eu-central-1.example.com:5000/watch-party/production";
        cleanup(config_free) Config *config = NULL;
        char text[1024] = "[images]\nprotect=", errors[1024], name[128];

        (void)state;
        for (int i = 0; i < 5; i++)
                sprintf(text + strlen(text), "%s%s/service-%d", i > 0 ? ", " : "", host, i);
        write_file("f", text);
        assert_null(load(-EINVAL, errors, sizeof errors));
        assert_string_equal(
                errors, "f:2: the line has 371 characters; 198 are possible: repeat protect= in "
                        "further lines, each adds to the list");
        strcpy(text, "[images]\n");
        for (int i = 0; i < 5; i++)
                sprintf(text + strlen(text), "protect=%s/service-%d\n", host, i);
        config = load_text(text);
        assert_int_equal(config->protect.n, 5);
        sprintf(name, "%s/service-4", host);
        assert_string_equal(config->protect.v[4], name);
        /* keys that are no lists can't be repeated */
        snprintf(text, sizeof text, "[metrics]\ntextfile=/%0199d\n", 0);
        write_file("f", text);
        assert_null(load(-EINVAL, errors, sizeof errors));
        assert_string_equal(errors, "f:2: the line has 209 characters; 198 are possible");
}

static void test_limits(void **state) {
        cleanup(config_free) Config *config = NULL;
        char text[300], name[128], errors[512];

        (void)state;
        memset(name, 'x', sizeof name);
        snprintf(text, sizeof text,
                 "[docker]\nhost=unix:///%.106s\n[images]\nrollback_tag=%.100s\n", name, name);
        config = load_text(text);
        assert_int_equal(strlen(config->docker_socket), 107);
        snprintf(text, sizeof text, "[control]\nsocket=/%.107s\n[images]\nrollback_tag=%.101s\n",
                 name, name);
        write_file("f", text);
        assert_null(load(-EINVAL, errors, sizeof errors));
        assert_string_equal(errors, "f:2: [control] socket: the path has 108 characters; a "
                                    "socket's may have 107\n"
                                    "f:4: [images] rollback_tag: has 101 characters; 100 are "
                                    "possible");
}

static void test_files(void **state) {
        char errors[1024];
        char *big;

        (void)state;
        unlink("f");
        assert_null(load(-ENOENT, errors, sizeof errors));
        assert_string_equal(errors, "f: can't be read: No such file or directory");
        assert_int_equal(mkdir("f", 0700), 0);
        assert_null(load(-EISDIR, errors, sizeof errors));
        assert_string_equal(errors, "f: can't be read: Is a directory");
        assert_int_equal(rmdir("f"), 0);
        assert_int_equal(mkfifo("f", 0600), 0);
        assert_null(load(-EINVAL, errors, sizeof errors));
        assert_string_equal(errors, "f: not a regular file");
        assert_int_equal(unlink("f"), 0);

        big = malloc(CONFIG_FILE_MAX + 1);
        assert_non_null(big);
        memset(big, '\n', CONFIG_FILE_MAX + 1);
        write_file_n("f", big, CONFIG_FILE_MAX + 1);
        assert_null(load(-EFBIG, errors, sizeof errors));
        assert_string_equal(errors, "f: larger than 65536 bytes");
        free(big);
}

static void test_drop_ins(void **state) {
        cleanup(config_free) Config *config = NULL, *second = NULL;
        char errors[1024];

        (void)state;
        write_file("f.d/20-b.conf", "[docker]\ntimeout=20s\n");
        write_file("f.d/10-a.conf", "[docker]\ntimeout=10s\nprune_timeout=10s\n[images]\nmatch=\n"
                                    "project=p\n");
        write_file("f.d/30-c.conf.bak", "nonsense");
        write_file("f.d/.hidden.conf", "nonsense");
        write_file("f.d/.conf", "nonsense");
        config = load_text("[docker]\ntimeout=1s\nprune_timeout=1s\n[poll]\ninterval=1s\n");
        assert_int_equal(config->timeout_usec, 20 * USEC_PER_SEC);
        assert_int_equal(config->prune_timeout_usec, 10 * USEC_PER_SEC);
        assert_int_equal(config->poll_interval_usec, USEC_PER_SEC);
        assert_int_equal(config->match.n, 0);
        assert_string_equal(config->project, "p");
        assert_string_equal(config->file, "f");

        /* each file starts outside a section; mistakes of all are told, in order */
        write_file("f", "[docker]\nx=y\n");
        write_file("f.d/10-a.conf", "[docker]\n");
        write_file("f.d/20-b.conf", "timeout=1s\n[images]\nmatch=\n");
        assert_int_equal(mkdir("f.d/25.conf", 0700), 0);
        assert_int_equal(symlink("nowhere", "f.d/27.conf"), 0);
        assert_null(load(-EISDIR, errors, sizeof errors));
        assert_string_equal(errors,
                            "f:2: [docker] x: unknown key\n"
                            "f.d/20-b.conf:1: timeout: a key outside a section; it belongs to "
                            "[docker]\n"
                            "f.d/25.conf: can't be read: Is a directory\n"
                            "f.d/27.conf: can't be read: No such file or directory\n"
                            "f.d/20-b.conf:3: [images] match: empty, with no project set: no image "
                            "would ever be cleared");

        assert_int_equal(system("rm -r f.d"), 0);
        second = load_text("");
        assert_non_null(second);
        write_file("f.d", "");
        assert_null(load(-ENOTDIR, errors, sizeof errors));
        assert_string_equal(errors, "f.d: can't be read: Not a directory");
        assert_int_equal(unlink("f.d"), 0);
        assert_int_equal(mkdir("f.d", 0700), 0);
}

static void test_copy(void **state) {
        cleanup(config_free) Config *config = NULL, *copy = NULL, *defaults = NULL, *bare = NULL;
        ConfigErrors errors;

        (void)state;
        config = load_text("[docker]\ntimeout=5s\n[images]\nmatch=a,b\nproject=p\ndangling=all\n"
                           "keep_last=3\nmax_age=off\n[builder]\nmax_size=7GB, 7%\n"
                           "[disk]\nmin_free_inodes=off\npaths=/a\n[alarm]\ncommand=x\n" APP
                           "[app b]\nroot=/nowhere/b\ncaches=y, z\ntrash=/t\ncontext=/c\n"
                           "dockerfile=d\n");
        assert_int_equal(config_copy(config, &copy), 0);
        assert_same(config, copy);
        assert_string_equal(copy->file, "f");
        assert_ptr_not_equal(copy->project, config->project);
        assert_int_equal(copy->apps.n, 2);
        assert_ptr_not_equal(copy->apps.v[1].root, config->apps.v[1].root);
        config_free(TAKE_PTR(config));
        assert_string_equal(copy->match.v[1], "b");
        assert_size(&copy->builder_max, UINT64_C(7000000000), 7);
        assert_string_equal(copy->alarm_command, "x");
        assert_string_equal(copy->apps.v[0].name, "a");
        assert_null(copy->apps.v[0].trash);
        assert_string_equal(copy->apps.v[1].caches.v[1], "z");
        assert_string_equal(copy->apps.v[1].trash, "/t");

        assert_int_equal(config_load(NULL, &defaults, &errors), 0);
        assert_int_equal(config_copy(defaults, &bare), 0);
        assert_same(defaults, bare);
        assert_null(bare->file);
        assert_null(config_free(NULL));
}

/* Every part of every value counts. */
static void test_equal(void **state) {
        static const struct {
                const char *section, *name, *a, *b;
        } table[] = {
                { "poll", "events", "yes", "no" },
                { "policy", "grace", "0", "1us" },
                { "builder", "max_size", "10GB, 20%", "10GB, 21%" },
                { "builder", "max_size", "10GB, 20%", "11GB, 20%" },
                { "builder", "max_size", "10GB, 20%", "20%" },
                { "builder", "max_size", "10GB", "off" },
                { "builder", "max_age", "off", "3650d" },
                { "images", "keep_last", "2", "3" },
                { "disk", "min_free_inodes", "5%", "off" },
                { "disk", "paths", "auto", "/" },
                { "metrics", "textfile", "", "/x.prom" },
                { "alarm", "command", "a", "b" },
                { "app", "root", "/a", "/b" },
                { "app", "caches", "a", "a, b" },
                { "app", "trash", "auto", "/" },
                { "app", "context", "/a", "auto" },
                { "app", "dockerfile", "a", "b" },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const Key *key = key_find(table[i].section, table[i].name);
                cleanup(config_free) Config *a = load_text(APP), *b = load_text(APP);
                void *x = base_of(a, key), *y = base_of(b, key);

                assert_int_equal(key_parse(key, table[i].a, x, NULL), 0);
                assert_int_equal(key_parse(key, table[i].a, y, NULL), 0);
                assert_true(key_equal(key, x, y));
                assert_int_equal(key_parse(key, table[i].b, y, NULL), 0);
                assert_false(key_equal(key, x, y));
        }
}

static void test_restart_keys(void **state) {
        cleanup(config_free) Config *a = load_text("[docker]\ntimeout=5s\n");
        cleanup(config_free) Config *b = load_text("[control]\nsocket=/x\nreaders=\n" APP);
        cleanup(strv_done) Strv keys = STRV_NULL;

        (void)state;
        assert_int_equal(config_restart_keys(a, a, &keys), 0);
        assert_int_equal(keys.n, 0);
        assert_int_equal(config_restart_keys(a, b, &keys), 0);
        assert_int_equal(keys.n, 1);
        assert_string_equal(keys.v[0], "[control] socket");
}

static void test_apps(void **state) {
        cleanup(config_free) Config *config = load_text("[app web]\n"
                                                        "root = //nowhere//web/\n"
                                                        "caches=.next/, node_modules/.cache\n"
                                                        "[docker]\n"
                                                        "timeout=7s\n"
                                                        "[app   0_a.b-c] ; several blanks\n"
                                                        "caches=a/b/c,d\n"
                                                        "root=/nowhere/..d/...\n"
                                                        "trash=/nowhere-else/t//\n"
                                                        "context=/nowhere\n"
                                                        "dockerfile=docker/web.Dockerfile\n"
                                                        "[app\tweb]\n"
                                                        "dockerfile=/nowhere/D\n"
                                                        "[app same]\n"
                                                        "root=/nowhere/web\n"
                                                        "caches=x\n"
                                                        "trash=auto\n"
                                                        "context=auto\n");
        const AppConfig *app;

        (void)state;
        assert_int_equal(config->timeout_usec, 7 * USEC_PER_SEC);
        assert_int_equal(config->apps.n, 3);
        app = config_app(config, "web");
        assert_ptr_equal(app, &config->apps.v[0]);
        assert_string_equal(app->name, "web");
        assert_string_equal(app->root, "/nowhere/web");
        assert_int_equal(app->caches.n, 2);
        assert_string_equal(app->caches.v[0], ".next");
        assert_string_equal(app->caches.v[1], "node_modules/.cache");
        assert_null(app->trash);
        assert_null(app->context);
        assert_string_equal(app->dockerfile, "/nowhere/D");

        app = config_app(config, "0_a.b-c");
        assert_ptr_equal(app, &config->apps.v[1]);
        assert_string_equal(app->root, "/nowhere/..d/...");
        assert_int_equal(app->caches.n, 2);
        assert_string_equal(app->caches.v[0], "a/b/c");
        assert_string_equal(app->trash, "/nowhere-else/t");
        assert_string_equal(app->context, "/nowhere");
        assert_string_equal(app->dockerfile, "docker/web.Dockerfile");

        app = config_app(config, "same");
        assert_string_equal(app->root, "/nowhere/web");
        assert_null(app->trash);
        assert_null(app->context);
        assert_string_equal(app->dockerfile, "Dockerfile");
        assert_null(config_app(config, "we"));
        assert_null(config_app(config, "app web"));
}

/* A value of a key of an application, and what is wrong with it; NULL: nothing. */
static void test_app_values(void **state) {
        static const struct {
                const char *name, *value, *error;
        } table[] = {
                { "root", "/nowhere/x y", NULL },
                { "root", "/nowhere/.x", NULL },
                { "root", "", "'' is not an absolute path" },
                { "root", "srv/x", "'srv/x' is not an absolute path" },
                { "root", "auto", "'auto' is not an absolute path" },
                { "root", "~/x", "'~/x' is not an absolute path" },
                { "root", "/nowhere/../x", "'/nowhere/../x' has a '.' or a '..' in it" },
                { "root", "/nowhere/..", "'/nowhere/..' has a '.' or a '..' in it" },
                { "root", "/nowhere/./x", "'/nowhere/./x' has a '.' or a '..' in it" },
                { "root", "//.//", "'//.//' has a '.' or a '..' in it" },
                { "caches", ".next", NULL },
                { "caches", "a, b, a/b, b/a", NULL },
                { "caches", "..., .a, a., ..b", NULL },
                { "caches", "", "may not be empty" },
                { "caches", " , ,", "may not be empty" },
                { "caches", ".next, /var/cache",
                  "'/var/cache' is an absolute path; a cache has a name, or a path below the "
                  "root" },
                { "caches", "/",
                  "'/' is an absolute path; a cache has a name, or a path below the root" },
                { "caches", "..", "'..' has a '.' or a '..' in it; a cache lies below the root" },
                { "caches", "a/../b",
                  "'a/../b' has a '.' or a '..' in it; a cache lies below the root" },
                { "caches", "a/..",
                  "'a/..' has a '.' or a '..' in it; a cache lies below the "
                  "root" },
                { "caches", "./a", "'./a' has a '.' or a '..' in it; a cache lies below the root" },
                { "caches", ".", "'.' has a '.' or a '..' in it; a cache lies below the root" },
                { "caches", "a//b", "'a//b' has an empty component" },
                { "caches", "a//", "'a/' has an empty component" },
                { "caches", "a, b, a", "'a' is in the list twice" },
                { "caches", "a/b, a/b/", "'a/b' is in the list twice" },
                { "caches", ".next .turbo",
                  "'.next .turbo' has a blank in it; commas separate the names of a list" },
                { "caches", "*.pyc", "'*.pyc' is a glob; a cache is named in full" },
                { "caches", "a?", "'a?' is a glob; a cache is named in full" },
                { "caches", "[ab]", "'[ab]' is a glob; a cache is named in full" },
                { "caches", "a]", "'a]' is a glob; a cache is named in full" },
                { "caches", "{.next,.turbo}", "'{.next' is a glob; a cache is named in full" },
                { "caches", "a}", "'a}' is a glob; a cache is named in full" },
                { "caches", "(a)/b, a:b, a=b, ~, $A, caf\xc3\xa9", NULL },
                { "caches", "\".next\"",
                  "\".next\" has quotes in it; quotes are not removed: write caches=.next" },
                { "caches", "x, '.next'",
                  "'.next' has quotes in it; quotes are not removed: write caches=x, .next" },
                { "caches", "\"a b\"", "\"a b\" has quotes in it" },
                { "caches", ".next # comment",
                  "'.next # comment': '#' starts no comment here; use a blank and ';'" },
                { "caches", "#a", "'#a': '#' starts no comment here; use a blank and ';'" },
                { "caches", "a ; b", NULL },
                { "caches", "a;b",
                  "'a;b' has a ';' in it; commas separate the names of a list, and a blank and "
                  "';' start a comment" },
                { "caches", "a\\ b",
                  "'a\\ b' has a backslash in it; names are taken as they are, and '/' separates "
                  "those of a path" },
                { "caches", ".git", "'.git' is what makes a directory a project; it is no cache" },
                { "caches", "a, b/package.json/",
                  "'package.json' is what makes a directory a project; it is no cache" },
                { "caches", ".git/a, a.git, .Git", NULL },
                { "trash", "auto", NULL },
                { "trash", "/nowhere", NULL },
                { "trash", "/nowhere/ab", NULL },
                { "trash", "", "'' is neither 'auto' nor an absolute path" },
                { "trash", "off", "'off' is neither 'auto' nor an absolute path" },
                { "trash", "Auto", "'Auto' is neither 'auto' nor an absolute path" },
                { "trash", "./trash", "'./trash' is neither 'auto' nor an absolute path" },
                { "trash", "/a/../b", "'/a/../b' has a '.' or a '..' in it" },
                { "trash", "/nowhere/a", "'/nowhere/a' lies in the root; a build would find it" },
                { "trash", "//nowhere/a/b/",
                  "'/nowhere/a/b' lies in the root; a build would find it" },
                { "context", "auto", NULL },
                { "context", "/", NULL },
                { "context", "none", "'none' is neither 'auto' nor an absolute path" },
                { "context", ".", "'.' is neither 'auto' nor an absolute path" },
                { "context", "/a/..", "'/a/..' has a '.' or a '..' in it" },
                { "dockerfile", "Dockerfile", NULL },
                { "dockerfile", "./docker/Dockerfile", NULL },
                { "dockerfile", "/nowhere/Dockerfile", NULL },
                { "dockerfile", "..Dockerfile", NULL },
                { "dockerfile", "", "may not be empty" },
                { "dockerfile", "../Dockerfile", "'../Dockerfile' has a '..' in it" },
                { "dockerfile", "/a/../Dockerfile", "'/a/../Dockerfile' has a '..' in it" },
                { "dockerfile", "docker/",
                  "'docker/' is a directory; did you mean 'docker/Dockerfile'?" },
                { "dockerfile", ".", "'.' is a directory; did you mean 'Dockerfile'?" },
                { "dockerfile", "/a/.", "'/a/.' is a directory; did you mean '/a/Dockerfile'?" },
                { "dockerfile", "a.", NULL },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const char *name = table[i].name;
                cleanup(config_free) Config *config = NULL;
                char text[256], expected[512], errors[1024];

                snprintf(text, sizeof text, "[app web]\n%s%s%s=%s\n",
                         strcmp(name, "root") != 0 ? "root=/nowhere/a\n" : "\n",
                         strcmp(name, "caches") != 0 ? "caches=x\n" : "\n", name, table[i].value);
                snprintf(expected, sizeof expected, "f:4: [app web] %s: %s", name,
                         table[i].error ? table[i].error : "");
                write_file("f", text);
                config = load(table[i].error ? -EINVAL : 0, errors, sizeof errors);
                assert_string_equal(errors, table[i].error ? expected : "");
        }
}

static void test_app_mistakes(void **state) {
        static const struct {
                const char *text, *errors;
        } table[] = {
                /* what is missing, where the section began */
                { "[app web]\n", "f:1: [app web] root: required, and not set\n"
                                 "f:1: [app web] caches: required, and not set" },
                { "\n[app web]\ncaches=x\n", "f:2: [app web] root: required, and not set" },
                { "[app web]\nroot=/nowhere/a\n[docker]\n[app web]\n[app b]\nroot=/nowhere/b\n"
                  "caches=x\n",
                  "f:1: [app web] caches: required, and not set" },
                { "[app web]\nroot=x\n[docker]\ntimeout=x\n",
                  "f:2: [app web] root: 'x' is not an absolute path\n"
                  "f:4: [docker] timeout: 'x' is not a span of time as in 90s, 5min or 1h 30min\n"
                  "f:1: [app web] caches: required, and not set" },
                /* nor what may well have been it, twice */
                { "[app web]\nroots=/nowhere/a\n",
                  "f:2: [app web] roots: unknown key; did you mean 'root'?\n"
                  "f:1: [app web] caches: required, and not set" },
                { "[app web]\nroots=/nowhere/a\nroot=/etc\nroott=x\ncaches=x\n",
                  "f:2: [app web] roots: unknown key; did you mean 'root'?\n"
                  "f:4: [app web] roott: unknown key; did you mean 'root'?\n"
                  "f:3: [app web] root: /etc lies in a tree of the system" },
                { "[app web]\nzzz=/nowhere/a\ncaches=x\n",
                  "f:2: [app web] zzz: unknown key\n"
                  "f:1: [app web] root: required, and not set" },
                { "[app web]\nroot: /nowhere/a\n",
                  "f:2: no '=': 'root: /nowhere/a' is neither KEY=VALUE nor [SECTION]" },
                { "[app web]\n=/nowhere/a\n", "f:2: no key before '='" },
                { "[app web]\nroot ;=/nowhere/a\n", "f:2: neither KEY=VALUE nor [SECTION]" },
                { "[app web]\n[app b]\ncaches=x\n oops\n",
                  "f:4: a blank before the text: keys and sections start in the first column, and "
                  "values do not continue\n"
                  "f:1: [app web] root: required, and not set\n"
                  "f:1: [app web] caches: required, and not set" },
                { "[app web]\ncaches=x\n[docker\nroot=/nowhere/a\n",
                  "f:3: a section without its ']'\n"
                  "f:1: [app web] root: required, and not set" },

                /* keys */
                { APP "root=/nowhere/b\n", "f:4: [app a] root: set twice, before in line 2" },
                { APP "[app b]\nroot=/nowhere/a\ncaches=x\n[app a]\ncaches=x\n",
                  "f:8: [app a] caches: 'x' is in the list twice" },
                { APP "cache=y\n", "f:4: [app a] cache: unknown key; did you mean 'caches'?" },
                { APP "zzz=y\n", "f:4: [app a] zzz: unknown key" },
                { APP "timeout=1s\n", "f:4: [app a] timeout: unknown key; it belongs to [docker]" },
                { "[images]\ncaches=y\n",
                  "f:2: [images] caches: unknown key; it belongs to [app NAME]" },
                { "root=/nowhere\n",
                  "f:1: root: a key outside a section; it belongs to [app NAME]" },

                /* a trash that builds read, whoever's; only below, by components */
                { APP "trash=/nowhere/b/t\n[app b]\nroot=/nowhere/b\ncaches=x\n",
                  "f:4: [app a] trash: '/nowhere/b/t' lies in the root of [app b]; a build would "
                  "find it" },
                { APP "context=/c\ntrash=/c/t\n[app b]\nroot=/c\ncaches=x\n",
                  "f:5: [app a] trash: '/c/t' lies in the context; a build would find it" },
                { "[app a]\nroot=/r\ncaches=x\n[app b]\nroot=/r/b\ncaches=x\ntrash=/r/b/t\n",
                  "f:7: [app b] trash: '/r/b/t' lies in the root; a build would find it" },
                { APP "trash=/c\n[app b]\nroot=/nowhere/b\ncaches=x\ncontext=/\n",
                  "f:4: [app a] trash: '/c' lies in the context of [app b]; a build would find "
                  "it" },
                { APP "trash=/c\n[app b]\nroot=/c/d\ncaches=/\ncontext=/cc\n",
                  "f:7: [app b] caches: '/' is an absolute path; a cache has a name, or a path "
                  "below the root" },

                /* sections */
                { "[app]\nroot=/\n", "f:1: [app]: unknown section; did you mean [app NAME]?" },
                { "[app ]\n", "f:1: [app ]: unknown section; did you mean [app NAME]?" },
                { "[App]\n", "f:1: [App]: unknown section; did you mean [app NAME]?" },
                { "[apps]\n", "f:1: [apps]: unknown section; did you mean [app NAME]?" },
                { "[ap]\n", "f:1: [ap]: unknown section; did you mean [app NAME]?" },
                { "[app:frontend]\n",
                  "f:1: [app:frontend]: unknown section; did you mean [app frontend]?" },
                { "[app.frontend]\n",
                  "f:1: [app.frontend]: unknown section; did you mean [app frontend]?" },
                { "[APP frontend]\n",
                  "f:1: [APP frontend]: unknown section; did you mean [app frontend]?" },
                { "[apps frontend]\n",
                  "f:1: [apps frontend]: unknown section; did you mean [app frontend]?" },
                { "[application x]\n",
                  "f:1: [application x]: unknown section; did you mean [app x]?" },
                { "[ app x]\n", "f:1: [ app x]: unknown section; did you mean [app x]?" },
                { "[app:all]\n", "f:1: [app:all]: unknown section; did you mean [app NAME]?" },
                { "[app:Web]\n", "f:1: [app:Web]: unknown section; did you mean [app web]?" },
                { "[apparel]\n", "f:1: [apparel]: unknown section; did you mean [app apparel]?" },
                { "[frontend]\nroot=/\n",
                  "f:1: [frontend]: unknown section; did you mean [app frontend]?" },
                { "[Front-End]\n",
                  "f:1: [Front-End]: unknown section; did you mean [app front-end]?" },
                { "[image]\n", "f:1: [image]: unknown section; did you mean [images]?" },
                { "[all]\n", "f:1: [all]: unknown section" },
                { "[docker web]\n", "f:1: [docker web]: unknown section" },
                { "[front/end]\n", "f:1: [front/end]: unknown section" },
                { "[abcdefghijklmnopqrstuvwxyz012345]\n",
                  "f:1: [abcdefghijklmnopqrstuvwxyz012345]: unknown section" },

                /* names */
                { "[app Web]\n", "f:1: [app Web]: 'Web' is not a valid name (a-z, 0-9, '_', '.', "
                                 "'-'); did you mean [app web]?" },
                { "[app \"web\"]\n",
                  "f:1: [app \"web\"]: '\"web\"' is not a valid name (a-z, 0-9, '_', '.', '-'); did "
                  "you mean [app web]?" },
                { "[app -web]\n", "f:1: [app -web]: '-web' is not a valid name (a letter or digit "
                                  "first); did you mean [app web]?" },
                { "[app _]\n", "f:1: [app _]: '_' is not a valid name (a letter or digit first)" },
                { "[app a b]\n",
                  "f:1: [app a b]: 'a b' is not a valid name (a-z, 0-9, '_', '.', '-')" },
                { "[app web ]\n", "f:1: [app web ]: 'web ' is not a valid name (a-z, 0-9, '_', "
                                  "'.', '-'); did you mean [app web]?" },
                { "[app a/b]\n",
                  "f:1: [app a/b]: 'a/b' is not a valid name (a-z, 0-9, '_', '.', '-')" },
                { "[app caf\xc3\xa9]\n", "f:1: [app caf\xc3\xa9]: 'caf\xc3\xa9' is not a valid "
                                         "name (a-z, 0-9, '_', '.', '-')" },
                { "[app All]\n",
                  "f:1: [app All]: 'All' is not a valid name (a-z, 0-9, '_', '.', '-')" },
                { "[app all]\n",
                  "f:1: [app all]: 'all' is another target of a clear; choose another name" },
                { "[app docker]\n",
                  "f:1: [app docker]: 'docker' is another target of a clear; choose another name" },
                { "[app builder]\n", "f:1: [app builder]: 'builder' is another target of a clear; "
                                     "choose another name" },
                { "[app images]\n",
                  "f:1: [app images]: 'images' is another target of a clear; choose another name" },
                { "[app  apps]\n",
                  "f:1: [app apps]: 'apps' is another target of a clear; choose another name" },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                char errors[4096];

                write_file("f", table[i].text);
                assert_null(load(-EINVAL, errors, sizeof errors));
                assert_string_equal(errors, table[i].errors);
        }
}

static void test_app_drop_ins(void **state) {
        static const struct {
                const char *text, *drop_in, *errors;
        } table[] = {
                { APP, "[app a]\ncaches=y, z\n", NULL },
                { "[app a]\ncaches=x\n", "[app a]\nroot=/nowhere/b\n", NULL },
                { APP, "[app b]\nroot=/nowhere/b\n",
                  "f.d/x.conf:1: [app b] caches: required, and not set" },
                { "\n[app a]\n", "[app a]\ncaches=x\n",
                  "f:2: [app a] root: required, and not set" },
                { "[app a]\nroot /a\n", "[app a]\ncaches=/\n",
                  "f:2: no '=': 'root /a' is neither KEY=VALUE nor [SECTION]\n"
                  "f.d/x.conf:2: [app a] caches: '/' is an absolute path; a cache has a name, or a "
                  "path below the root" },
                { APP, "[app a]\ncaches=x\ncaches=y\n", NULL },
                { APP, "[app a]\ncaches=x, y\ncaches=y\n",
                  "f.d/x.conf:3: [app a] caches: 'y' is in the list twice" },
                { APP, "[app a]\ncaches=z\ncaches=\ncaches=y\n", NULL },
                { APP, "[app a]\ncaches=y\ncaches=\n",
                  "f.d/x.conf:3: [app a] caches: may not be empty" },
                { APP, "[app a]\ncaches=\n", "f.d/x.conf:2: [app a] caches: may not be empty" },
                { "[app a]\nroot=/etc\ncaches=x\n", "[app a]\nroot=/nowhere\n", NULL },
                { APP, "[docker]\n[app a]\nroot=/etc\n",
                  "f.d/x.conf:3: [app a] root: /etc lies in a tree of the system" },
                /* of a value that is a mistake itself, nothing more is said */
                { "[app a]\nroot=/etc\ncaches=x\n", "[app a]\nroot=b\n",
                  "f.d/x.conf:2: [app a] root: 'b' is not an absolute path" },
                { "[app a]\nroot=/r\ncaches=x\ntrash=/t\n", "[app a]\nroot=b\ntrash=/r/t\n",
                  "f.d/x.conf:2: [app a] root: 'b' is not an absolute path" },
                { "[app a]\nroot=/r\ncaches=x\ntrash=/r/t\n", "[app a]\ntrash=t\n",
                  "f.d/x.conf:2: [app a] trash: 't' is neither 'auto' nor an absolute path" },
                { "[app a]\nroot=/r\ncaches=x\ncontext=/c\ntrash=/c/t\n", "[app a]\ncontext=t\n",
                  "f.d/x.conf:2: [app a] context: 't' is neither 'auto' nor an absolute path" },
                { "[app a]\nroot=/r\ncaches=x\n\ntrash=/s/t\n", "[app a]\nroot=/s\n",
                  "f:5: [app a] trash: '/s/t' lies in the root; a build would find it" },
        };
        cleanup(config_free) Config *last = NULL;

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup(config_free) Config *config = NULL;
                char errors[1024];

                write_file("f", table[i].text);
                write_file("f.d/x.conf", table[i].drop_in);
                config = load(table[i].errors ? -EINVAL : 0, errors, sizeof errors);
                assert_string_equal(errors, table[i].errors ? table[i].errors : "");
                assert_true(!config || config->apps.n == 1);
        }

        write_file("f.d/x.conf", "[app a]\ncaches=y, z\n");
        last = load_text(APP "trash=/t\n");
        assert_int_equal(last->apps.n, 1);
        assert_string_equal(last->apps.v[0].root, "/nowhere/a");
        assert_int_equal(last->apps.v[0].caches.n, 2);
        assert_string_equal(last->apps.v[0].caches.v[1], "z");
        assert_string_equal(last->apps.v[0].trash, "/t");
        assert_int_equal(unlink("f.d/x.conf"), 0);
}

/* So many applications, and names so long; blanks that inih would cut the section at count not. */
static void test_app_limits(void **state) {
        static const char name[] = "abcdefghijklmnopqrstuvwxyz01234";
        cleanup(config_free) Config *config = NULL, *many = NULL;
        char text[4096], errors[1024];
        size_t n = 0;

        (void)state;
        static_assert(sizeof name == APP_NAME_MAX, "the longest");
        snprintf(text, sizeof text, "[app%60s%s]\nroot=/nowhere/a\ncaches=x\n", "", name);
        config = load_text(text);
        assert_string_equal(config->apps.v[0].name, name);
        assert_string_equal(config->apps.v[0].root, "/nowhere/a");
        snprintf(text, sizeof text, "[app %s5]\nroot=/nowhere/a\ncaches=x\n", name);
        write_file("f", text);
        assert_null(load(-EINVAL, errors, sizeof errors));
        assert_string_equal(errors, "f:1: [app abcdefghijklmnopqrstuvwxyz012345]: the name has 32 "
                                    "characters; 31 are possible");

        for (size_t i = 0; i < APPS_MAX; i++)
                n += (size_t)snprintf(text + n, sizeof text - n,
                                      "[app a%zu]\nroot=/nowhere/%zu\ncaches=x\n", i, i);
        many = load_text(text);
        assert_int_equal(many->apps.n, 32);
        assert_string_equal(config_app(many, "a31")->root, "/nowhere/31");
        snprintf(text + n, sizeof text - n,
                 "[app a0]\ntrash=/t\n[app more]\nroot=x\n[app a1]\nroot=/b\n");
        write_file("f", text);
        assert_null(load(-EINVAL, errors, sizeof errors));
        assert_string_equal(errors, "f:99: [app more]: one application too many; 32 are possible\n"
                                    "f:102: [app a1] root: set twice, before in line 5");
}

/* Loads "f" with such a root, of which this is told; `told` NULL: nothing. */
static void assert_root(const char *root, ConfigLevel level, const char *told) {
        cleanup(config_free) Config *config = NULL;
        bool mistake = told && level == CONFIG_MISTAKE;
        char text[512], expected[1024];
        ConfigErrors errors;
        int r;

        snprintf(text, sizeof text, "[app web]\ncaches=x\n\nroot=%s\n", root);
        write_file("f", text);
        r = config_load("f", &config, &errors);
        if (errors.n + errors.n_remarks != (told != NULL))
                fail_msg("%s: %zu mistakes, %zu remarks", root, errors.n, errors.n_remarks);
        if (told) {
                cleanup_free char *line = config_error_text(&errors.v[0]);

                snprintf(expected, sizeof expected, "f:4: %s[app web] root: %s",
                         level == CONFIG_NOTE ? "note: " : "", told);
                assert_string_equal(line, expected);
                if (errors.v[0].level != level)
                        fail_msg("level %d instead of %d: %s", errors.v[0].level, level, line);
        }
        assert_int_equal(errors.n, mistake);
        assert_int_equal(r, mistake ? -EINVAL : 0);
        assert_true(mistake == !config);
        if (config)
                assert_string_equal(config->apps.v[0].root, root);
        config_errors_done(&errors);
}

#define NO_PROJECT                                                                              \
        " has no project in it (none of package.json, pyproject.toml, manage.py, "              \
        "requirements.txt, setup.py, Pipfile, Dockerfile, compose.yaml, compose.yml, "          \
        "docker-compose.yml, composer.json, Gemfile, docker-compose.yaml, go.mod, Cargo.toml, " \
        "pom.xml, .git)"
#define LINK " is a symlink that users other than root may change; give the directory it leads to"
#define LIST " does not exist: a root is one directory; a pattern or a list is not possible"

/* The same with a path in `directory`, which each "%s" is. */
static void assert_root_here(const char *path, ConfigLevel level, const char *told) {
        const char *at = told ? strstr(told, "%s") : NULL;
        char root[128], text[512];

        snprintf(root, sizeof root, "%s/%s", directory, path);
        if (told)
                snprintf(text, sizeof text, "%.*s%s%s", (int)(at - told), told, directory, at + 2);
        assert_root(root, level, told ? text : NULL);
}

/* The directory is ours alone: where we are not root, others than root made it all. */
static void test_app_roots(void **state) {
        const ConfigLevel made = geteuid() == 0 ? CONFIG_MISTAKE : CONFIG_STATE;
        const struct {
                const char *path;
                ConfigLevel level;
                const char *told;
        } table[] = {
                { "missing", CONFIG_NOTE, "%s/missing does not exist yet" },
                { "missing/below", CONFIG_NOTE, "%s/missing/below does not exist yet" },
                { "empty", CONFIG_NOTE, "%s/empty is empty" },
                { "node", 0, NULL },
                { "repository", 0, NULL },
                { "worktree", 0, NULL },
                { "open/within", 0, NULL },
                { "a,b?*", 0, NULL },
                { "a,b", made, "%s/a,b" LIST },
                { "*/app", made, "%s/*/app" LIST },
                { "ap?", made, "%s/ap?" LIST },
                { "file", made, "file of %s/file is not a directory" },
                { "file/below", made, "file of %s/file/below is not a directory" },
                { "bare", made, "%s/bare" NO_PROJECT },
                /* others may write there */
                { "open/link", CONFIG_STATE, "link of %s/open/link" LINK },
                { "open/file", CONFIG_STATE, "file of %s/open/file is not a directory" },
                { "open/a,b", CONFIG_STATE, "%s/open/a,b" LIST },
                { "open", CONFIG_STATE, "%s/open" NO_PROJECT },
        };

        (void)state;
        assert_int_equal(system("mkdir empty node repository repository/.git worktree open "
                                "open/within bare bare/package.json 'a,b?*' && "
                                "touch file node/package.json node/x worktree/.git open/file "
                                "open/within/manage.py 'a,b?*/go.mod' && "
                                "ln -s within open/link && chmod 777 open"),
                         0);
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_root_here(table[i].path, table[i].level, table[i].told);
        assert_root("/", CONFIG_MISTAKE,
                    "/ is a directory of the system; name the project's own directory below it");
        assert_root("/srv", CONFIG_MISTAKE,
                    "/srv is a directory of the system; name the project's own directory below it");
        assert_root("/etc", CONFIG_MISTAKE, "/etc lies in a tree of the system");
        assert_root("/root", CONFIG_MISTAKE,
                    "/root is the home of root; name the project's own directory below it");
        assert_int_equal(system("rm -r empty node repository worktree open bare file 'a,b?*'"), 0);
}

/* Whoever can make a root none must not keep the daemon from starting with it. */
static void test_app_roots_of_others(void **state) {
        static const struct {
                const char *owned, *path;
                uid_t uid;
                mode_t mode;
                ConfigLevel level;
                const char *told;
        } table[] = {
                { "site", "site/app/file", 0, 0755, CONFIG_MISTAKE,
                  "file of %s/site/app/file is " },
                { "site", "site/app/file", 65534, 0755, CONFIG_STATE, NULL },
                { "site", "site/app/file", 0, 0775, CONFIG_STATE, NULL },
                { "site", "site/app/file", 0, 0757, CONFIG_STATE, NULL },
                { "site", "site/app/file/x", 0, 0757, CONFIG_STATE, NULL },
                /* they can't rename what is root's there, but add to it */
                { "site", "site/app/file", 0, 01777, CONFIG_MISTAKE, NULL },
                { "site/app", "site/app/file", 0, 01777, CONFIG_STATE, NULL },
                { "site/app", "site/app/file", 65534, 01755, CONFIG_STATE, NULL },

                { "site", "site/app/loop", 0, 0755, CONFIG_MISTAKE, "too many symlinks in %s" },
                { "site", "site/app/loop", 65534, 0755, CONFIG_STATE, NULL },
                { "site/app", "site/app/link", 0, 0775, CONFIG_STATE, "link of %s/site/app/link" },
                { "site/app", "site/app/link", 65534, 0755, CONFIG_STATE, NULL },
                { "site/app", "site/app/link", 0, 01777, CONFIG_STATE, NULL },
                { "site/app/link", "site/app/link", 65534, 0, CONFIG_MISTAKE, NULL },

                { "site/bare", "site/bare", 0, 0755, CONFIG_MISTAKE,
                  "%s/site/bare has no project" },
                { "site/bare", "site/bare", 65534, 0700, CONFIG_STATE, NULL },
                { "site/bare", "site/bare", 0, 0777, CONFIG_STATE, NULL },
                { "site/bare", "site/bare", 0, 0770, CONFIG_STATE, NULL },
                { "site/bare", "site/bare", 0, 01777, CONFIG_STATE, NULL },
                { "site", "site/bare", 65534, 0755, CONFIG_STATE, NULL },
                { "site", "site/bare", 0, 01777, CONFIG_MISTAKE, NULL },

                { "site", "site/*/app", 65534, 0755, CONFIG_STATE, "%s/site/*/app" LIST },
                { "site", "site/*/app", 0, 0755, CONFIG_MISTAKE, NULL },
                /* where a link of root's leads, others may write as well */
                { "site", "current/file", 65534, 0755, CONFIG_STATE,
                  "file of %s/current/file is " },
                { "site", "current/file", 0, 0755, CONFIG_MISTAKE, NULL },
        };
        const char *told = NULL;

        (void)state;
        if (geteuid() != 0)
                skip();
        assert_int_equal(system("mkdir -p site/app site/bare/x && touch site/app/file && "
                                "ln -s loop site/app/loop && ln -s ../bare site/app/link && "
                                "ln -s site/app current"),
                         0);
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const char *owned = table[i].owned;
                cleanup(config_free) Config *config = NULL;
                char text[256], expected[256];
                cleanup_free char *line = NULL;
                ConfigErrors errors;
                struct stat before;
                int r;

                if (table[i].told) /* else as before */
                        told = table[i].told;
                assert_int_equal(lstat(owned, &before), 0);
                assert_int_equal(lchown(owned, table[i].uid, table[i].uid), 0);
                if (!S_ISLNK(before.st_mode))
                        assert_int_equal(chmod(owned, table[i].mode), 0);
                snprintf(text, sizeof text, "[app web]\nroot=%s/%s\ncaches=x\n", directory,
                         table[i].path);
                write_file("f", text);
                r = config_load("f", &config, &errors);
                assert_int_equal(errors.n + errors.n_remarks, 1);
                line = config_error_text(&errors.v[0]);
                if (errors.v[0].level != table[i].level)
                        fail_msg("%zu: level %d: %s", i, errors.v[0].level, line);
                assert_int_equal(errors.n, table[i].level == CONFIG_MISTAKE);
                assert_int_equal(r, table[i].level == CONFIG_MISTAKE ? -EINVAL : 0);
                snprintf(expected, sizeof expected, "f:2: [app web] root: %.*s%s%s",
                         (int)(strstr(told, "%s") - told), told, directory, strstr(told, "%s") + 2);
                if (!strstr(table[i].path, "/x")) /* the text has that path, too */
                        assert_int_equal(strncmp(line, expected, strlen(expected)), 0);
                config_errors_done(&errors);
                assert_int_equal(lchown(owned, 0, 0), 0);
                if (!S_ISLNK(before.st_mode))
                        assert_int_equal(chmod(owned, 0755), 0);
        }
        assert_int_equal(system("rm -r site current"), 0);
}

/* Mistakes come first, and remarks are told beside them. */
static void test_app_remarks(void **state) {
        cleanup(config_free) Config *config = NULL;
        char text[512], errors[1024];
        ConfigErrors list;

        (void)state;
        assert_int_equal(system("mkdir -m 777 site && touch site/x"), 0);
        snprintf(text, sizeof text,
                 "[app a]\nroot=/nowhere/a\ncaches=x\n[app b]\nroot=/etc\ncaches=x\n"
                 "[app c]\nroot=%s/site\ncaches=x\n[app d]\nroot=/srv\n[images]\nmatch=\n",
                 directory);
        write_file("f", text);
        assert_null(load(-EINVAL, errors, sizeof errors));
        assert_string_equal(errors,
                            "f:5: [app b] root: /etc lies in a tree of the system\n"
                            "f:10: [app d] caches: required, and not set\n"
                            "f:11: [app d] root: /srv is a directory of the system; name the "
                            "project's own directory below it\n"
                            "f:13: [images] match: empty, with no project set: no image would ever "
                            "be cleared");
        assert_int_equal(config_load("f", &config, &list), -EINVAL);
        assert_int_equal(list.n, 4);
        assert_int_equal(list.n_remarks, 2);
        assert_int_equal(list.v[4].level, CONFIG_NOTE);
        assert_int_equal(list.v[4].line, 2);
        assert_int_equal(list.v[5].level, CONFIG_STATE);
        assert_int_equal(list.v[5].line, 8);
        config_errors_done(&list);
        assert_int_equal(system("rm -r site"), 0);
}

/* Whether there is a project in a root that we may not enter, or not list, is not known. */
static void test_app_root_hidden(void **state) {
        static const mode_t modes[] = { 0404, 0303 };
        char root[128], told[256];

        (void)state;
        snprintf(root, sizeof root, "%s/hidden", directory);
        snprintf(told, sizeof told, "%s: Permission denied", root);
        assert_int_equal(system("mkdir hidden && touch hidden/x && chmod 777 . f.d"), 0);
        for (size_t i = 0; i < ELEMENTSOF(modes); i++) {
                assert_int_equal(chmod("hidden", modes[i]), 0);
                if (getuid() == 0)
                        assert_int_equal(seteuid(65534), 0);
                assert_root(root, CONFIG_NOTE, told);
                if (getuid() == 0)
                        assert_int_equal(seteuid(0), 0);
        }
        assert_int_equal(system("chmod 700 . f.d hidden && rm -r hidden"), 0);
}

/* Whichever there are on this host; root's is one of the system's directories. */
static void test_app_homes(void **state) {
        const struct passwd *entry;

        (void)state;
        setpwent();
        while ((entry = getpwent())) {
                char *real;

                if (entry->pw_uid < 1000 || entry->pw_uid == 65534)
                        continue;
                real = realpath(entry->pw_dir, NULL);
                if (real && strcmp(real, entry->pw_dir) == 0) {
                        char errors[1024], expected[256], text[256];

                        snprintf(text, sizeof text, "[app web]\nroot=%s\ncaches=x\n", real);
                        write_file("f", text);
                        assert_null(load(-EINVAL, errors, sizeof errors));
                        snprintf(expected, sizeof expected, "f:2: [app web] root: %s ", real);
                        assert_int_equal(strncmp(errors, expected, strlen(expected)), 0);
                }
                free(real);
        }
        endpwent();
}

/* Each application's root is looked at, though two have the same, and other keys are mistakes. */
static void test_app_root_line(void **state) {
        char errors[1024];

        (void)state;
        write_file("f", "[app a]\nroot=/etc\ncaches=/\n[app b]\nroot=/etc\ncaches=x\n"
                        "[images]\nmatch=\n");
        assert_null(load(-EINVAL, errors, sizeof errors));
        assert_string_equal(errors,
                            "f:3: [app a] caches: '/' is an absolute path; a cache has a name, or "
                            "a path below the root\n"
                            "f:2: [app a] root: /etc lies in a tree of the system\n"
                            "f:5: [app b] root: /etc lies in a tree of the system\n"
                            "f:8: [images] match: empty, with no project set: no image would ever "
                            "be cleared");
}

static const char first_app[] =
        "# Applications, whose caches a clear removes: a section for each. These two are\n"
        "# examples; as shipped there is none.\n"
        "#[app frontend]\n";

static const char second_app[] =
        "\n"
        "#[app backend]\n"
        "#root=/srv/watch-party/backend\n"
        "\n"
        "# staticfiles is not among them: a running web server may be serving it, and\n"
        "# collectstatic writes it anew; with --clear, from nothing.\n"
        "#caches=__pycache__\n";

/* What etc/wpcached.conf should be: every key of the table, commented out, with its default and what it
 * does. Malloc'ed or NULL. */
static char *config_listing(void) {
        cleanup_free char *text = NULL;
        const char *section = "";
        size_t size;
        FILE *stream;

        stream = open_memstream(&text, &size);
        if (!stream)
                return NULL;
        fputs("# wpcached.conf(5). Every key is shown with its default; wpcached.conf.d/"
              "*.conf come after.\n"
              "# A list goes on in further lines with the same key. Quotes are not removed.\n",
              stream);
        for (size_t i = 0; i < n_config_keys; i++) {
                const Key *key = &config_keys[i];
                bool app = key->owner == KEY_OF_APP;

                fputc('\n', stream);
                if (strcmp(section, key->section) != 0 && app)
                        fputs(first_app, stream);
                else if (strcmp(section, key->section) != 0)
                        fprintf(stream, "[%s]\n", key->section);
                section = key->section;
                for (const char *line = key->about; *line;) {
                        size_t n = strcspn(line, "\n");

                        fprintf(stream, "# %.*s\n", (int)n, line);
                        line += n + (line[n] == '\n');
                }
                fprintf(stream, "#%s=%s\n", key->name,
                        key->fallback ? key->fallback : key->example);
                if (app && (i + 1 == n_config_keys || config_keys[i + 1].owner != KEY_OF_APP))
                        fputs(second_app, stream);
        }
        return fclose(stream) == 0 ? TAKE_PTR(text) : NULL;
}

/* The shipped file is the listing, loads as it is, and with every key uncommented is the defaults and
 * the applications of the examples. */
static void test_shipped_file(void **state) {
        cleanup(config_free) Config *defaults = NULL, *shipped = NULL, *uncommented = NULL;
        cleanup(config_free) Config *examples = NULL;
        cleanup_free char *text = NULL, *listing = config_listing();
        size_t n_uncommented = 0, n_examples = 4; /* two sections, two keys a second time */
        ConfigErrors errors;

        (void)state;
        assert_int_equal(config_load(NULL, &defaults, &errors), 0);
        assert_int_equal(
                file_read(AT_FDCWD, SOURCE_DIR "/etc/wpcached.conf", CONFIG_FILE_MAX, &text, NULL),
                0);
        if (strcmp(text, listing) != 0)
                fail_msg("etc/wpcached.conf should be:\n%s", listing);
        shipped = load_text(text);
        assert_same(shipped, defaults);

        for (char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n')
                if (p[0] == '#' && p[1] != ' ') {
                        memmove(p, p + 1, strlen(p));
                        n_uncommented++;
                }
        assert_int_equal(n_uncommented, n_config_keys + n_examples);
        uncommented = load_text(text);
        examples = load_text("[app frontend]\nroot=/srv/watch-party/frontend\n"
                             "caches=.next, .turbo, node_modules/.cache\n"
                             "[app backend]\nroot=/srv/watch-party/backend\n"
                             "caches=__pycache__\n");
        assert_same(uncommented, examples);
}

/* The manual page has every key under its section, and its default; and what makes a project. */
static void test_manual(void **state) {
        cleanup_free char *text = NULL;

        (void)state;
        assert_int_equal(
                file_read(AT_FDCWD, SOURCE_DIR "/docs/man/wpcached.conf.5", 1 << 20, &text, NULL),
                0);
        for (size_t i = 0; i < n_config_keys; i++) {
                const Key *key = &config_keys[i];
                char section[128], item[128], fallback[256], *p, *q;

                snprintf(section, sizeof section, ".Ss The [%s%s] section\n", key->section,
                         key->owner == KEY_OF_APP ? " NAME" : "");
                snprintf(item, sizeof item, "\n.It Ic %s Ns = Ns ", key->name);
                if (!key->fallback)
                        strcpy(fallback, "\nRequired.\n");
                else if (*key->fallback == '\0')
                        strcpy(fallback, "\nDefault: empty.\n");
                else
                        snprintf(fallback, sizeof fallback, "\nDefault:\n.Ql %s .\n",
                                 key->fallback);
                p = strstr(text, section);
                p = p ? strstr(p, item) : NULL;
                q = p ? strstr(p + 1, fallback) : NULL;
                if (!q || (strstr(p + 1, "\n.It Ic ") && strstr(p + 1, "\n.It Ic ") < q))
                        fail_msg("wpcached.conf(5) lacks [%s] %s or its default", key->section,
                                 key->name);
        }
        for (const char *const *marker = app_markers(); *marker; marker++) {
                char path[64];

                snprintf(path, sizeof path, "\n.Pa %s", *marker);
                if (!strstr(text, path))
                        fail_msg("wpcached.conf(5) lacks %s", *marker);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_defaults),
                cmocka_unit_test(test_every_key),
                cmocka_unit_test(test_syntax),
                cmocka_unit_test(test_long_comment),
                cmocka_unit_test(test_mistakes),
                cmocka_unit_test(test_values),
                cmocka_unit_test(test_mistake_changes_nothing),
                cmocka_unit_test(test_order),
                cmocka_unit_test(test_target_free_off),
                cmocka_unit_test(test_size_of),
                cmocka_unit_test(test_equal),
                cmocka_unit_test(test_nul),
                cmocka_unit_test(test_long_lines),
                cmocka_unit_test(test_globs_that_match_nothing),
                cmocka_unit_test(test_globs_too_long),
                cmocka_unit_test(test_quotes),
                cmocka_unit_test(test_lists_of_several_lines),
                cmocka_unit_test(test_lists_emptied),
                cmocka_unit_test(test_five_registry_names),
                cmocka_unit_test(test_limits),
                cmocka_unit_test(test_files),
                cmocka_unit_test(test_drop_ins),
                cmocka_unit_test(test_copy),
                cmocka_unit_test(test_restart_keys),
                cmocka_unit_test(test_apps),
                cmocka_unit_test(test_app_values),
                cmocka_unit_test(test_app_mistakes),
                cmocka_unit_test(test_app_drop_ins),
                cmocka_unit_test(test_app_limits),
                cmocka_unit_test(test_app_roots),
                cmocka_unit_test(test_app_roots_of_others),
                cmocka_unit_test(test_app_remarks),
                cmocka_unit_test(test_app_root_hidden),
                cmocka_unit_test(test_app_homes),
                cmocka_unit_test(test_app_root_line),
                cmocka_unit_test(test_shipped_file),
                cmocka_unit_test(test_manual),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
