/* SPDX-License-Identifier: MIT */

#include <string.h>

#include "test.h"

#include "base/ageclock.h"
#include "base/span.h"

#define BOOT_A "01234567-89ab-cdef-0123-456789abcdef"
#define BOOT_B "fedcba98-89ab-cdef-0123-456789abcdef"
#define WALL (UINT64_C(1800000000) * USEC_PER_SEC)
#define DAY_SEC (24 * 3600)
#define YEAR (365 * USEC_PER_DAY)

static void test_first(void **state) {
        AgeClock clock = { 0 };

        (void)state;
        assert_int_equal(ageclock_advance(&clock, BOOT_A, 90 * USEC_PER_DAY, WALL), 0);
        assert_int_equal(clock.steady_since_sec, 0);
        assert_string_equal(clock.boot_id, BOOT_A);
}

static void test_same_boot(void **state) {
        AgeClock clock = { 0 };

        (void)state;
        assert_int_equal(ageclock_advance(&clock, BOOT_A, USEC_PER_DAY, WALL), 0);
        assert_int_equal(
                ageclock_advance(&clock, BOOT_A, 3 * USEC_PER_DAY, WALL + 2 * USEC_PER_DAY),
                2 * DAY_SEC);
        /* parts of a second are not lost */
        for (unsigned i = 1; i <= 10; i++)
                ageclock_advance(&clock, BOOT_A, 3 * USEC_PER_DAY + i * 100 * USEC_PER_MSEC,
                                 WALL + 2 * USEC_PER_DAY);
        assert_int_equal(clock.age_sec, 2 * DAY_SEC + 1);
        /* a clock that goes back is no clock, but never makes anything younger */
        assert_int_equal(ageclock_advance(&clock, BOOT_A, USEC_PER_DAY, WALL), 2 * DAY_SEC + 1);
}

static void test_wall_jumps(void **state) {
        AgeClock clock = { 0 };
        uint64_t boot = USEC_PER_DAY;

        (void)state;
        ageclock_advance(&clock, BOOT_A, boot, WALL);
        assert_int_equal(ageclock_advance(&clock, BOOT_A, boot + USEC_PER_HOUR, WALL + YEAR), 3600);
        assert_int_equal(clock.steady_since_sec, 3600);
        assert_int_equal(ageclock_advance(&clock, BOOT_A, boot + 2 * USEC_PER_HOUR,
                                          WALL + YEAR + USEC_PER_HOUR),
                         7200);
        assert_int_equal(clock.steady_since_sec, 3600);
        assert_int_equal(ageclock_advance(&clock, BOOT_A, boot + 3 * USEC_PER_HOUR, WALL), 10800);
        assert_int_equal(clock.steady_since_sec, 10800);
}

/* Slewing, as time daemons do it, is no step. */
static void test_drift(void **state) {
        AgeClock clock = { 0 };

        (void)state;
        for (unsigned i = 0; i < 100; i++)
                ageclock_advance(&clock, BOOT_A, i * USEC_PER_HOUR,
                                 WALL + i * (USEC_PER_HOUR + AGECLOCK_DRIFT_SEC * USEC_PER_SEC));
        assert_int_equal(clock.steady_since_sec, 0);
        ageclock_advance(&clock, BOOT_A, 100 * USEC_PER_HOUR,
                         WALL + 100 * (USEC_PER_HOUR + AGECLOCK_DRIFT_SEC * USEC_PER_SEC) +
                                 2 * USEC_PER_SEC);
        assert_int_equal(clock.steady_since_sec, clock.age_sec);
}

/* What the host was up since its boot counts; how long it was off is only the wall clock's word. */
static void test_reboot(void **state) {
        AgeClock clock = { 0 };

        (void)state;
        ageclock_advance(&clock, BOOT_A, USEC_PER_DAY, WALL);
        ageclock_advance(&clock, BOOT_A, 2 * USEC_PER_DAY, WALL + USEC_PER_DAY);
        assert_int_equal(ageclock_advance(&clock, BOOT_B, 60 * USEC_PER_SEC, WALL + YEAR),
                         DAY_SEC + 60);
        assert_int_equal(clock.steady_since_sec, DAY_SEC + 60);
        /* the time was synchronized, a year back */
        assert_int_equal(ageclock_advance(&clock, BOOT_B, 90 * USEC_PER_SEC,
                                          WALL + USEC_PER_DAY + 150 * USEC_PER_SEC),
                         DAY_SEC + 90);
}

static void test_boot_id(void **state) {
        char a[BOOT_ID_MAX], b[BOOT_ID_MAX];

        (void)state;
        assert_int_equal(boot_id_read(a), 0);
        assert_int_equal(boot_id_read(b), 0);
        assert_string_equal(a, b);
        assert_int_equal(strlen(a), BOOT_ID_MAX - 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_first),      cmocka_unit_test(test_same_boot),
                cmocka_unit_test(test_wall_jumps), cmocka_unit_test(test_drift),
                cmocka_unit_test(test_reboot),     cmocka_unit_test(test_boot_id),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
