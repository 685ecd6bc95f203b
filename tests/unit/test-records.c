/* SPDX-License-Identifier: MIT */

#include <stdio.h>
#include <string.h>

#include "test.h"

#include "base/io.h"
#include "docker/records.h"

#include <fcntl.h>

static const char *const root_path[] = { "", NULL };
static const char *const usage_paths[] = { "BuildCache", "BuildCacheUsage.Items", NULL };

/* What came out: the elements, each ended by '|', and the error. */
typedef struct Result {
        char text[16384];
        size_t n, n_elements;
        int error;
} Result;

static int take(void *userdata, const char *text, size_t n, Diag *reterr_diag) {
        Result *result = userdata;

        assert_true(result->n + n + 2 <= sizeof(result->text));
        memcpy(result->text + result->n, text, n);
        result->n += n;
        result->text[result->n++] = '|';
        result->text[result->n] = '\0';
        result->n_elements++;
        if (n == 6 && memcmp(text, "\"stop\"", 6) == 0)
                return diag_set(reterr_diag, -EMLINK, "stopped");
        return 0;
}

/* Takes flat objects in one piece and nothing else. */
static ssize_t take_flat(void *userdata, const char *text, size_t n, Diag *reterr_diag) {
        size_t end = 1;

        if (*text != '{')
                return 0;
        while (end < n && !strchr("\"{}[]\\", text[end]))
                end++;
        if (end >= n || text[end] != '}')
                return 0;

        take(userdata, text, end + 1, reterr_diag);
        return (ssize_t)end + 1;
}

/* Feeds text[0..n) in pieces of `step` bytes, each a copy of its own size, the first of `first`. */
static Result feed(const char *const *paths, size_t max, RecordsShortcut shortcut, const char *text,
                   size_t n, size_t first, size_t step) {
        cleanup(records_free) Records *records = NULL;
        Result result = { .n = 0 };
        size_t at = 0, piece = first;
        Diag diag = DIAG_NULL;

        assert_int_equal(records_new(paths, max, take, shortcut, &result, &records), 0);
        for (; at < n && result.error == 0; at += piece, piece = step) {
                char *copy;

                piece = MIN(MAX(piece, (size_t)1), n - at);
                copy = malloc(piece);
                assert_non_null(copy);
                memcpy(copy, text + at, piece);
                result.error = records_feed(records, copy, piece, &diag);
                free(copy);
        }
        if (result.error == 0)
                result.error = records_finish(records, &diag);
        else /* spent */
                assert_int_equal(records_feed(records, "]", 1, NULL), result.error);
        assert_int_equal(*diag.text == '\0', result.error == 0);
        return result;
}

static void expect(const char *text, const Result *result, const char *elements, int error) {
        if (result->error != error || strcmp(result->text, elements) != 0)
                fail_msg("%s: %d \"%s\", expected %d \"%s\"", text, result->error, result->text,
                         error, elements);
}

/* In one piece, byte by byte, in steps, and cut in two at each place, with and without shortcut. */
static void check(const char *const *paths, size_t max, const char *text, const char *elements,
                  int error) {
        static const RecordsShortcut shortcuts[] = { NULL, take_flat };
        size_t n = strlen(text);

        for (size_t i = 0; i < ELEMENTSOF(shortcuts); i++) {
                for (size_t step = 1; step < 8; step++) {
                        Result result = feed(paths, max, shortcuts[i], text, n, step, step);

                        expect(text, &result, elements, error);
                }
                for (size_t cut = 1; cut <= n; cut++) {
                        Result result = feed(paths, max, shortcuts[i], text, n, cut, n);

                        expect(text, &result, elements, error);
                }
        }
}

static void test_root(void **state) {
        static const struct {
                const char *text, *elements;
                int error;
        } cases[] = {
                { "[]", "", 0 },
                { " [ ] \n", "", 0 },
                { "null", "", 0 },
                { " null ", "", 0 },
                { "[{}]", "{}|", 0 },
                { "[{},{}]", "{}|{}|", 0 },
                { "[ {\"a\":1} , {\"b\":[1,{}]} ]\n", "{\"a\":1}|{\"b\":[1,{}]}|", 0 },
                { "[1,-2.5e3,true,null,\"x\",[],[[]]]", "1|-2.5e3|true|null|\"x\"|[]|[[]]|", 0 },
                { "[1 , 2\t,3\n]", "1|2|3|", 0 },
                { "[\"a,b\",\"]\",\"}\"]", "\"a,b\"|\"]\"|\"}\"|", 0 },
                { "[\"\\\"\",\"\\\\\",\"\\\\\\\"]\"]", "\"\\\"\"|\"\\\\\"|\"\\\\\\\"]\"|", 0 },
                { "[{\"a\":\"}\\\"]{[\"}]", "{\"a\":\"}\\\"]{[\"}|", 0 },
                { "[\"stop\",1]", "\"stop\"|", -EMLINK },
                { "", "", -EBADMSG },
                { " ", "", -EBADMSG },
                { "[", "", -EBADMSG },
                { "[1", "", -EBADMSG },
                { "[1,", "1|", -EBADMSG },
                { "[{}", "{}|", -EBADMSG },
                { "[{\"a\":\"", "", -EBADMSG },
                { "[1,]", "1|", -EBADMSG },
                { "[,1]", "", -EBADMSG },
                { "[1 2]", "1|", -EBADMSG },
                { "[{}{}]", "{}|", -EBADMSG },
                { "[]]", "", -EBADMSG },
                { "[][]", "", -EBADMSG },
                { "[1}", "1|", -EBADMSG },
                { "[}", "", -EBADMSG },
                { "[:]", "", -EBADMSG },
                { "{}", "", -EBADMSG },
                { "{\"message\":\"x\"}", "", -EBADMSG },
                { "nul", "", -EBADMSG },
                { "nulll", "", -EBADMSG },
                { "nullnull", "", -EBADMSG },
                { "true", "", -EBADMSG },
                { "1", "", -EBADMSG },
                { "\"x\"", "", -EBADMSG },
                { "<html>", "", -EBADMSG },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                check(root_path, RECORDS_ELEMENT_MAX, cases[i].text, cases[i].elements,
                      cases[i].error);
}

static void test_paths(void **state) {
        static const struct {
                const char *text, *elements;
                int error;
        } cases[] = {
                { "{}", "", 0 },
                { "{\"BuildCache\":null}", "", 0 },
                { "{\"BuildCache\":[]}", "", 0 },
                { "{\"BuildCache\":[1,2]}", "1|2|", 0 },
                { "{\"BuildCache\" : [ 1 , 2 ] , \"x\" : 3 }", "1|2|", 0 },
                { "{\"BuildCacheUsage\":{}}", "", 0 },
                { "{\"BuildCacheUsage\":null}", "", 0 },
                { "{\"BuildCacheUsage\":{\"Items\":null}}", "", 0 },
                { "{\"BuildCacheUsage\":{\"Items\":[1],\"TotalCount\":1}}", "1|", 0 },
                /* the same records twice: those that come first */
                { "{\"BuildCache\":[1,2],\"BuildCacheUsage\":{\"Items\":[1,2]}}", "1|2|", 0 },
                { "{\"BuildCacheUsage\":{\"Items\":[1,2]},\"BuildCache\":[3]}", "1|2|", 0 },
                { "{\"BuildCache\":null,\"BuildCacheUsage\":{\"Items\":[1,2]}}", "1|2|", 0 },
                { "{\"BuildCache\":[],\"BuildCacheUsage\":{\"Items\":[1,2]}}", "1|2|", 0 },
                { "{\"BuildCache\":[1],\"BuildCache\":[2]}", "1|", 0 },
                /* what only looks like it */
                { "{\"Images\":[{\"BuildCache\":[1]}]}", "", 0 },
                { "{\"x\":{\"BuildCache\":[1]}}", "", 0 },
                { "{\"x\":{\"BuildCacheUsage\":{\"Items\":[1]}}}", "", 0 },
                { "{\"Items\":[1]}", "", 0 },
                { "{\"BuildCacheUsage\":{\"x\":{\"Items\":[1]}}}", "", 0 },
                { "{\"BuildCacheUsage\":{\"x\":1,\"y\":[{}],\"Items\":[2]}}", "2|", 0 },
                { "{\"BuildCacheUsage.Items\":[1]}", "", 0 },
                { "{\"BuildCach\":[1],\"BuildCachee\":[1],\"buildcache\":[1],\"\":[1]}", "", 0 },
                { "{\"BuildCache\\u0020\":[1]}", "", 0 },
                { "{\"a\":\"\\\"BuildCache\\\":[1]\",\"BuildCache\":[2]}", "2|", 0 },
                { "{\"x\":[1,\"a\",{\"b\":[true,null,-1.5]}],\"BuildCache\":[[{}]]}", "[{}]|", 0 },
                /* something else in its place */
                { "{\"BuildCache\":{}}", "", -EBADMSG },
                { "{\"BuildCache\":\"x\"}", "", -EBADMSG },
                { "{\"BuildCache\":1}", "", -EBADMSG },
                { "{\"BuildCache\":false}", "", -EBADMSG },
                { "{\"BuildCache\":nul}", "", -EBADMSG },
                { "{\"BuildCache\":nullx}", "", -EBADMSG },
                { "{\"BuildCacheUsage\":[]}", "", -EBADMSG },
                { "{\"BuildCacheUsage\":{\"Items\":{}}}", "", -EBADMSG },
                { "[]", "", -EBADMSG },
                { "null", "", -EBADMSG },
                { "\"BuildCache\"", "", -EBADMSG },
                /* broken outside of it */
                { "{\"BuildCache\":[1]", "1|", -EBADMSG },
                { "{\"BuildCache\":[1],}", "1|", -EBADMSG },
                { "{\"BuildCache\":[1]]", "1|", -EBADMSG },
                { "{\"BuildCache\"}", "", -EBADMSG },
                { "{\"BuildCache\",[1]}", "", -EBADMSG },
                { "{,}", "", -EBADMSG },
                { "{1:2}", "", -EBADMSG },
                { "{\"a\":}", "", -EBADMSG },
                { "{\"a\":[}", "", -EBADMSG },
                { "{\"a\":[1}", "", -EBADMSG },
                { "{\"a\":{]", "", -EBADMSG },
                { "{\"a\":1 2}", "", -EBADMSG },
                { "{\"a\":1}x", "", -EBADMSG },
                { "{\"a\":*}", "", -EBADMSG },
                { "{\"a\":\"", "", -EBADMSG },
                { "{\"", "", -EBADMSG },
                { "{\"a\\\"", "", -EBADMSG },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                check(usage_paths, RECORDS_ELEMENT_MAX, cases[i].text, cases[i].elements,
                      cases[i].error);
}

static void test_element_max(void **state) {
        (void)state;
        check(root_path, 5, "[12345,\"abc\",[1,2],{   }]", "12345|\"abc\"|[1,2]|{   }|", 0);
        check(root_path, 5, "[1,123456]", "1|", -EMSGSIZE);
        check(root_path, 5, "[1,123456,", "1|", -EMSGSIZE);
        check(root_path, 5, "[1,\"abcd\"]", "1|", -EMSGSIZE);
        check(root_path, 5, "[1,[12,3]]", "1|", -EMSGSIZE);
        check(root_path, 5, "[1,{    }]", "1|", -EMSGSIZE);
        /* what lies outside has no such limit */
        check(usage_paths, 2, "{\"a\":[12345],\"BuildCache\":[1]}", "1|", 0);
}

static void test_depth(void **state) {
        char text[256];

        (void)state;
        for (size_t depth = 2; depth < 80; depth++) {
                int expected = depth <= 64 ? 0 : -EBADMSG;
                Result result;

                memset(text, '[', depth);
                memset(text + depth, ']', depth);
                for (size_t step = 1; step < 200; step += 19) {
                        result = feed(root_path, 1000, NULL, text, depth * 2, step, step);
                        assert_int_equal(result.error, expected);
                        assert_int_equal(result.n_elements, expected == 0);
                }

                memcpy(text, "{\"x\":", 5);
                memset(text + 5, '[', depth - 1);
                memset(text + 4 + depth, ']', depth - 1);
                text[3 + depth * 2] = '}';
                for (size_t step = 1; step < 200; step += 19) {
                        result = feed(usage_paths, 1000, NULL, text, 4 + depth * 2, step, step);
                        assert_int_equal(result.error, expected);
                }
        }
}

/* A string that ends in a run of backslashes, cut anywhere. */
static void test_backslashes(void **state) {
        (void)state;
        for (size_t n = 0; n < 20; n++) {
                char text[64] = "[\"", elements[64] = "\"";

                memset(text + 2, '\\', n);
                memset(elements + 1, '\\', n);
                if (n % 2 == 0) {
                        strcat(text, "\",1]");
                        strcat(elements, "\"|1|");
                        check(root_path, 100, text, elements, 0);
                } else {
                        strcat(text, "\",1]");
                        check(root_path, 100, text, "", -EBADMSG);
                }
        }
}

static void test_fixtures(void **state) {
        static const struct {
                const char *name;
                const char *const *paths;
                size_t n;
        } cases[] = {
                { "20-df.json", usage_paths, 9 },       { "28-df.json", usage_paths, 9 },
                { "29-df.json", usage_paths, 9 },       { "29-df-verbose.json", usage_paths, 9 },
                { "20-images.json", root_path, 4 },     { "29-images.json", root_path, 1 },
                { "28-containers.json", root_path, 3 },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                cleanup_free char *text = NULL;
                char path[512];
                Result whole;
                size_t n;

                snprintf(path, sizeof(path), "%s/tests/unit/fixtures/%s", SOURCE_DIR,
                         cases[i].name);
                assert_int_equal(file_read(AT_FDCWD, path, 1U << 20, &text, &n), 0);
                whole = feed(cases[i].paths, RECORDS_ELEMENT_MAX, NULL, text, n, n, n);
                assert_int_equal(whole.error, 0);
                assert_int_equal(whole.n_elements, cases[i].n);
                for (size_t step = 1; step < n; step = step * 3 / 2 + 1) {
                        Result pieces = feed(cases[i].paths, RECORDS_ELEMENT_MAX, NULL, text, n,
                                             step, step);

                        expect(cases[i].name, &pieces, whole.text, 0);
                }
                for (size_t cut = 0; cut + 2 < n; cut += 7) {
                        Result pieces =
                                feed(cases[i].paths, RECORDS_ELEMENT_MAX, NULL, text, cut, cut, 1);

                        assert_int_equal(pieces.error, -EBADMSG);
                }
        }
}

static void test_new(void **state) {
        static const char *const many[] = { "a", "b", "c", "d", "e", NULL };
        Records *records = NULL;

        (void)state;
        assert_int_equal(records_new(many, 10, take, NULL, NULL, &records), -EINVAL);
        assert_null(records);
        assert_null(records_free(NULL));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_root),        cmocka_unit_test(test_paths),
                cmocka_unit_test(test_element_max), cmocka_unit_test(test_depth),
                cmocka_unit_test(test_backslashes), cmocka_unit_test(test_fixtures),
                cmocka_unit_test(test_new),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
