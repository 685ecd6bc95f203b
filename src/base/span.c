/* SPDX-License-Identifier: MIT */

#include "base/span.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/decimal.h"
#include "base/testclock.h"

#define SPAN_MAX_USEC (36525 * USEC_PER_DAY)

static const struct {
        const char *name;
        uint64_t usec;
} units[] = {
        { "s", USEC_PER_SEC },         { "sec", USEC_PER_SEC },
        { "second", USEC_PER_SEC },    { "seconds", USEC_PER_SEC },
        { "min", USEC_PER_MINUTE },    { "m", USEC_PER_MINUTE },
        { "minute", USEC_PER_MINUTE }, { "minutes", USEC_PER_MINUTE },
        { "h", USEC_PER_HOUR },        { "hr", USEC_PER_HOUR },
        { "hour", USEC_PER_HOUR },     { "hours", USEC_PER_HOUR },
        { "d", USEC_PER_DAY },         { "day", USEC_PER_DAY },
        { "days", USEC_PER_DAY },      { "w", 7 * USEC_PER_DAY },
        { "week", 7 * USEC_PER_DAY },  { "weeks", 7 * USEC_PER_DAY },
        { "ms", USEC_PER_MSEC },       { "us", 1 },
};

static uint64_t unit_usec(const char *name, size_t n) {
        for (size_t i = 0; i < ELEMENTSOF(units); i++)
                if (strlen(units[i].name) == n && memcmp(units[i].name, name, n) == 0)
                        return units[i].usec;
        return 0;
}

static const char *skip_blanks(const char *p) {
        return p + strspn(p, " \t");
}

int span_parse(const char *text, uint64_t *ret_usec) {
        const char *p = skip_blanks(text);
        uint64_t sum = 0;
        bool alone = true;

        do {
                uint64_t unit, usec;
                Decimal number;
                size_t n;
                int r;

                r = decimal_read(&p, &number);
                if (r < 0)
                        return r;
                p = skip_blanks(p);
                n = strspn(p, "abcdefghijklmnopqrstuvwxyz");
                if (n == 0 && alone && *p == '\0')
                        unit = USEC_PER_SEC; /* a bare number, and nothing else */
                else
                        unit = unit_usec(p, n);
                if (unit == 0)
                        return -EINVAL;
                p = skip_blanks(p + n);
                alone = false;

                r = decimal_scale(&number, unit, SPAN_MAX_USEC - sum, &usec);
                if (r < 0)
                        return r;
                sum += usec;
        } while (*p != '\0');

        *ret_usec = sum;
        return 0;
}

char *span_format(uint64_t usec, char buffer[static SPAN_TEXT_MAX]) {
        static const struct {
                const char *name;
                uint64_t usec;
        } steps[] = {
                { "d", USEC_PER_DAY }, { "h", USEC_PER_HOUR },  { "min", USEC_PER_MINUTE },
                { "s", USEC_PER_SEC }, { "ms", USEC_PER_MSEC }, { "us", 1 },
        };
        size_t i = 0;
        uint64_t rest;
        int n;

        if (usec == 0)
                return strcpy(buffer, "0s");
        while (usec < steps[i].usec)
                i++;
        n = snprintf(buffer, SPAN_TEXT_MAX, "%" PRIu64 "%s", usec / steps[i].usec, steps[i].name);
        /* below seconds, and after them, one unit is exact enough */
        if (steps[i].usec > USEC_PER_SEC) {
                rest = usec % steps[i].usec / steps[i + 1].usec;
                if (rest > 0)
                        snprintf(buffer + n, SPAN_TEXT_MAX - (size_t)n, " %" PRIu64 "%s", rest,
                                 steps[i + 1].name);
        }
        return buffer;
}

static uint64_t now_usec(clockid_t clock) {
        struct timespec now;

        if (clock_gettime(clock, &now) < 0)
                abort(); /* it can't fail for a clock that every kernel has */
        return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

uint64_t now_realtime_usec(void) {
        return test_clock_move(CLOCK_REALTIME, now_usec(CLOCK_REALTIME));
}

int64_t now_realtime_sec(void) {
        return (int64_t)(now_realtime_usec() / USEC_PER_SEC);
}

uint64_t now_boottime_usec(void) {
        return test_clock_move(CLOCK_BOOTTIME, now_usec(CLOCK_BOOTTIME));
}

int deadline_msec(uint64_t deadline_usec) {
        uint64_t now_usec = now_boottime_usec();

        if (deadline_usec == USEC_INFINITY)
                return -1;
        if (now_usec >= deadline_usec)
                return 0;
        return (int)MIN((deadline_usec - now_usec + 999) / USEC_PER_MSEC, UINT64_C(3600000));
}

uint64_t now_monotonic_usec(void) {
        return now_usec(CLOCK_MONOTONIC);
}
