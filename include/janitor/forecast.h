/* SPDX-License-Identifier: MIT */
#pragma once

/* When a disk will be full. Pure. */

#include "store/store.h"

/*
 * Seconds of age time until nothing is free, by the line through the samples (oldest first); -1 where
 * they do not support one: fewer than a day and 24 of them, a disk that does not fill, a line that
 * explains less than half of the variation (r² < 0.5, as where prunes and builds take turns), or one
 * further than 90 days away.
 */
int64_t forecast_full_sec(const Sample *samples, size_t n);
