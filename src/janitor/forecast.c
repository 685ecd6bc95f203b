/* SPDX-License-Identifier: MIT */

/* Least squares. Times and amounts are taken from the last sample, so that nothing is lost where
 * both are large and change little. */

#include "janitor/forecast.h"

#define SAMPLES_MIN 24
#define SPAN_MIN_SEC (24 * 3600)
#define AHEAD_MAX_SEC (90 * 24 * 3600)
#define EXPLAINED_MIN 0.5 /* r² */

/* Samples of a disk that had another size, or were taken when it could not be seen, tell nothing. */
static size_t skip_other_disks(const Sample *samples, size_t n) {
        size_t first = n;

        while (first > 0 && samples[first - 1].disk_total_bytes > 0 &&
               samples[first - 1].disk_total_bytes == samples[n - 1].disk_total_bytes)
                first--;
        return first;
}

int64_t forecast_full_sec(const Sample *samples, size_t n) {
        double mean_x = 0, mean_y = 0, xx = 0, xy = 0, yy = 0, slope, at_last, ahead_sec;
        const Sample *last;
        size_t skip;

        if (n == 0)
                return -1;
        skip = skip_other_disks(samples, n);
        samples += skip;
        n -= skip;
        if (n < SAMPLES_MIN || samples[n - 1].age_sec - samples[0].age_sec < SPAN_MIN_SEC)
                return -1;

        last = &samples[n - 1];
        for (size_t i = 0; i < n; i++) {
                mean_x += (double)(samples[i].age_sec - last->age_sec) / (double)n;
                mean_y += (double)(int64_t)(samples[i].disk_free_bytes - last->disk_free_bytes) /
                          (double)n;
        }
        for (size_t i = 0; i < n; i++) {
                double x = (double)(samples[i].age_sec - last->age_sec) - mean_x;
                double y = (double)(int64_t)(samples[i].disk_free_bytes - last->disk_free_bytes) -
                           mean_y;

                xx += x * x;
                xy += x * y;
                yy += y * y;
        }
        if (xy >= 0 || xy * xy < EXPLAINED_MIN * xx * yy)
                return -1;

        slope = xy / xx;
        at_last = (double)last->disk_free_bytes + mean_y - slope * mean_x;
        ahead_sec = at_last / -slope;
        if (ahead_sec > AHEAD_MAX_SEC)
                return -1;
        return ahead_sec > 0 ? (int64_t)ahead_sec : 0;
}
