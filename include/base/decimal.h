/* SPDX-License-Identifier: MIT */
#pragma once

/* A decimal number times a unit, without rounding: what bytes and span have in common. */

#include <assert.h>

#include "base/macro.h"

typedef struct Decimal {
        uint64_t whole;
        uint64_t fraction; /* parts of `scale`, a power of ten; scale 1: none was written */
        uint64_t scale;
} Decimal;

/* Reads "12" or "1.5" at `*p` and moves past it. -EINVAL without a digit on each side of the point
 * or with more than nine after it; -ERANGE past 2^64-1. */
static inline int decimal_read(const char **p, Decimal *ret) {
        Decimal number = { .scale = 1 };
        const char *s = *p;

        if (*s < '0' || *s > '9')
                return -EINVAL;
        for (; *s >= '0' && *s <= '9'; s++)
                if (__builtin_mul_overflow(number.whole, UINT64_C(10), &number.whole) ||
                    __builtin_add_overflow(number.whole, (uint64_t)(*s - '0'), &number.whole))
                        return -ERANGE;
        if (*s == '.') {
                for (s++; *s >= '0' && *s <= '9'; s++) {
                        if (number.scale == 1000000000)
                                return -EINVAL;
                        number.fraction = number.fraction * 10 + (uint64_t)(*s - '0');
                        number.scale *= 10;
                }
                if (number.scale == 1)
                        return -EINVAL;
        }
        *p = s;
        *ret = number;
        return 0;
}

/* number * unit, rounded down. -EINVAL for a fraction of unit 1, -ERANGE past `max`. */
static inline int decimal_scale(const Decimal *number, uint64_t unit, uint64_t max, uint64_t *ret) {
        uint64_t product, part;

        assert(number->scale > 0);
        if (unit == 1 && number->scale > 1)
                return -EINVAL;
        /* fraction * unit / scale; the whole product would not fit */
        part = number->fraction * (unit / number->scale) +
               number->fraction * (unit % number->scale) / number->scale;
        if (__builtin_mul_overflow(number->whole, unit, &product) ||
            __builtin_add_overflow(product, part, &product) || product > max)
                return -ERANGE;
        *ret = product;
        return 0;
}
