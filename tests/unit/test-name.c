/* SPDX-License-Identifier: MIT */

#include <string.h>

#include "test.h"

#include "docker/name.h"

static void test_parts(void **state) {
        static const struct {
                const char *name, *repository, *tag;
        } cases[] = {
                { "app:1", "app", "1" },
                { "app", "app", NULL },
                { "localhost:5000/web", "localhost:5000/web", NULL },
                { "localhost:5000/a/b:tag", "localhost:5000/a/b", "tag" },
                { "reg.example.com/a/b:v1.2-3_4", "reg.example.com/a/b", "v1.2-3_4" },
                { "app@sha256:0123", "app", NULL },
                { "app:1@sha256:0123", "app", NULL },
                { "localhost:5000/web@sha256:0123", "localhost:5000/web", NULL },
                { "", "", NULL },
                { ":", "", "" },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                size_t n = name_repository_length(cases[i].name);

                assert_int_equal(n, strlen(cases[i].repository));
                assert_memory_equal(cases[i].name, cases[i].repository, n);
                if (cases[i].tag)
                        assert_string_equal(name_tag(cases[i].name), cases[i].tag);
                else
                        assert_null(name_tag(cases[i].name));
        }
}

static void test_matches(void **state) {
        static const struct {
                const char *glob, *name;
                bool matches;
        } cases[] = {
                /* without '/': the last component */
                { "watchparty-*", "watchparty-web:1", true },
                { "watchparty-*", "watchparty-:1", true },
                { "watchparty-*", "watchparty:1", false },
                { "watchparty-*", "localhost:5000/team/watchparty-web:1", true },
                { "watchparty-*", "watchparty-web/base:1", false },
                { "watchparty-*", "my-watchparty-web:1", false },
                { "*", "a/b/c:1", true },
                { "app", "app:latest", true },
                { "app", "app", true },
                { "app", "app2:latest", false },
                { "ap?", "app:1", true },
                { "[ab]pp", "bpp:1", true },
                { "[!ab]pp", "bpp:1", false },
                { "[[:alpha:]]pp", "app:1", true },
                { "[[:digit:]]pp", "app:1", false },
                /* with '/': the whole repository */
                { "team/app", "team/app:1", true },
                { "team/app", "localhost:5000/team/app:1", false },
                { "team/*", "team/app:1", true },
                { "team/*", "team/sub/app:1", false },
                { "*/app", "team/app:1", true },
                { "*/app", "a/b/app:1", false },
                { "*/*/app", "a/b/app:1", true },
                { "localhost:5000/*", "localhost:5000/app:1", true },
                { "localhost:5000/*", "localhost:5001/app:1", false },
                { "localhost:*/app", "localhost:5000/app:1", true },
                /* with ':' behind the last '/': the tag as well */
                { "app:1", "app:1", true },
                { "app:1", "app:2", false },
                { "app:1", "team/app:1", true },
                { "app:*", "app:2", true },
                { "app:v*", "app:1", false },
                { "app:v*", "app", false },
                { "team/app:v?", "team/app:v2", true },
                { "team/app:v?", "team/app:v22", false },
                { "*:latest", "a/b:latest", true },
                { "*:latest", "a/b:1", false },
                { "app:[0-9]*", "app:2024", true },
                { "app*", "app:x", true },
                /* by digest: no tag */
                { "app", "app@sha256:0123", true },
                { "app:*", "app:1@sha256:0123", false },
                /* what can't be divided matches nothing */
                { "", "app:1", false },
                { "[app", "[app:1", false },
                { "app\\", "app:1", false },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                if (name_matches(cases[i].glob, cases[i].name) != cases[i].matches)
                        fail_msg("\"%s\" and \"%s\"", cases[i].glob, cases[i].name);
}

static void test_matches_any(void **state) {
        Strv globs = STRV_NULL;

        (void)state;
        assert_false(name_matches_any(&globs, "app:1"));
        assert_int_equal(strv_split(&globs, "web, app:2, app:1"), 0);
        assert_true(name_matches_any(&globs, "app:1"));
        assert_false(name_matches_any(&globs, "app:3"));
        strv_done(&globs);
}

static void test_too_long(void **state) {
        char longer[1024];

        (void)state;
        memset(longer, 'x', sizeof(longer) - 1);
        longer[sizeof(longer) - 1] = '\0';
        assert_false(name_matches("*", longer));
        assert_false(name_matches(longer, "app:1"));
}

/* Names of one repository whose tags differ in their version alone. */
static void test_releases(void **state) {
        static const struct {
                const char *a, *b;
                bool same;
        } cases[] = {
                { "web:41", "web:42", true },
                { "web:1.2.0", "web:1.3", true },
                { "web:1.2-base", "web:1.3-base", true },
                { "web:1.2-base", "web:1.2-api", false },
                { "web:2026-11-30", "web:2026-12-01", true },
                { "web:v1.2", "web:43", true },
                { "web:latest", "web:latest", true },
                { "web:latest", "web:v1", true },
                { "web:4be1a2c", "web:f00d123", true },
                { "web:release-41", "web:release-42", true },
                { "localhost:5000/web:1", "localhost:5000/web:2", true },
                { "web:1", "web-base:1", false },
                { "web2:1", "web3:1", false },
                { "web:base", "web:42", false },
                { "web:base-1", "web:api-1", false },
                { "web:base", "web:latest", false },
                { "localhost:5000/web", "localhost:5001/web", false },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint64_t a, b;

                assert_int_equal(name_release_hash(cases[i].a, &a), 0);
                assert_int_equal(name_release_hash(cases[i].b, &b), 0);
                if ((a == b) != cases[i].same)
                        fail_msg("\"%s\" and \"%s\"", cases[i].a, cases[i].b);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parts),       cmocka_unit_test(test_matches),
                cmocka_unit_test(test_matches_any), cmocka_unit_test(test_too_long),
                cmocka_unit_test(test_releases),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
