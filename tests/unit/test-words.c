/* SPDX-License-Identifier: MIT */

#include "base/words.h"

#include <stdio.h>
#include <string.h>

#include "test.h"

static void assert_split(const char *line, size_t n, const char *const *expected) {
        cleanup(strv_done) Strv words = STRV_NULL;
        Diag diag = DIAG_NULL;

        assert_int_equal(words_split(line, 4096, &words, &diag), 0);
        assert_int_equal(words.n, n);
        for (size_t i = 0; i < n; i++)
                assert_string_equal(words.v[i], expected[i]);
}

#define SPLIT(line, ...)                                                             \
        assert_split(line, sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *), \
                     (const char *[]){ __VA_ARGS__ })

static void test_split(void **state) {
        (void)state;
        assert_split("", 0, NULL);
        assert_split(" \t ", 0, NULL);
        SPLIT("clear", "clear");
        SPLIT("  clear\t--target all ", "clear", "--target", "all");
        SPLIT("clear --wait='1h 30min'", "clear", "--wait=1h 30min");
        SPLIT("'' a''b '' ", "", "ab", "");
        SPLIT("'it'\\''s' \\'", "it's", "'");
        SPLIT("'$(id) `id` ; | & > * ~ # \\ \"'", "$(id) `id` ; | & > * ~ # \\ \"");
        SPLIT("'\xc3\xa9'", "\xc3\xa9");
        SPLIT("a_b./:=,@%+- =a", "a_b./:=,@%+-", "=a");
}

static void test_refused(void **state) {
        static const char others[] = "!\"#$&()*;<>?[\\]^`{|}~\n\r\v\f\x01\x1b\x7f\xc3\xff";
        cleanup(strv_done) Strv words = STRV_NULL;
        Diag diag = DIAG_NULL;

        (void)state;
        for (const char *p = others; *p; p++) {
                const char line[] = { 'a', ' ', 'b', *p, 'c', '\0' };

                assert_int_equal(words_split(line, 4096, &words, &diag), -EINVAL);
                assert_non_null(strstr(diag.text, " at byte 4: only plain words"));
        }
        for (int c = 1; c < ' '; c++) {
                const char line[] = { '\'', (char)c, '\'', '\0' };

                assert_int_equal(words_split(line, 4096, &words, &diag), -EINVAL);
        }
        assert_int_equal(words_split("'\x7f'", 4096, &words, &diag), -EINVAL);
        assert_int_equal(words_split("'\x1b'", 4096, &words, &diag), -EINVAL);
        assert_string_equal(diag.text,
                            "0x1b at byte 2: only plain words and single quotes are understood");
        assert_int_equal(words_split("clear ;id", 4096, &words, &diag), -EINVAL);
        assert_string_equal(diag.text,
                            "';' at byte 7: only plain words and single quotes are understood");
        assert_int_equal(words_split("clear 'all", 4096, &words, &diag), -EINVAL);
        assert_string_equal(diag.text, "a single quote is not closed");
        assert_int_equal(words_split("\\", 4096, &words, &diag), -EINVAL);
        assert_int_equal(words_split("\\a", 4096, &words, &diag), -EINVAL);
        assert_int_equal(words_split("clear", 4, &words, &diag), -E2BIG);
        assert_int_equal(words_split("clear", 5, &words, &diag), 0);
}

/* What a shell could make something of at the start of a word, or anywhere. */
static void test_quote_each(void **state) {
        static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                    "_./-";

        (void)state;
        for (int c = 1; c <= 0xff; c++) {
                const char start[] = { (char)c, 'a', '\0' }, inside[] = { 'a', (char)c, '\0' };
                bool is_first = strchr(first, c), is_plain = is_first || strchr(":=,@%+", c);
                cleanup(strv_done) Strv words = STRV_NULL;
                cleanup_free char *line = NULL;
                char expected[16];

                if (c == '\'')
                        continue;
                assert_int_equal(strv_add(&words, start), 0);
                assert_int_equal(strv_add(&words, inside), 0);
                line = words_quote(&words);
                snprintf(expected, sizeof(expected), "%s%s%s %s%s%s", is_first ? "" : "'", start,
                         is_first ? "" : "'", is_plain ? "" : "'", inside, is_plain ? "" : "'");
                assert_string_equal(line, expected);
        }
}

static void test_quote(void **state) {
        static const char *const list[] = { "wpcachectl", "--wait=1h 30min", "",
                                            "it's",       "a_b./:=,@%+-",    "$(id)\n\"`\\",
                                            "'",          "\xc3\xa9",        "-x",
                                            "!" };
        cleanup(strv_done) Strv words = STRV_NULL, again = STRV_NULL;
        cleanup_free char *line = NULL, *none = words_quote(&words);
        Diag diag = DIAG_NULL;

        (void)state;
        assert_string_equal(none, "");
        for (size_t i = 0; i < ELEMENTSOF(list); i++)
                assert_int_equal(strv_add(&words, list[i]), 0);
        line = words_quote(&words);
        assert_string_equal(line, "wpcachectl '--wait=1h 30min' '' 'it'\\''s' a_b./:=,@%+- "
                                  "'$(id)\n\"`\\' ''\\''' '\xc3\xa9' -x '!'");
        *strchr(line, '\n') = 'n';
        *strchr(words.v[5], '\n') = 'n';
        assert_int_equal(words_split(line, 4096, &again, &diag), 0);
        assert_true(strv_equal(&words, &again));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_split),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_quote),
                cmocka_unit_test(test_quote_each),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
