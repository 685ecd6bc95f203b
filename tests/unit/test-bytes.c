/* SPDX-License-Identifier: MIT */

#include "base/bytes.h"

#include "test.h"

#define UNTOUCHED UINT64_C(4711)

static void test_parse(void **state) {
        static const struct {
                const char *text;
                int r;
                uint64_t bytes;
        } table[] = {
                { "0", 0, 0 },
                { "1024", 0, 1024 },
                { "007", 0, 7 },
                { "1B", 0, 1 },
                { "512k", 0, 512000 },
                { "512K", 0, 512000 },
                { "512KB", 0, 512000 },
                { "512kib", 0, 512 * 1024 },
                { "10GB", 0, UINT64_C(10000000000) },
                { "10 GB", 0, UINT64_C(10000000000) },
                { "10G", 0, UINT64_C(10000000000) },
                { "6GiB", 0, UINT64_C(6) << 30 },
                { "1.5G", 0, UINT64_C(1500000000) },
                { "1.25KiB", 0, 1280 },
                { "0.1KiB", 0, 102 },
                { "2.000000001GB", 0, UINT64_C(2000000001) },
                { "1.999999999PiB", 0, UINT64_C(2251799812559348) },
                { "3TB", 0, UINT64_C(3000000000000) },
                { "3TiB", 0, UINT64_C(3) << 40 },
                { "9223372036854775807", 0, INT64_MAX },
                { "8191PiB", 0, UINT64_C(8191) << 50 },
                { "9223372036854775808", -ERANGE, 0 },
                { "8192PiB", -ERANGE, 0 },
                { "99999999999999999999", -ERANGE, 0 },
                { "18446744073709551616B", -ERANGE, 0 },
                { "18446744073709551615P", -ERANGE, 0 },
                { "", -EINVAL, 0 },
                { " ", -EINVAL, 0 },
                { " 1", -EINVAL, 0 },
                { "1 ", -EINVAL, 0 },
                { "1  GB", -EINVAL, 0 },
                { "1\tGB", -EINVAL, 0 },
                { "-1", -EINVAL, 0 },
                { "+1", -EINVAL, 0 },
                { "GB", -EINVAL, 0 },
                { "1.GB", -EINVAL, 0 },
                { ".5GB", -EINVAL, 0 },
                { "1,5GB", -EINVAL, 0 },
                { "1.5", -EINVAL, 0 },
                { "1.0B", -EINVAL, 0 },
                { "1.0000000000GB", -EINVAL, 0 },
                { "1GBs", -EINVAL, 0 },
                { "1Gi", -EINVAL, 0 },
                { "1GB 2", -EINVAL, 0 },
                { "1e3", -EINVAL, 0 },
                { "0x10", -EINVAL, 0 },
                { "15%", -EINVAL, 0 },
                { "1EB", -EINVAL, 0 },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                uint64_t bytes = UNTOUCHED;
                int r = bytes_parse(table[i].text, &bytes);

                if (r != table[i].r || bytes != (r == 0 ? table[i].bytes : UNTOUCHED))
                        fail_msg("'%s': %d, %llu", table[i].text, r, (unsigned long long)bytes);
        }
}

static void test_format(void **state) {
        static const struct {
                uint64_t bytes;
                const char *text;
        } table[] = {
                { 0, "0B" },
                { 1, "1B" },
                { 999, "999B" },
                { 1000, "1kB" },
                { 1200, "1.2kB" },
                { 999949, "999.9kB" },
                { 1000000, "1MB" },
                { 130900000, "130.9MB" },
                { UINT64_C(2500000000), "2.5GB" },
                { UINT64_C(1234567890123), "1.235TB" },
                { UINT64_C(5000000000000000), "5PB" },
                { UINT64_MAX, "18.45EB" },
        };
        char buffer[BYTES_TEXT_MAX];

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_string_equal(bytes_format(table[i].bytes, buffer), table[i].text);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse),
                cmocka_unit_test(test_format),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
