/* SPDX-License-Identifier: MIT */
#pragma once

/* Clocks that a test can move; see src/base/testclock.c. Nothing of it is in a release. */

#include <time.h>

#include "base/macro.h"

#ifdef WPCACHE_TEST_CLOCK
uint64_t test_clock_move(clockid_t clock, uint64_t usec);
#else
static inline uint64_t test_clock_move(clockid_t clock, uint64_t usec) {
        (void)clock;
        return usec;
}
#endif
