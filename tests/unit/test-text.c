/* SPDX-License-Identifier: MIT */

#include "base/text.h"

#include <string.h>

#include "test.h"

static void test_loosen_numbers(void **state) {
        static const char *const cases[][2] = {
                { "", "" },
                { "no number", "no number" },
                { "/srv/v12", "/srv/v#" },
                { "/srv/v13", "/srv/v#" },
                { "/srv/v13-rc.1/bin", "/srv/v#/bin" },
                { "3.12.7-slim", "#" },
                { "python3.11 app=2", "python# app=#" },
                { "'@1731283200'", "'@#'" },
                /* Hashes, in full and abbreviated. */
                { "24887b92e2afd4a2ac602419ad4b596372f67ac9", "#" },
                { "release-deadbe1", "release-#" },
                { "release-f00d123", "release-#" },
                { "facade", "facade" },
                { "effaced", "effaced" },
                { "facade1", "#" },
                { "xfacade1", "xfacade#" },
                { "faded 1234567", "faded #" },
                { "é1", "é#" },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char text[64];

                strcpy(text, cases[i][0]);
                text_loosen_numbers(text);
                assert_string_equal(text, cases[i][1]);
        }
}

static void test_replace_numbers(void **state) {
        static const char *const cases[][2] = {
                { "", "" },
                { "v1.2-base", "v#-base" },
                { "1.2.-rc.3", "#.-rc.#" },
                { "20261130-4be1a2c", "#-#" },
                { "x4be1a2c", "x#be#a#c" },
                { "v1.2-3-g1a2b3c4", "v#-#-#" }, /* git describe */
                { "v1.2-11-g9f8e7d6", "v#-#-#" },
                { "12g1abcdef0", "#g#abcdef#" },
                { "1g1abcdef0", "#g#abcdef#" },
                { "base", "base" },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char text[64];

                strcpy(text, cases[i][0]);
                text_replace_numbers(text);
                assert_string_equal(text, cases[i][1]);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_loosen_numbers),
                cmocka_unit_test(test_replace_numbers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
