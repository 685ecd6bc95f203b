/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The daemon's log: to the journal with structured fields where stderr is connected to it
 * ($JOURNAL_STREAM), else to stderr, as "<N>text" with sd-daemon(3)'s priority prefix when stderr
 * is no terminal. Nothing below daemon/ and ctl/ logs above debug: failures travel up as -errno
 * and Diag, and are logged once, at the edge. Safe to call from any thread after log_open().
 */

#include <stdarg.h>
#include <syslog.h>

#include "base/macro.h"

/* Chooses the destination. `max_level` is a syslog level: what is above it is dropped. */
void log_open(int max_level);

/*
 * One record: `fields` is NULL or "KEY=value\nKEY2=value2" (keys upper case, values without
 * newline), which only the journal sees. Returns -abs(error) so that
 * `return log_error_errno(r, "…")` reads in one line; error 0 returns 0.
 */
int log_full(int level, int error, const char *fields, const char *format, ...) printf_like(4, 5);

#define log_debug(...) log_full(LOG_DEBUG, 0, NULL, __VA_ARGS__)
#define log_info(...) log_full(LOG_INFO, 0, NULL, __VA_ARGS__)
#define log_notice(...) log_full(LOG_NOTICE, 0, NULL, __VA_ARGS__)
#define log_warning(...) log_full(LOG_WARNING, 0, NULL, __VA_ARGS__)
#define log_error(...) log_full(LOG_ERR, 0, NULL, __VA_ARGS__)
/* Appends ": strerror(error)" and the journal's ERRNO= field. */
#define log_error_errno(error, ...) log_full(LOG_ERR, error, NULL, __VA_ARGS__)
#define log_warning_errno(error, ...) log_full(LOG_WARNING, error, NULL, __VA_ARGS__)
