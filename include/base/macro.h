/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Cleanup attributes and small macros every floor uses.
 *
 * A type with a destructor `T *t_free(T *)` says `DEFINE_CLEANUP(T *, t_free)` beside its
 * prototype; a local is then `cleanup(t_free) T *t = NULL;` and is handed over with
 * `TAKE_PTR(t)`. Destructors take NULL and return NULL.
 */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define cleanup(function) __attribute__((__cleanup__(function##p)))
#define printf_like(fmt, args) __attribute__((format(printf, fmt, args)))
#define must_check __attribute__((warn_unused_result))

#define DEFINE_CLEANUP(type, function)            \
        static inline void function##p(type *p) { \
                if (*p)                           \
                        function(*p);             \
        }                                         \
        struct function##_cleanup_semicolon

#define TAKE_PTR(p)                          \
        ({                                   \
                __typeof__(p) *_pp = &(p);   \
                __typeof__(p) _taken = *_pp; \
                *_pp = NULL;                 \
                _taken;                      \
        })

#define TAKE_FD(fd)                 \
        ({                          \
                int *_pfd = &(fd);  \
                int _taken = *_pfd; \
                *_pfd = -EBADF;     \
                _taken;             \
        })

#define ELEMENTSOF(array) (sizeof(array) / sizeof((array)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#define NSEC_PER_SEC INT64_C(1000000000)
#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_PER_SEC UINT64_C(1000000)
#define USEC_PER_MINUTE (60 * USEC_PER_SEC)
#define USEC_PER_HOUR (60 * USEC_PER_MINUTE)
#define USEC_PER_DAY (24 * USEC_PER_HOUR)
#define USEC_INFINITY UINT64_MAX

/* `cleanup_free char *text = NULL;` for anything from malloc() */
static inline void cleanup_freep(void *p) {
        free(*(void **)p);
}
#define cleanup_free __attribute__((__cleanup__(cleanup_freep)))

/* `cleanup_close int fd = -EBADF;` */
static inline void cleanup_closep(int *fd) {
        if (*fd >= 0)
                close(*fd);
}
#define cleanup_close __attribute__((__cleanup__(cleanup_closep)))
