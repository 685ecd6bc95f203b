/* SPDX-License-Identifier: MIT */

#include "conf/config.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "conf/keys.h"
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

/* Loads "f": the Config, or NULL and the errors, a line each. */
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

static void assert_same(const Config *a, const Config *b) {
        for (size_t i = 0; i < n_config_keys; i++)
                if (!key_equal(&config_keys[i], a, b))
                        fail_msg("[%s] %s differs", config_keys[i].section, config_keys[i].name);
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
        assert_false(config->external_builders_ignore);
        assert_int_equal(config->match.n, 1);
        assert_string_equal(config->match.v[0], "watchparty-*");
        assert_int_equal(config->protect.n, 0);
        assert_int_equal(config->base.n, 0);
        assert_null(config->project);
        assert_false(config->dangling_all);
        assert_string_equal(config->rollback_tag, "wpcache-rollback");
        assert_string_equal(config->control_socket, "/run/wpcache/io.watchparty.Cache");
        assert_int_equal(config->operators.n, 1);
        assert_string_equal(config->operators.v[0], "wpcache");
        assert_int_equal(config->readers.n, 1);
        assert_string_equal(config->readers.v[0], "wpcache");
}

static void test_every_key(void **state) {
        cleanup(config_free) Config *config = load_text("[docker]\n"
                                                        "host = unix:///tmp/d.sock\n"
                                                        "timeout=5\n"
                                                        "prune_timeout=1h 30min\n"
                                                        "[poll]\n"
                                                        "interval=1d\n"
                                                        "[builder]\n"
                                                        "external_builders=ignore\n"
                                                        "[images]\n"
                                                        "match=a-*,\tteam/b-?:v[0-9] , c[!]]\n"
                                                        "project=watch-party_1\n"
                                                        "protect=*:stable\n"
                                                        "base=python, node\n"
                                                        "dangling=all\n"
                                                        "rollback_tag=_old\n"
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
        assert_true(config->external_builders_ignore);
        assert_int_equal(config->match.n, 3);
        assert_string_equal(config->match.v[1], "team/b-?:v[0-9]");
        assert_string_equal(config->match.v[2], "c[!]]");
        assert_string_equal(config->project, "watch-party_1");
        assert_int_equal(config->protect.n, 1);
        assert_int_equal(config->base.n, 2);
        assert_true(config->dangling_all);
        assert_string_equal(config->rollback_tag, "_old");
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
                "[images] ; comment\nmatch=x;y ; comment = # x\n",
                "[images]\nmatch=\nproject=p\n",
                "[images]\nproject=p\nmatch=\n",
                "[images]\nproject=\n",
                "[images]\nmatch=\\[x\n",
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
                { "[policy]\nmode=observe\n[poll]\ninterval=0\n",
                  "f:1: [policy]: unknown section\n"
                  "f:4: [poll] interval: '0' is too short; the least is 1s" },
                { "[]\n", "f:1: []: unknown section" },
                { "[metrics]\n", "f:1: [metrics]: unknown section" },

                /* keys */
                { "[images]\nmach=x\n", "f:2: [images] mach: unknown key; did you mean 'match'?" },
                { "[images]\nMatch=x\n",
                  "f:2: [images] Match: unknown key; did you mean 'match'?" },
                { "[poll]\ntimeout=1s\n",
                  "f:2: [poll] timeout: unknown key; it belongs to [docker]" },
                { "[poll]\nzzz=1s\n", "f:2: [poll] zzz: unknown key" },
                { "[images]\nmatch=a\n\n[images]\nmatch=b\n",
                  "f:5: [images] match: set twice, before in line 2" },

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
                  "f:2: [docker] timeout: '' is no span of time as in 90s, 5min or 1h 30min" },
                { "[docker]\ntimeout=5x\n",
                  "f:2: [docker] timeout: '5x' is no span of time as in 90s, 5min or 1h 30min" },
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
                { "[images]\nmatch=a[b/c]\n",
                  "f:2: [images] match: 'a[b/c]' has a '[' without its ']'" },
                { "[images]\nmatch=b,a]\n", "f:2: [images] match: 'a]' has a ']' without its '['" },
                { "[images]\nmatch=a\\\n", "f:2: [images] match: 'a\\' ends in a backslash" },
                { "[images]\nmatch=\n",
                  "f:2: [images] match: empty, with no project set: no image would ever be "
                  "cleared" },
                { "[images]\nmatch= , ;\n",
                  "f:2: [images] match: empty, with no project set: no image would ever be "
                  "cleared" },
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

                        snprintf(expected, sizeof expected,
                                 "f:2: the line has %zu characters; %d are possible\n"
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
        config = load_text("[docker]\ntimeout=5s\n[images]\nmatch=a,b\nproject=p\ndangling=all\n");
        assert_int_equal(config_copy(config, &copy), 0);
        assert_same(config, copy);
        assert_string_equal(copy->file, "f");
        assert_ptr_not_equal(copy->project, config->project);
        config_free(TAKE_PTR(config));
        assert_string_equal(copy->match.v[1], "b");

        assert_int_equal(config_load(NULL, &defaults, &errors), 0);
        assert_int_equal(config_copy(defaults, &bare), 0);
        assert_same(defaults, bare);
        assert_null(bare->file);
        assert_null(config_free(NULL));
}

static void test_restart_keys(void **state) {
        cleanup(config_free) Config *a = load_text("[docker]\ntimeout=5s\n");
        cleanup(config_free) Config *b = load_text("[control]\nsocket=/x\nreaders=\n");
        cleanup(strv_done) Strv keys = STRV_NULL;

        (void)state;
        assert_int_equal(config_restart_keys(a, a, &keys), 0);
        assert_int_equal(keys.n, 0);
        assert_int_equal(config_restart_keys(a, b, &keys), 0);
        assert_int_equal(keys.n, 1);
        assert_string_equal(keys.v[0], "[control] socket");
}

/* The shipped file is the listing, loads as it is, and with every key uncommented is the defaults. */
static void test_shipped_file(void **state) {
        cleanup(config_free) Config *defaults = NULL, *shipped = NULL, *uncommented = NULL;
        cleanup_free char *text = NULL, *listing = config_listing();
        size_t n_uncommented = 0;
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
        assert_int_equal(n_uncommented, n_config_keys);
        uncommented = load_text(text);
        assert_same(uncommented, defaults);
}

/* The manual page has every key under its section, and its default. */
static void test_manual(void **state) {
        cleanup_free char *text = NULL;

        (void)state;
        assert_int_equal(
                file_read(AT_FDCWD, SOURCE_DIR "/docs/man/wpcached.conf.5", 1 << 20, &text, NULL),
                0);
        for (size_t i = 0; i < n_config_keys; i++) {
                const Key *key = &config_keys[i];
                char section[128], item[128], fallback[256], *p, *q;

                snprintf(section, sizeof section, ".Ss The [%s] section\n", key->section);
                snprintf(item, sizeof item, "\n.It Ic %s Ns = Ns ", key->name);
                snprintf(fallback, sizeof fallback, "\nDefault:\n.Ql %s .\n", key->fallback);
                if (*key->fallback == '\0')
                        strcpy(fallback, "\nDefault: empty.\n");
                p = strstr(text, section);
                p = p ? strstr(p, item) : NULL;
                q = p ? strstr(p + 1, fallback) : NULL;
                if (!q || (strstr(p + 1, "\n.It Ic ") && strstr(p + 1, "\n.It Ic ") < q))
                        fail_msg("wpcached.conf(5) lacks [%s] %s or its default", key->section,
                                 key->name);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_defaults),     cmocka_unit_test(test_every_key),
                cmocka_unit_test(test_syntax),       cmocka_unit_test(test_long_comment),
                cmocka_unit_test(test_mistakes),     cmocka_unit_test(test_nul),
                cmocka_unit_test(test_long_lines),   cmocka_unit_test(test_limits),
                cmocka_unit_test(test_files),        cmocka_unit_test(test_drop_ins),
                cmocka_unit_test(test_copy),         cmocka_unit_test(test_restart_keys),
                cmocka_unit_test(test_shipped_file), cmocka_unit_test(test_manual),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
