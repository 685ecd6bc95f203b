/* SPDX-License-Identifier: MIT */

/* Disks that fill, and disks that only seem to. */

#include "janitor/forecast.h"
#include "test.h"

#define HOUR INT64_C(3600)
#define DAY (24 * HOUR)
#define GB INT64_C(1000000000)
#define SAMPLES_MAX 200

/* One sample an hour from `first`; the shape of free bytes over hours. */
static size_t fill(Sample *samples, size_t n, int64_t total, int64_t (*free_bytes)(int64_t hour)) {
        for (size_t i = 0; i < n; i++)
                samples[i] = (Sample){
                        .age_sec = 5 * DAY + (int64_t)i * HOUR,
                        .disk_total_bytes = (uint64_t)total,
                        .disk_free_bytes = (uint64_t)free_bytes((int64_t)i),
                };
        return n;
}

static int64_t steady(int64_t hour) {
        return 100 * GB - hour * GB / 10;
}

static int64_t level(int64_t hour) {
        (void)hour;
        return 50 * GB;
}

static int64_t rising(int64_t hour) {
        return 50 * GB + hour * GB / 10;
}

static int64_t slow(int64_t hour) {
        return 100 * GB - hour * GB / 30;
}

/* Builds and prunes take turns. */
static int64_t sawtooth(int64_t hour) {
        return 50 * GB - hour % 12 * GB;
}

static int64_t noisy(int64_t hour) {
        return 60 * GB - hour * GB / 5 + (hour * 7919 % 13 - 6) * GB / 3;
}

static int64_t full(int64_t hour) {
        return 48 * GB - hour * GB;
}

static void test_shapes(void **state) {
        static const struct {
                const char *what;
                int64_t (*free_bytes)(int64_t hour);
                size_t n;
                int64_t min_sec, max_sec;
        } table[] = {
                { "nothing", steady, 0, -1, -1 },
                { "one", steady, 1, -1, -1 },
                { "not yet a day", steady, 24, -1, -1 },
                { "a day", steady, 25, 976 * HOUR - 5, 976 * HOUR + 5 },
                { "more", steady, 101, 900 * HOUR - 5, 900 * HOUR + 5 },
                { "level", level, 100, -1, -1 },
                { "emptier", rising, 100, -1, -1 },
                { "too far away", slow, 100, -1, -1 },
                { "prunes and builds", sawtooth, 120, -1, -1 },
                { "noise on a slope", noisy, 120, 170 * HOUR, 192 * HOUR },
                { "full now", full, 49, 0, 0 },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Sample samples[SAMPLES_MAX];
                size_t n = fill(samples, table[i].n, 200 * GB, table[i].free_bytes);
                int64_t sec = forecast_full_sec(samples, n);

                if (sec < table[i].min_sec || sec > table[i].max_sec)
                        fail_msg("%s: %lld s", table[i].what, (long long)sec);
        }
}

/* Just within and just past 90 days, and just as many samples as it takes. */
static void test_limits(void **state) {
        Sample samples[SAMPLES_MAX];

        (void)state;
        for (size_t i = 0; i < 24; i++)
                samples[i] = (Sample){
                        .age_sec = (int64_t)i * DAY,
                        .disk_total_bytes = 200 * GB,
                        .disk_free_bytes = (uint64_t)((113 - (int64_t)i) * GB),
                };
        assert_in_range(forecast_full_sec(samples, 24), 90 * DAY - 1, 90 * DAY);
        assert_int_equal(forecast_full_sec(samples + 1, 23), -1);
        for (size_t i = 0; i < 24; i++)
                samples[i].disk_free_bytes += 1000 * 1000;
        assert_int_equal(forecast_full_sec(samples, 24), -1);
}

/* A disk that was resized is another disk; one that could not be seen is none. */
static void test_other_disks(void **state) {
        Sample samples[SAMPLES_MAX];

        (void)state;
        fill(samples, 100, 200 * GB, steady);
        for (size_t i = 0; i < 50; i++)
                samples[i].disk_total_bytes = 100 * GB;
        for (size_t i = 0; i < 50; i++)
                samples[i].disk_free_bytes = (uint64_t)GB;
        assert_int_equal(forecast_full_sec(samples, 100) / HOUR, 901);
        samples[75].disk_total_bytes = 0;
        assert_int_equal(forecast_full_sec(samples, 100), -1);
        fill(samples, 100, 0, steady);
        assert_int_equal(forecast_full_sec(samples, 100), -1);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_shapes),
                cmocka_unit_test(test_limits),
                cmocka_unit_test(test_other_disks),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
