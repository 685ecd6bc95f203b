/* SPDX-License-Identifier: MIT */

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "daemon/receipt-log.h"

#define LOGGED_MAX (1024 * 1024)
/* Of what fits a record of the log. */
#define LOGGED_PART 1800

/* The length of the next part of a text, which splits no character. */
static size_t part_length(const char *text) {
        size_t n = strnlen(text, LOGGED_PART + 1);

        if (n <= LOGGED_PART)
                return n;
        for (n = LOGGED_PART; n > 1 && ((unsigned char)text[n] & 0xc0) == 0x80; n--)
                ;
        return n;
}

void receipt_log(const Job *job, const char *reason) {
        cleanup_free char *fields = NULL, *text = json_text(job->result);
        unsigned number = 0;

        if (asprintf(&fields, "WPCACHE_JOB=%s\nWPCACHE_RECEIPT=%s", job_kind_to_string(job->kind),
                     job->id) < 0)
                fields = NULL;
        log_full(LOG_WARNING, 0, fields, "Receipt %s is in memory and in this log alone: %s",
                 job->id, reason);
        for (size_t at = 0, n; text && text[at] && at < LOGGED_MAX; at += n) {
                n = part_length(&text[at]);
                log_full(LOG_NOTICE, 0, fields, "Receipt %s, part %u: %.*s", job->id, ++number,
                         (int)n, &text[at]);
        }
}
