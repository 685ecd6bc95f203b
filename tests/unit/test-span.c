/* SPDX-License-Identifier: MIT */

#include "base/span.h"

#include "test.h"

#define UNTOUCHED UINT64_C(4711)

static void test_parse(void **state) {
        static const struct {
                const char *text;
                int r;
                uint64_t usec;
        } table[] = {
                { "0", 0, 0 },
                { "30", 0, 30 * USEC_PER_SEC },
                { "1.5", 0, 1500 * USEC_PER_MSEC },
                { " 30 ", 0, 30 * USEC_PER_SEC },
                { "90s", 0, 90 * USEC_PER_SEC },
                { "90 s", 0, 90 * USEC_PER_SEC },
                { "90sec", 0, 90 * USEC_PER_SEC },
                { "1second", 0, USEC_PER_SEC },
                { "2 seconds", 0, 2 * USEC_PER_SEC },
                { "250ms", 0, 250 * USEC_PER_MSEC },
                { "7us", 0, 7 },
                { "5m", 0, 5 * USEC_PER_MINUTE },
                { "5min", 0, 5 * USEC_PER_MINUTE },
                { "1minute", 0, USEC_PER_MINUTE },
                { "3 minutes", 0, 3 * USEC_PER_MINUTE },
                { "1h", 0, USEC_PER_HOUR },
                { "1hr", 0, USEC_PER_HOUR },
                { "1hour", 0, USEC_PER_HOUR },
                { "2 hours", 0, 2 * USEC_PER_HOUR },
                { "1.5h", 0, 90 * USEC_PER_MINUTE },
                { "1h 30min", 0, 90 * USEC_PER_MINUTE },
                { "1h30min", 0, 90 * USEC_PER_MINUTE },
                { "30min 1h", 0, 90 * USEC_PER_MINUTE },
                { "1d", 0, USEC_PER_DAY },
                { "1day", 0, USEC_PER_DAY },
                { "14d", 0, 14 * USEC_PER_DAY },
                { "14 days", 0, 14 * USEC_PER_DAY },
                { "2w", 0, 14 * USEC_PER_DAY },
                { "1week", 0, 7 * USEC_PER_DAY },
                { "2weeks", 0, 14 * USEC_PER_DAY },
                { "36525d", 0, 36525 * USEC_PER_DAY },
                { "36525d 1us", -ERANGE, 0 },
                { "36526d", -ERANGE, 0 },
                { "18446744073709551615", -ERANGE, 0 },
                { "99999999999999999999s", -ERANGE, 0 },
                { "", -EINVAL, 0 },
                { " ", -EINVAL, 0 },
                { "-1s", -EINVAL, 0 },
                { "+1s", -EINVAL, 0 },
                { "s", -EINVAL, 0 },
                { "1h 30", -EINVAL, 0 },
                { "30 1h", -EINVAL, 0 },
                { "1 2", -EINVAL, 0 },
                { "1x", -EINVAL, 0 },
                { "1H", -EINVAL, 0 },
                { "1M", -EINVAL, 0 },
                { "1month", -EINVAL, 0 },
                { "1hm", -EINVAL, 0 },
                { "1h,2min", -EINVAL, 0 },
                { "1.5us", -EINVAL, 0 },
                { "1.s", -EINVAL, 0 },
                { ".5s", -EINVAL, 0 },
                { "infinity", -EINVAL, 0 },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                uint64_t usec = UNTOUCHED;
                int r = span_parse(table[i].text, &usec);

                if (r != table[i].r || usec != (r == 0 ? table[i].usec : UNTOUCHED))
                        fail_msg("'%s': %d, %llu", table[i].text, r, (unsigned long long)usec);
        }
}

static void test_format(void **state) {
        static const struct {
                uint64_t usec;
                const char *text;
        } table[] = {
                { 0, "0s" },
                { 1, "1us" },
                { 999, "999us" },
                { 1000, "1ms" },
                { 250999, "250ms" },
                { 45 * USEC_PER_SEC, "45s" },
                { 46 * USEC_PER_SEC - 1, "45s" },
                { 60 * USEC_PER_SEC, "1min" },
                { 200 * USEC_PER_SEC, "3min 20s" },
                { 30 * USEC_PER_MINUTE, "30min" },
                { USEC_PER_HOUR + 59 * USEC_PER_SEC, "1h" },
                { 52 * USEC_PER_HOUR, "2d 4h" },
                { 14 * USEC_PER_DAY, "14d" },
                { USEC_INFINITY, "213503982d 8h" },
        };
        char buffer[SPAN_TEXT_MAX];

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_string_equal(span_format(table[i].usec, buffer), table[i].text);
}

static void test_now(void **state) {
        uint64_t boottime = now_boottime_usec();

        (void)state;
        assert_true(now_realtime_usec() > UINT64_C(1700000000) * USEC_PER_SEC);
        assert_true(boottime > 0);
        assert_true(now_boottime_usec() >= boottime);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse),
                cmocka_unit_test(test_format),
                cmocka_unit_test(test_now),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
