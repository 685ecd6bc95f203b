/* SPDX-License-Identifier: MIT */

/*
 * Preloaded into wpcached (LD_PRELOAD): while armed, counts the allocations of the thread that clears,
 * those of its libraries included, and fails the one that is asked for. The file that
 * $WPCACHE_FAIL_MALLOC names holds the orders and the count, as a test maps it.
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define THREAD "janitor"
#define EXPORT __attribute__((__visibility__("default")))

typedef struct Orders {
        _Atomic uint64_t armed;
        _Atomic uint64_t fail_first, fail_last; /* numbers from 1; 0: none */
        _Atomic uint64_t count, failed;
} Orders;

/* glibc's own, which it exports for this purpose. */
void *libc_malloc(size_t size) __asm__("__libc_malloc");
void *libc_calloc(size_t n, size_t size) __asm__("__libc_calloc");
void *libc_realloc(void *p, size_t size) __asm__("__libc_realloc");

EXPORT void *malloc(size_t size);
EXPORT void *calloc(size_t n, size_t size);
EXPORT void *realloc(void *p, size_t size);
EXPORT void *reallocarray(void *p, size_t n, size_t size);

static Orders *orders;

__attribute__((__constructor__)) static void map_orders(void) {
        const char *path = getenv("WPCACHE_FAIL_MALLOC");
        int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
        void *map;

        if (fd < 0)
                return;
        map = mmap(NULL, sizeof(*orders), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        if (map != MAP_FAILED)
                orders = map;
}

static bool is_concerned(void) {
        static __thread int concerned __attribute__((__tls_model__("initial-exec")));
        char name[16] = "";

        if (concerned == 0 && pthread_getname_np(pthread_self(), name, sizeof(name)) == 0)
                concerned = strcmp(name, THREAD) == 0 ? 1 : -1;
        return concerned > 0;
}

static bool fails(void) {
        uint64_t number;

        if (!orders || !atomic_load(&orders->armed) || !is_concerned())
                return false;
        number = atomic_fetch_add(&orders->count, 1) + 1;
        if (number < atomic_load(&orders->fail_first) || number > atomic_load(&orders->fail_last))
                return false;
        atomic_fetch_add(&orders->failed, 1);
        errno = ENOMEM;
        return true;
}

void *malloc(size_t size) {
        return fails() ? NULL : libc_malloc(size);
}

void *calloc(size_t n, size_t size) {
        return fails() ? NULL : libc_calloc(n, size);
}

void *realloc(void *p, size_t size) {
        return fails() ? NULL : libc_realloc(p, size);
}

void *reallocarray(void *p, size_t n, size_t size) {
        size_t bytes;

        if (__builtin_mul_overflow(n, size, &bytes)) {
                errno = ENOMEM;
                return NULL;
        }
        return realloc(p, bytes);
}
