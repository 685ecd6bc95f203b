/* SPDX-License-Identifier: MIT */
#pragma once

/* Spans of time as people write and read them. */

#include "base/macro.h"

#define SPAN_TEXT_MAX 64

/*
 * Parses "14d", "1h 30min", "90s", "250ms", "1.5h" or "30" (seconds). Units as systemd's:
 * us, ms, s sec second seconds, m min minute minutes, h hr hour hours, d day days, w week weeks.
 * Negative, empty, unknown unit: -EINVAL. Past 100 years: -ERANGE.
 */
int span_parse(const char *text, uint64_t *ret_usec) must_check;

/* Writes at most two units, rounded down: "0s", "45s", "3min 20s", "2d 4h". Returns `buffer`. */
char *span_format(uint64_t usec, char buffer[static SPAN_TEXT_MAX]);

/* Wall clock and monotonic clock (CLOCK_BOOTTIME), in microseconds. */
uint64_t now_realtime_usec(void);
uint64_t now_boottime_usec(void);
/* The time left until a deadline of CLOCK_BOOTTIME as a timeout of poll(2): rounded up, an hour at
 * most, and -1 for USEC_INFINITY. */
int deadline_msec(uint64_t deadline_usec);
/* What something took: CLOCK_MONOTONIC stands still while the host sleeps, and no test moves it. */
uint64_t now_monotonic_usec(void);
/* The wall clock as the engine tells times: whole seconds. */
int64_t now_realtime_sec(void);
