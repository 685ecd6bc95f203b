/* SPDX-License-Identifier: MIT */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "wire/json.h"

/* Parsed from a heap copy of exactly its length, so that a read past the end is seen. */
static int parse_n(const char *text, size_t n, Json **ret) {
        char *copy = malloc(n > 0 ? n : 1);
        int r;

        assert_non_null(copy);
        memcpy(copy, text, n);
        r = json_parse(copy, n, ret);
        free(copy);
        return r;
}

static int parse(const char *text, Json **ret) {
        return parse_n(text, strlen(text), ret);
}

static void test_accepts(void **state) {
        static const char *const texts[] = {
                "{}",
                "[]",
                " \t\r\n{ } \n",
                "0",
                "-1.5e3",
                "true",
                "null",
                "\"\"",
                "\"plain text that is longer than one word of eight bytes\"",
                "\"escapes \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u00e9 \\ud83d\\ude00\"",
                "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\xb3 \x7f\"",
                "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
                "{\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\":\"}}}}]]]]\"}",
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                cleanup(json_free) Json *json = NULL;

                if (parse(texts[i], &json) != 0)
                        fail_msg("refused: %s", texts[i]);
                assert_non_null(json);
        }
}

static void test_refuses(void **state) {
        static const char *const texts[] = {
                "",
                " ",
                "{",
                "}",
                "[1,]",
                "{\"a\":1,}",
                "{\"a\"}",
                "{a:1}",
                "[1]]",
                "{} {}",
                "1 2",
                "nul",
                "nullx",
                "'a'",
                "\"open",
                "\"open \\",
                "\"open \\\"",
                "\"\\x\"",
                "\xef\xbb\xbf{}",
                "[1]\v",
                "[1]\x01",
                "\"raw\nnewline\"",
                "\"raw \x1b escape\"",
                "\"\\u00\"",
                "\"\\u12\"",
                "\"\\uzzzz\"",
                "\"\\ud800\"",
                "\"\\ud800\\u0041\"",
                "\"\\udc00\"",
                /* not UTF-8 */
                "\"\x80\"",
                "\"\xc3\"",
                "\"\xc0\xaf\"",
                "\"\xe0\x80\xaf\"",
                "\"\xed\xa0\x80\"",
                "\"\xe2\x82\"",
                "\"\xf0\x80\x80\xaf\"",
                "\"\xf4\x90\x80\x80\"",
                "\"\xf5\x80\x80\x80\"",
                "\"\xff\"",
                "\xc3\xa9",
                "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
        };
        Json *json = NULL;

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                if (parse(texts[i], &json) != -EBADMSG)
                        fail_msg("taken: %s", texts[i]);
                assert_null(json);
        }
        assert_int_equal(parse_n("{}\0", 3, &json), -EBADMSG);
        assert_int_equal(parse_n("\"a\0b\"", 5, &json), -EBADMSG);
        assert_int_equal(parse_n("[1,\0 2]", 7, &json), -EBADMSG);
        assert_null(json);
}

/* cJSON's strings would end at a NUL. */
static void test_nul_escape(void **state) {
        static const struct {
                const char *text, *value;
        } cases[] = {
                { "[\"\\u0000\"]", "\xef\xbf\xbd" },
                { "[\"a\\u0000b\\u0000\"]", "a\xef\xbf\xbd"
                                            "b\xef\xbf\xbd" },
                { "[\"\\\\\\u0000\"]", "\\\xef\xbf\xbd" },
                { "[\"\\\"\\u0000\\u0001\"]", "\"\xef\xbf\xbd\x01" },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                cleanup(json_free) Json *json = NULL;

                assert_int_equal(parse(cases[i].text, &json), -EBADMSG);
                assert_int_equal(json_parse_foreign(cases[i].text, strlen(cases[i].text), &json),
                                 0);
                assert_string_equal(json_string(json_first(json)), cases[i].value);
        }
}

/* Every special byte at every place of the words that the scan reads at once. */
static void test_scan_words(void **state) {
        (void)state;
        for (size_t length = 0; length < 40; length++)
                for (size_t at = 0; at < length; at++) {
                        static const struct {
                                const char *text;
                                int expect;
                        } specials[] = {
                                { "\"", -EBADMSG },   { "\\n", 0 },         { "\x1f", -EBADMSG },
                                { "\xc3\xa9", 0 },    { "\xe9", -EBADMSG }, { "\\u0000", -EBADMSG },
                                { "\\u001f", 0 },     { " ", 0 },           { "\x7f", 0 },
                                { "!", 0 },           { "#", 0 },           { "[", 0 },
                                { "\x80", -EBADMSG },
                        };

                        for (size_t i = 0; i < ELEMENTSOF(specials); i++) {
                                cleanup(json_free) Json *json = NULL;
                                char text[64] = "\"";

                                memset(text + 1, 'x', at);
                                strcat(text, specials[i].text);
                                memset(text + strlen(text), 'x', length - at);
                                strcat(text, "\"");
                                assert_int_equal(parse(text, &json), specials[i].expect);
                        }
                }
}

/* Long texts are looked at as closely as short ones. */
static void test_long(void **state) {
        static char text[20000];

        (void)state;
        for (size_t length = 4000; length <= 16000; length += 4000)
                for (size_t bad = 0; bad < 2; bad++) {
                        cleanup(json_free) Json *json = NULL;

                        memset(text, 'x', length);
                        text[0] = text[length - 1] = '"';
                        text[length] = '\0';
                        text[length / 2] = bad ? '\x1f' : ' ';
                        assert_int_equal(parse(text, &json), bad ? -EBADMSG : 0);
                }
}

static void test_getters(void **state) {
        cleanup(json_free) Json *json = NULL;
        const char *text = NULL;
        int64_t n = 7;
        bool b = false;

        (void)state;
        assert_int_equal(parse("{\"s\":\"text\",\"n\":42,\"b\":true,\"null\":null,\"half\":1.5,"
                               "\"big\":999999999999999,\"bigger\":1000000000000000,"
                               "\"huge\":1e999,\"neg\":-999999999999999,"
                               "\"twice\":\"first\",\"twice\":\"second\",\"a\":[1,\"two\",{}]}",
                               &json),
                         0);
        assert_string_equal(json_get_string(json, "s", "no"), "text");
        assert_string_equal(json_get_string(json, "S", "no"), "no");
        assert_string_equal(json_get_string(json, "n", "no"), "no");
        assert_string_equal(json_get_string(json, "twice", "no"), "first");
        assert_null(json_get_string(json, "null", NULL));
        assert_int_equal(json_get_int(json, "n", -1), 42);
        assert_int_equal(json_get_int(json, "half", -1), -1);
        assert_int_equal(json_get_int(json, "s", -1), -1);
        assert_int_equal(json_get_int(json, "big", -1), JSON_INT_MAX);
        assert_int_equal(json_get_int(json, "neg", -1), -JSON_INT_MAX);
        assert_int_equal(json_get_int(json, "bigger", -1), -1);
        assert_int_equal(json_get_int(json, "huge", -1), -1);
        assert_true(json_get_bool(json, "b", false));
        assert_true(json_get_bool(json, "n", true));
        assert_null(json_get(json, "null"));
        assert_null(json_get(NULL, "s"));
        assert_null(json_get(json_get(json, "a"), "s"));

        assert_int_equal(json_read_string(json, "s", &text), 1);
        assert_string_equal(text, "text");
        assert_int_equal(json_read_string(json, "null", &text), 0);
        assert_int_equal(json_read_string(json, "none", &text), 0);
        assert_int_equal(json_read_string(json, "n", &text), -EINVAL);
        assert_int_equal(json_read_int(json, "s", &n), -EINVAL);
        assert_int_equal(json_read_int(json, "half", &n), -EINVAL);
        assert_int_equal(n, 7);
        assert_int_equal(json_read_bool(json, "n", &b), -EINVAL);
        assert_int_equal(json_read_bool(json, "b", &b), 1);
        assert_true(b);

        assert_int_equal(json_size(json_get(json, "a")), 3);
        assert_int_equal(json_size(NULL), 0);
        assert_string_equal(json_string(json_next(json_first(json_get(json, "a")))), "two");
        assert_string_equal(json_name(json_first(json)), "s");
        assert_null(json_name(json_first(json_get(json, "a"))));
        assert_true(json_is_object(json));
        assert_true(json_is_array(json_get(json, "a")));
        assert_true(json_is_string(json_get(json, "s")));
        assert_false(json_is_object(NULL));
}

static void test_builders(void **state) {
        cleanup(json_free) Json *json = json_new_object(), *copy = NULL;
        cleanup_free char *text = NULL, *copied = NULL;
        Json *array = json_new_array();

        (void)state;
        assert_int_equal(json_add_string(json, "s", "a\"\n\x1b\xc3\xa9"), 0);
        assert_int_equal(json_add_string(json, "none", NULL), 0);
        assert_int_equal(json_add_string(json, "bad", "\xff-\xe2\x82-\xc3\xa9\xf0"), 0);
        assert_int_equal(json_add_int(json, "n", JSON_INT_MAX), 0);
        assert_int_equal(json_add_int(json, "max", INT64_MAX), 0);
        assert_int_equal(json_add_int(json, "min", INT64_MIN), 0);
        assert_int_equal(json_add_bool(json, "b", false), 0);
        assert_int_equal(json_append_string(array, "one"), 0);
        assert_int_equal(json_append_string(array, "two"), 0);
        assert_int_equal(json_add(json, "a", array), 0);

        text = json_text(json);
        assert_string_equal(text, "{\"s\":\"a\\\"\\n\\u001b\xc3\xa9\","
                                  "\"bad\":\"\xef\xbf\xbd-\xef\xbf\xbd\xef\xbf\xbd-\xc3\xa9"
                                  "\xef\xbf\xbd\","
                                  "\"n\":999999999999999,\"max\":999999999999999,"
                                  "\"min\":-999999999999999,\"b\":false,\"a\":[\"one\",\"two\"]}");
        copy = json_copy(json);
        copied = json_text(copy);
        assert_string_equal(text, copied);

        assert_int_equal(json_add_int(NULL, "n", 1), -ENOMEM);
        assert_int_equal(json_add_string(NULL, "n", NULL), -ENOMEM);
        assert_int_equal(json_add(NULL, "n", json_new_object()), -ENOMEM);
        assert_int_equal(json_add(json, "n", NULL), -ENOMEM);
        assert_int_equal(json_replace(NULL, "n", json_new_object()), -ENOMEM);
}

static void test_replace(void **state) {
        cleanup(json_free) Json *json = NULL;
        cleanup_free char *text = NULL;

        (void)state;
        assert_int_equal(parse("{\"a\":1,\"b\":2,\"c\":3}", &json), 0);
        assert_int_equal(json_replace(json, "a", json_new_array()), 0);
        assert_int_equal(json_replace(json, "c", json_new_object()), 0);
        assert_int_equal(json_replace(json, "d", json_new_array()), 0);
        assert_int_equal(json_add_bool(json, "e", true), 0);
        text = json_text(json);
        assert_string_equal(text, "{\"a\":[],\"b\":2,\"c\":{},\"d\":[],\"e\":true}");
}

static void test_pretty(void **state) {
        cleanup(json_free) Json *json = NULL;
        cleanup_free char *text = NULL;

        (void)state;
        assert_int_equal(parse("{\"a\":[1,{\"b\":\"x,{[\\\"y\\\\\"}],\"e\":[],\"o\":{}}", &json),
                         0);
        text = json_text_pretty(json);
        assert_string_equal(text, "{\n"
                                  "  \"a\": [\n"
                                  "    1,\n"
                                  "    {\n"
                                  "      \"b\": \"x,{[\\\"y\\\\\"\n"
                                  "    }\n"
                                  "  ],\n"
                                  "  \"e\": [],\n"
                                  "  \"o\": {}\n"
                                  "}");
}

static void test_printable(void **state) {
        cleanup(json_free) Json *json = NULL;
        cleanup_free char *text = NULL;

        (void)state;
        assert_int_equal(
                parse("{\"a\\n\":[\"x\\u001b[2Jy\\tz\",{\"b\":\"\x7f|\xc2\x9b|\xc3\x9b\"}],\"n\":1}",
                      &json),
                0);
        json_make_printable(json);
        text = json_text(json);
        assert_string_equal(text, "{\"a\":[\"x?[2Jy z\",{\"b\":\"?|?|\xc3\x9b\"}],\"n\":1}");
        json_make_printable(NULL);
}

static Json *long_lists(size_t n) {
        Json *json = json_new_object(), *inner = json_new_object();

        for (size_t k = 0; k < 2; k++) {
                Json *array = json_new_array();

                for (size_t i = 0; i < n; i++)
                        assert_int_equal(json_append_string(array, "0123456789"), 0);
                assert_int_equal(json_add(k == 0 ? json : inner, "names", array), 0);
        }
        assert_int_equal(json_add_string(inner, "id", "x"), 0);
        assert_int_equal(json_add(json, "inner", inner), 0);
        return json;
}

static void test_shorten(void **state) {
        cleanup(json_free) Json *json = long_lists(50000);
        cleanup_free char *text = NULL;
        size_t n;

        (void)state;
        assert_int_equal(json_shorten(json, 10000000), 0); /* it fits */
        assert_int_equal(json_size(json_get(json, "names")), 50000);
        assert_null(json_get(json, "omitted"));

        assert_int_equal(json_shorten(json, 300000), 0);
        text = json_text(json);
        assert_true(strlen(text) <= 300000);
        n = json_size(json_get(json, "names"));
        assert_true(n > 5000);
        assert_int_equal(json_get_int(json, "omitted", 0), 50000 - (int64_t)n);
        assert_int_equal(json_get_int(json_get(json, "inner"), "omitted", 0), 50000 - (int64_t)n);
        assert_string_equal(json_get_string(json_get(json, "inner"), "id", ""), "x");

        assert_int_equal(json_shorten(json, 200), 0); /* once more */
        n = json_size(json_get(json, "names"));
        assert_int_equal(json_get_int(json, "omitted", 0), 50000 - (int64_t)n);
        assert_int_equal(json_shorten(json, 10), -EMSGSIZE);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_shorten),    cmocka_unit_test(test_accepts),
                cmocka_unit_test(test_refuses),    cmocka_unit_test(test_nul_escape),
                cmocka_unit_test(test_scan_words), cmocka_unit_test(test_getters),
                cmocka_unit_test(test_long),       cmocka_unit_test(test_builders),
                cmocka_unit_test(test_replace),    cmocka_unit_test(test_pretty),
                cmocka_unit_test(test_printable),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
