/* SPDX-License-Identifier: MIT */

#include "base/diag.h"

#include <string.h>

#include "base/text.h"
#include "test.h"

static void test_set_and_wrap(void **state) {
        Diag diag = DIAG_NULL;

        (void)state;
        assert_int_equal(diag_set(NULL, -ENOENT, "%s", "unread"), -ENOENT);
        assert_int_equal(diag_wrap(NULL, -ENOENT, "%s", "unread"), -ENOENT);
        assert_string_equal(diag_text(NULL, -ENOENT), "No such file or directory");
        assert_string_equal(diag_text(&diag, -ENOENT), "No such file or directory");
        assert_string_equal(diag_text(&diag, 123456), "Unknown error");

        assert_int_equal(diag_wrap(&diag, -EBUSY, "call %d", 1), -EBUSY);
        assert_string_equal(diag.text, "call 1");
        assert_int_equal(diag_set(&diag, -EBUSY, "in use by %s", "web"), -EBUSY);
        assert_string_equal(diag_text(&diag, -EBUSY), "in use by web");
        assert_int_equal(diag_wrap(&diag, -EBUSY, "image %s", "a:1"), -EBUSY);
        assert_string_equal(diag.text, "image a:1: in use by web");

        /* the diag's own text as an argument */
        assert_int_equal(diag_set(&diag, -EIO, "%s, again: %s", diag.text, diag.text), -EIO);
        assert_string_equal(diag.text, "image a:1: in use by web, again: image a:1: in use by web");
}

static void test_cut(void **state) {
        Diag diag = DIAG_NULL;
        char text[2000], wide[2000];

        (void)state;
        memset(text, 'x', sizeof text);
        text[sizeof diag.text - 1] = '\0';
        diag_format(&diag, "%s", text);
        assert_string_equal(diag.text, text); /* just fits */

        for (size_t n = sizeof diag.text; n < sizeof text; n += 7) {
                memset(text, 'x', n);
                text[n] = '\0';
                diag_format(&diag, "%s", text);
                assert_int_equal(strlen(diag.text), sizeof diag.text - 1);
                assert_string_equal(diag.text + sizeof diag.text - 4, "...");
                diag_prefix(&diag, "%s", text);
                assert_int_equal(strlen(diag.text), sizeof diag.text - 1);
        }

        /* never within a character, wherever it falls */
        for (size_t shift = 0; shift < 4; shift++) {
                memset(wide, 'x', shift);
                for (size_t i = shift; i + 4 < sizeof wide; i += 4)
                        memcpy(wide + i, "\xf0\x9f\x90\xb3", 5);
                diag_format(&diag, "%s", wide);
                assert_string_equal(diag.text + strlen(diag.text) - 3, "...");
                diag.text[strlen(diag.text) - 3] = '\0';
                assert_int_equal((strlen(diag.text) - shift) % 4, 0);
        }
}

static void test_clean(void **state) {
        static const struct {
                const char *text, *cleaned;
        } table[] = {
                { "", "" },
                { "plain", "plain" },
                { "two\nlines\r\n", "two lines" },
                { "a\tb", "a b" },
                { "\x1b[31mred\x1b[0m", "?[31mred?[0m" },
                { "\a\x7f", "??" },
                { "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\xb3", "caf\xc3\xa9 \xe2\x82\xac "
                                                               "\xf0\x9f\x90\xb3" },
                { "\xc2\x9b"
                  "31m",
                  "?31m" },                     /* C1: CSI */
                { "\x9b", "?" },                /* raw */
                { "\xc2", "?" },                /* cut */
                { "\xe2\x82", "??" },           /* cut */
                { "\xc0\xaf", "??" },           /* overlong */
                { "\xe0\x80\xaf", "???" },      /* overlong */
                { "\xed\xa0\x80", "???" },      /* surrogate */
                { "\xf4\x90\x80\x80", "????" }, /* past U+10FFFF */
                { "\xff\xfe", "??" },
                { "\xc2\xa0", "\xc2\xa0" },
                { "a\x80", "a?" },
                /* what turns the text after it around, U+061C to U+2069, and separators of lines */
                { "a\u061cb", "a?b" },
                { "\u200e\u200f", "??" },
                /* NOLINTBEGIN(misc-misleading-bidirectional) */
                { "\u2028\u2029\342\200\252\342\200\253\342\200\254\342\200\255\342\200\256",
                  "???????" },
                { "\342\201\246\342\201\247\342\201\250\342\201\251", "????" },
                /* NOLINTEND(misc-misleading-bidirectional) */
                /* and their neighbours */
                { "\u061b\u061d\u200d\u2010\u2027\u202f\u2065\u206a\ufeff",
                  "\u061b\u061d\u200d\u2010\u2027\u202f\u2065\u206a\ufeff" },
                { "\u05d0\u0628", "\u05d0\u0628" }, /* letters that are read from the right stay */
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                char text[64];

                strcpy(text, table[i].text);
                assert_string_equal(text_clean(text), table[i].cleaned);
                assert_string_equal(text_clean(text), table[i].cleaned);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_set_and_wrap),
                cmocka_unit_test(test_cut),
                cmocka_unit_test(test_clean),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
