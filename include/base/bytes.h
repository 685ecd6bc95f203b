/* SPDX-License-Identifier: MIT */
#pragma once

/* Amounts of bytes as people write and read them. */

#include "base/macro.h"

#define BYTES_TEXT_MAX 32

/*
 * Parses "10GB" (10^9), "6GiB" (2^30), "1.5G" (= GB), "512k", "0" or "1024". Units: B, and
 * k/M/G/T/P with or without "B" (decimal) or "iB" (binary); case does not matter; one space may
 * stand before the unit. Negative, empty, trailing text: -EINVAL. Past 2^63-1: -ERANGE.
 */
int bytes_parse(const char *text, uint64_t *ret_bytes) must_check;

/*
 * Writes the amount as docker's own tools do: decimal units, up to four significant digits
 * ("0B", "1.2kB", "2.5GB", "130.9MB"). Returns `buffer`.
 */
char *bytes_format(uint64_t bytes, char buffer[static BYTES_TEXT_MAX]);
