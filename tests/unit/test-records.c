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

static int take(void *userdata, const char *text, size_t n, const char *defect, Diag *reterr_diag) {
        Result *result = userdata;

        assert_true(result->n + n + 3 <= sizeof(result->text));
        if (defect)
                result->text[result->n++] = '!';
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

        take(userdata, text, end + 1, NULL, reterr_diag);
        return (ssize_t)end + 1;
}

/* Feeds text[0..n) in pieces of `step` bytes, each a copy of its own size, the first of `first`. */
static Result feed(const RecordsWant *want, RecordsShortcut shortcut, const char *text, size_t n,
                   size_t first, size_t step) {
        cleanup(records_free) Records *records = NULL;
        Result result = { .n = 0 };
        size_t at = 0, piece = first;
        Diag diag = DIAG_NULL;

        assert_int_equal(records_new(want, take, shortcut, &result, &records), 0);
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
static void check_want(const RecordsWant *want, const char *text, const char *elements, int error) {
        static const RecordsShortcut shortcuts[] = { NULL, take_flat };
        size_t n = strlen(text);

        for (size_t i = 0; i < ELEMENTSOF(shortcuts); i++) {
                for (size_t step = 1; step < 8; step++) {
                        Result result = feed(want, shortcuts[i], text, n, step, step);

                        expect(text, &result, elements, error);
                }
                for (size_t cut = 1; cut <= n; cut++) {
                        Result result = feed(want, shortcuts[i], text, n, cut, n);

                        expect(text, &result, elements, error);
                }
        }
}

static void check(const char *const *paths, size_t max, const char *text, const char *elements,
                  int error) {
        const RecordsWant want = { .paths = paths, .element_max = max };

        check_want(&want, text, elements, error);
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
                /* which of the two is meant? */
                { "{\"BuildCache\":[1],\"BuildCache\":[2]}", "1|", -EBADMSG },
                { "{\"BuildCache\":null,\"BuildCache\":[2]}", "", -EBADMSG },
                { "{\"BuildCacheUsage\":{\"Items\":[1],\"Items\":null}}", "1|", -EBADMSG },
                /* absent is not empty */
                { "{}", "", -EBADMSG },
                { "{\"LayersSize\":0,\"Images\":null}", "", -EBADMSG },
                /* what only looks like it */
                { "{\"Images\":[{\"BuildCache\":[1]}]}", "", -EBADMSG },
                { "{\"x\":{\"BuildCache\":[1]}}", "", -EBADMSG },
                { "{\"x\":{\"BuildCacheUsage\":{\"Items\":[1]}}}", "", -EBADMSG },
                { "{\"Items\":[1]}", "", -EBADMSG },
                { "{\"BuildCacheUsage\":{\"x\":{\"Items\":[1]}}}", "", 0 },
                { "{\"BuildCacheUsage\":{\"x\":1,\"y\":[{}],\"Items\":[2]}}", "2|", 0 },
                { "{\"BuildCacheUsage.Items\":[1]}", "", -EBADMSG },
                { "{\"BuildCach\":[1],\"BuildCachee\":[1],\"buildcache\":[1],\"\":[1]}", "",
                  -EBADMSG },
                { "{\"BuildCache\\u0020\":[1]}", "", -EBADMSG },
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
        check(root_path, 5, "[1,123456]", "1|!|", 0);
        check(root_path, 5, "[1,123456,", "1|!|", -EBADMSG);
        check(root_path, 5, "[1,\"abcd\",2]", "1|!|2|", 0);
        check(root_path, 5, "[1,[12,3],[]]", "1|!|[]|", 0);
        check(root_path, 5, "[1,{    },2]", "1|!|2|", 0);
        /* what lies outside has no such limit */
        check(usage_paths, 2, "{\"a\":[12345],\"BuildCache\":[1]}", "1|", 0);
}

/* Nothing is wrong with a value that is nested deeply, unless it was to be handed out. */
static void test_depth(void **state) {
        static const char *const deep_keep[] = { "a", "b", NULL };
        const RecordsWant root = { .paths = root_path, .element_max = 100000 };
        const RecordsWant usage = { .paths = usage_paths, .element_max = 100000 };
        const RecordsWant keep = { root_path, deep_keep, 100000 };
        char text[5000];

        (void)state;
        for (size_t depth = 2; depth < 1000; depth = depth < 80 ? depth + 1 : depth * 3) {
                for (size_t step = 1; step < 200; step += 19) {
                        char open[1001] = "", close[1001] = "";
                        Result result;

                        memset(open, '[', depth);
                        memset(close, ']', depth);
                        snprintf(text, sizeof(text), "[%s%s,7]", open, close);
                        result = feed(&root, NULL, text, strlen(text), step, step);
                        assert_int_equal(result.error, 0);
                        assert_int_equal(result.n_elements, 2);
                        assert_int_equal(result.text[0] == '!', depth >= 64);

                        snprintf(text, sizeof(text), "{\"x\":%s\"]\\\"\"%s,\"BuildCache\":[1]}",
                                 open, close);
                        result = feed(&usage, NULL, text, strlen(text), step, step);
                        expect(text, &result, "1|", 0);

                        snprintf(text, sizeof(text), "[{\"a\":1,\"x\":%s%s,\"b\":2},3]", open,
                                 close);
                        result = feed(&keep, NULL, text, strlen(text), step, step);
                        expect(text, &result, "{\"a\":1,\"b\":2}|3|", 0);

                        if (depth < 64)
                                continue;
                        snprintf(text, sizeof(text), "[{\"a\":%s%s,\"b\":2},3]", open, close);
                        result = feed(&keep, NULL, text, strlen(text), step, step);
                        expect(text, &result, "!{\"b\":2}|3|", 0);

                        snprintf(text, sizeof(text), "[{\"a\":%s", open);
                        result = feed(&keep, NULL, text, strlen(text), step, step);
                        expect(text, &result, "", -EBADMSG);
                }
        }
}

/* Of each element only what is wanted, whatever stands beside it. */
static void test_keep(void **state) {
        static const char *const keep[] = { "Id",          "RepoTags", "Labels/a.b", "Mounts/Type",
                                            "Mounts/Name", "S/T/U",    NULL };
        static const struct {
                const char *text, *elements;
                int error;
        } cases[] = {
                { "[{}]", "{}|", 0 },
                { "[{\"Id\":\"x\"}]", "{\"Id\":\"x\"}|", 0 },
                { "[ { \"Id\" : \"x\" , \"y\" : 1 } ]", "{\"Id\":\"x\"}|", 0 },
                { "[{\"y\":{\"Id\":1},\"Id\":2},{\"z\":[{\"Id\":3}]}]", "{\"Id\":2}|{}|", 0 },
                { "[{\"RepoTags\":[\"a:1\", {\"Id\":[ ]}],\"Size\":1}]",
                  "{\"RepoTags\":[\"a:1\", {\"Id\":[ ]}]}|", 0 },
                { "[{\"Labels\":{\"x\\u0000\":\"\\\"}\",\"a.b\":\"c\",\"d\":null},\"Id\":1}]",
                  "{\"Labels\":{\"a.b\":\"c\"},\"Id\":1}|", 0 },
                { "[{\"Labels\":null,\"Id\":1}]", "{\"Labels\":null,\"Id\":1}|", 0 },
                { "[{\"Labels\":{},\"Mounts\":[]}]", "{\"Labels\":{},\"Mounts\":[]}|", 0 },
                { "[{\"Labels\":[{\"a.b\":1}],\"a.b\":2}]", "{\"Labels\":[{\"a.b\":1}]}|", 0 },
                { "[{\"Mounts\":[{\"Type\":\"bind\",\"RW\":true},7,{\"Name\":\"n\"},{}]}]",
                  "{\"Mounts\":[{\"Type\":\"bind\"},7,{\"Name\":\"n\"},{}]}|", 0 },
                { "[{\"S\":{\"T\":{\"U\":1,\"V\":2},\"U\":3},\"T\":{\"U\":4}}]",
                  "{\"S\":{\"T\":{\"U\":1}}}|", 0 },
                /* no object */
                { "[1,\"Id\",null,[{\"Id\":1}]]", "1|\"Id\"|null|[{\"Id\":1}]|", 0 },
                /* twice: neither is taken for the right one */
                { "[{\"Id\":1,\"x\":2,\"Id\":3},4]", "!{\"Id\":1}|4|", 0 },
                { "[{\"x\":1,\"x\":2,\"Id\":3}]", "{\"Id\":3}|", 0 },
                { "[{\"Labels\":{\"a.b\":1,\"a.b\":2},\"Id\":3}]", "!{\"Id\":3}|", 0 },
                { "[{\"Mounts\":[],\"Id\":1,\"Mounts\":[{\"Type\":1}]}]",
                  "!{\"Mounts\":[],\"Id\":1}|", 0 },
                /* what is not wanted has to be JSON as well */
                { "[{\"x\":[1}]", "", -EBADMSG },
                { "[{\"x\":{\"y\"}}]", "", -EBADMSG },
                { "[{\"x\" 1}]", "", -EBADMSG },
                { "[{\"x\":1,}]", "", -EBADMSG },
                { "[{\"x\":*}]", "", -EBADMSG },
                { "[{\"Id\":1,\"x\":\"", "", -EBADMSG },
        };
        const RecordsWant want = { root_path, keep, 200 };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                for (size_t step = 1; step <= strlen(cases[i].text); step++) {
                        Result result =
                                feed(&want, NULL, cases[i].text, strlen(cases[i].text), step, step);

                        expect(cases[i].text, &result, cases[i].elements, cases[i].error);
                }
}

/* A member that is not wanted may be of any size; a wanted one that is too long is left out alone. */
static void test_keep_max(void **state) {
        static const char *const keep[] = { "Id", "Tags", "L/p", NULL };
        const RecordsWant want = { root_path, keep, 60 };
        static char text[3 << 20];

        (void)state;
        for (size_t i = 0; i < 4; i++) {
                static const char *const names[] = { "x", "Tags", "L", "L" };
                static const char *const expected[] = { "{\"Id\":1,\"L\":{\"p\":\"q\"}}|2|",
                                                        "!{\"Id\":1,\"L\":{\"p\":\"q\"}}|2|",
                                                        "!{\"Id\":1}|2|", "!{\"Id\":1}|2|" };
                size_t n;

                snprintf(text, 100, "[{\"Id\":1,\"%s\":%s", names[i],
                         i < 2    ? "[\""
                         : i == 2 ? "{\"p\":\""
                                  : "{\"r\":[],\"p\":\"");
                n = strlen(text);
                memset(text + n, 'y', 2 << 20);
                n += 2 << 20;
                strcpy(text + n,
                       i < 2 ? "\"],\"L\":{\"z\":[],\"p\":\"q\"}},2]" : "\",\"s\":1}},2]");
                n += strlen(text + n);
                for (size_t step = 1000; step < n; step *= 7) {
                        Result result = feed(&want, NULL, text, n, step, step);

                        expect(names[i], &result, expected[i], 0);
                }
        }
}

/* Without paths each value at the root is an element. */
static void test_values(void **state) {
        static const char *const keep[] = { "a", NULL };
        static const struct {
                const char *text, *elements;
                int error;
        } cases[] = {
                { "\n", "", 0 },
                { "{\"a\":1}", "{\"a\":1}|", 0 },
                { "{\"a\":1}\n{\"b\":2,\"a\":3}\n\n{}\n", "{\"a\":1}|{\"a\":3}|{}|", 0 },
                { "1 2", "1|2|", 0 },
                { "{\"a\":1", "", -EBADMSG },
                { "{\"a\":1},", "{\"a\":1}|", -EBADMSG },
                { "<html>", "", -EBADMSG },
        };
        const RecordsWant want = { .keep = keep, .element_max = 100 };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                for (size_t step = 1; step < 8; step++) {
                        Result result =
                                feed(&want, NULL, cases[i].text, strlen(cases[i].text), step, step);

                        expect(cases[i].text, &result, cases[i].elements, cases[i].error);
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
        RecordsWant want = { .element_max = RECORDS_ELEMENT_MAX };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                cleanup_free char *text = NULL;
                char path[512];
                Result whole;
                size_t n;

                snprintf(path, sizeof(path), "%s/tests/unit/fixtures/%s", SOURCE_DIR,
                         cases[i].name);
                assert_int_equal(file_read(AT_FDCWD, path, 1U << 20, &text, &n), 0);
                want.paths = cases[i].paths;
                whole = feed(&want, NULL, text, n, n, n);
                assert_int_equal(whole.error, 0);
                assert_int_equal(whole.n_elements, cases[i].n);
                for (size_t step = 1; step < n; step = step * 3 / 2 + 1) {
                        Result pieces = feed(&want, NULL, text, n, step, step);

                        expect(cases[i].name, &pieces, whole.text, 0);
                }
                for (size_t cut = 0; cut + 2 < n; cut += 7) {
                        Result pieces = feed(&want, NULL, text, cut, cut, 1);

                        assert_int_equal(pieces.error, -EBADMSG);
                }
        }
}

static void test_new(void **state) {
        static const char *const many[] = { "a", "b", "c", "d", "e", NULL };
        const RecordsWant want = { .paths = many, .element_max = 10 };
        Records *records = NULL;

        (void)state;
        assert_int_equal(records_new(&want, take, NULL, NULL, &records), -EINVAL);
        assert_null(records);
        assert_null(records_free(NULL));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_root),        cmocka_unit_test(test_paths),
                cmocka_unit_test(test_element_max), cmocka_unit_test(test_depth),
                cmocka_unit_test(test_keep),        cmocka_unit_test(test_keep_max),
                cmocka_unit_test(test_values),      cmocka_unit_test(test_backslashes),
                cmocka_unit_test(test_fixtures),    cmocka_unit_test(test_new),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
