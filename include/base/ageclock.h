/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Age time: seconds that this host was up since the state directory was made, as CLOCK_BOOTTIME
 * counts them. Ages of what the daemon remembers are differences of age time, so a wall clock that
 * is wrong at boot or is set a year ahead or back ages nothing. While the host is off no age passes:
 * an object is then kept longer, never shorter, than its wall age would have it.
 */

#include "base/macro.h"

#define BOOT_ID_MAX 37

typedef struct AgeClock {
        char boot_id[BOOT_ID_MAX]; /* of the last reading; "": none yet */
        uint64_t boot_usec;        /* CLOCK_BOOTTIME then */
        int64_t age_sec;           /* age time then */
        uint64_t age_rest_usec;    /* below a second */
        int64_t wall_ahead_sec;    /* wall time less age time then */
        int64_t steady_since_sec;  /* age time since which the wall clock was not set */
} AgeClock;

/* The wall clock may drift by this much between two readings and count as steady. */
#define AGECLOCK_DRIFT_SEC 300

/* Takes a reading; returns the age time. A first reading is age 0. Pure. */
int64_t ageclock_advance(AgeClock *clock, const char *boot_id, uint64_t boot_usec,
                         uint64_t wall_usec);

/* The kernel's id of this boot. -errno, -EBADMSG. */
int boot_id_read(char ret[static BOOT_ID_MAX]) must_check;
