/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/macro.h"

/* Writes `n` random bytes as 2 * n hexadecimal digits and a NUL. 0 or -errno. At most 64 bytes. */
int random_hex(size_t n, char *ret) must_check;
