/* SPDX-License-Identifier: MIT */

/*
 * Within one boot the time between two readings is known exactly, whether the daemon ran or not.
 * Across a reboot only the wall clock spans the gap, and it is not believed: what was up since the
 * boot is all that counts.
 */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/ageclock.h"

int64_t ageclock_advance(AgeClock *clock, const char *boot_id, uint64_t boot_usec,
                         uint64_t wall_usec) {
        bool first = !clock->boot_id[0], same_boot = strcmp(clock->boot_id, boot_id) == 0;
        uint64_t passed_usec = first ? 0 : boot_usec;
        int64_t ahead_sec, moved_sec;

        if (same_boot)
                passed_usec = boot_usec > clock->boot_usec ? boot_usec - clock->boot_usec : 0;
        passed_usec += clock->age_rest_usec;
        clock->age_sec += (int64_t)(passed_usec / USEC_PER_SEC);
        clock->age_rest_usec = passed_usec % USEC_PER_SEC;

        ahead_sec = (int64_t)(wall_usec / USEC_PER_SEC) - clock->age_sec;
        moved_sec = ahead_sec - clock->wall_ahead_sec;
        if (!first && (moved_sec > AGECLOCK_DRIFT_SEC || moved_sec < -AGECLOCK_DRIFT_SEC))
                clock->steady_since_sec = clock->age_sec;

        clock->wall_ahead_sec = ahead_sec;
        clock->boot_usec = boot_usec;
        snprintf(clock->boot_id, sizeof(clock->boot_id), "%s", boot_id);
        return clock->age_sec;
}

int boot_id_read(char ret[static BOOT_ID_MAX]) {
        char text[BOOT_ID_MAX] = "";
        cleanup_close int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
        ssize_t n;

        if (fd < 0)
                return -errno;
        n = read(fd, text, sizeof(text) - 1);
        if (n < 0)
                return -errno;
        if (n != BOOT_ID_MAX - 1 || strspn(text, "0123456789abcdef-") != BOOT_ID_MAX - 1)
                return -EBADMSG;
        memcpy(ret, text, BOOT_ID_MAX);
        return 0;
}
