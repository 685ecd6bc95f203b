/* SPDX-License-Identifier: MIT */

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/text.h"
#include "daemon/job-log.h"

#define LOGGED_MAX (1024 * 1024)
/* Bytes that fit into a record of the log. */
#define LOGGED_PART 1800

/* The length of the next part of a text; a part ends between two characters. */
static size_t part_length(const char *text) {
        size_t n = strnlen(text, LOGGED_PART + 1);

        if (n <= LOGGED_PART)
                return n;
        for (n = LOGGED_PART; n > 1 && ((unsigned char)text[n] & 0xc0) == 0x80; n--)
                ;
        return n;
}

void log_clear_or_rollback(const Job *job) {
        const char *target = target_to_string(job->options.target, job->options.app), *outcome;
        cleanup_free char *fields = NULL;
        int level;

        if (job->kind == JOB_ROLLBACK) {
                if (job->error < 0)
                        log_error("Rollback failed: %s", diag_text(&job->diag, job->error));
                else
                        log_notice("Rollback of receipt %s: %zu names put back, %zu skipped",
                                   json_get_string(job->result, "receipt", "?"),
                                   json_size(json_get(job->result, "restored")),
                                   json_size(json_get(job->result, "skipped")));
                return;
        }
        if (job->options.dry_run)
                return;
        outcome = outcome_to_string(job->outcome);
        fields = text_format(
                "WPCACHE_JOB=clear\nWPCACHE_TARGET=%s\nWPCACHE_OUTCOME=%s\nWPCACHE_RECEIPT=%s",
                target, outcome, job->id);
        if (job->error < 0) {
                log_full(LOG_ERR, 0, fields, "Clear of %s failed: %s", target,
                         diag_text(&job->diag, job->error));
                return;
        }
        level = job->n_remaining > 0 ? LOG_WARNING : LOG_NOTICE;
        log_full(level, 0, fields, "Clear of %s ended: %s, %zu remaining (receipt %s)", target,
                 outcome, job->n_remaining, job->id);
}

void log_trash_emptied(const Job *job) {
        char bytes[BYTES_TEXT_MAX];

        if (job->error < 0 && job->error != -ECANCELED)
                log_error("Sweeping left-over caches failed: %s",
                          diag_text(&job->diag, job->error));
        if (job->n_swept > 0)
                log_notice("Left-over caches of earlier runs were removed: %llu (%s)",
                           (unsigned long long)job->n_swept, bytes_format(job->swept_bytes, bytes));
        for (size_t i = 0; i < job->swept_left.n; i++)
                log_warning("Left over in a trash directory: %s", job->swept_left.v[i]);
}

void log_policy_run(const PolicyResult *result) {
        char engine[BYTES_TEXT_MAX], freed[BYTES_TEXT_MAX];
        const Run *run = &result->run;
        cleanup_free char *fields = NULL;

        fields = text_format("WPCACHE_JOB=policy\nWPCACHE_OUTCOME=%s\nWPCACHE_RECEIPT=%s",
                             run->outcome, run->id);
        if (result->error) {
                log_full(LOG_ERR, 0, fields, "Policy pass failed: %s", result->error);
                return;
        }
        log_full(run->n_remaining > 0 ? LOG_WARNING : LOG_NOTICE, 0, fields,
                 "Policy pass ended: %s, %llu images and %llu build cache records removed, %llu "
                 "objects left, %s by the engine, %s freed so far (run %s)",
                 run->outcome, (unsigned long long)result->n_images,
                 (unsigned long long)result->n_records, (unsigned long long)run->n_remaining,
                 bytes_format(run->engine_bytes, engine), bytes_format(run->freed_bytes, freed),
                 run->id);
}

void log_receipt(const Job *job, const char *reason) {
        cleanup_free char *fields = NULL, *text = json_text(job->result);
        unsigned number = 0;

        fields = text_format("WPCACHE_JOB=%s\nWPCACHE_RECEIPT=%s", job_kind_to_string(job->kind),
                             job->id);
        log_full(LOG_WARNING, 0, fields, "Receipt %s is in memory and in this log alone: %s",
                 job->id, reason);
        for (size_t at = 0, n; text && text[at] && at < LOGGED_MAX; at += n) {
                n = part_length(&text[at]);
                log_full(LOG_NOTICE, 0, fields, "Receipt %s, part %u: %.*s", job->id, ++number,
                         (int)n, &text[at]);
        }
}
