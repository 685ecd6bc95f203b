/* SPDX-License-Identifier: MIT */

/*
 * Only in builds with WPCACHE_TEST_CLOCK: a test moves the daemon's clocks while it runs. The file
 * that $WPCACHE_TEST_CLOCK names holds two int64_t, microseconds to add to the wall clock and to
 * CLOCK_BOOTTIME; it is mapped once, and what sleeps goes on by the real clocks.
 */

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/testclock.h"

static int64_t none[2];
static int64_t *offsets = none;

static void map(void) {
        const char *path = getenv("WPCACHE_TEST_CLOCK");
        cleanup_close int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -EBADF;
        void *mapped;

        if (!path)
                return;
        mapped = mmap(NULL, sizeof(none), PROT_READ, MAP_SHARED, fd, 0);
        if (mapped == MAP_FAILED) {
                perror("WPCACHE_TEST_CLOCK");
                abort();
        }
        offsets = mapped;
}

uint64_t test_clock_move(clockid_t clock, uint64_t usec) {
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        int64_t *offset;

        pthread_once(&once, map);
        offset = &offsets[clock == CLOCK_BOOTTIME];
        return usec + (uint64_t)__atomic_load_n(offset, __ATOMIC_RELAXED);
}
