/* SPDX-License-Identifier: MIT */

#include "ctl/status-disks.h"

#include <inttypes.h>
#include <stdio.h>

#include "ctl/output.h"

/* Inodes are printed if less than this share is free. */
#define INODES_TIGHT_PERCENT 15

static Style disk_style(const Json *disk, uint64_t percent) {
        if (json_get_bool(disk, "pressure", false) || percent >= 95)
                return STYLE_BAD;
        return percent >= 85 ? STYLE_WARN : STYLE_GOOD;
}

static void print_inodes(const Ctl *ctl, const Json *disk) {
        uint64_t total = output_amount(disk, "totalInodes");
        uint64_t left = output_amount(disk, "freeInodes"), percent;

        /* some file systems have no fixed number of inodes */
        if (total == 0 || left > total || output_percent(left, total) >= INODES_TIGHT_PERCENT)
                return;
        percent = output_percent(total - left, total);
        output_label("Inodes");
        terminal_bar(&ctl->terminal, disk_style(disk, percent), percent);
        printf(" %" PRIu64 "%% used, %" PRIu64 " of %" PRIu64 " free at %s\n", percent, left, total,
               output_text(disk, "path"));
}

/* A forecast is no more exact than one unit. */
static void print_forecast(const Json *disk) {
        static const struct {
                int64_t sec;
                const char *name;
        } units[] = { { 86400, "day" }, { 3600, "hour" }, { 60, "minute" } };
        int64_t sec = json_get_int(disk, "fullInSec", -1);
        char count[OUTPUT_COUNT_MAX];
        size_t i = 0;

        if (sec < 0)
                return;
        while (i < ELEMENTSOF(units) - 1 && sec < 2 * units[i].sec)
                i++;
        output_label("Forecast");
        printf("full in about %s at this rate\n",
               output_count((sec + units[i].sec / 2) / units[i].sec, units[i].name, count));
}

static void print_disk(const Ctl *ctl, const Json *disk) {
        uint64_t total = output_amount(disk, "totalBytes"), left = output_amount(disk, "freeBytes");
        char free_text[BYTES_TEXT_MAX], total_text[BYTES_TEXT_MAX], min_text[BYTES_TEXT_MAX];
        uint64_t percent;

        if (total == 0 || left > total)
                return;
        percent = output_percent(total - left, total);
        output_label("Disk");
        terminal_bar(&ctl->terminal, disk_style(disk, percent), percent);
        printf(" %" PRIu64 "%% used, %s of %s free at %s", percent, bytes_format(left, free_text),
               bytes_format(total, total_text), output_text(disk, "path"));
        if (json_get_bool(disk, "pressure", false))
                printf(", %sunder pressure%s", terminal_style(&ctl->terminal, STYLE_BAD),
                       terminal_style(&ctl->terminal, STYLE_PLAIN));
        if (json_get(disk, "minFreeBytes") && json_get_bool(disk, "pressure", false))
                printf(" (min_free is %s)", output_bytes(disk, "minFreeBytes", min_text));
        putchar('\n');
        print_inodes(ctl, disk);
        print_forecast(disk);
}

void status_print_disks(const Ctl *ctl, const Json *disks) {
        json_foreach (disk, disks)
                print_disk(ctl, disk);
}
