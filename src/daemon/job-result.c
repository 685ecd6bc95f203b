/* SPDX-License-Identifier: MIT */

#include <stdio.h>
#include <string.h>

#include "daemon/job-result.h"

#define LEFT_NAMED_MAX 5

Run job_run(const Job *job) {
        bool clear = job->kind == JOB_CLEAR;
        const char *outcome = clear ? outcome_to_string(job->outcome)
                                    : json_get_string(job->result, "outcome", "failed");
        Run run = {
                .started_sec = json_get_int(job->result, "startedAt", 0),
                .finished_sec = json_get_int(job->result, "finishedAt", 0),
                .n_remaining = job->n_remaining,
                .engine_bytes = (uint64_t)json_get_int(job->result, "engineReportedBytes", 0),
                .freed_bytes = (uint64_t)json_get_int(job->result, "diskFreedBytes", 0),
        };

        strcpy(run.id, job->id);
        strcpy(run.kind, clear ? "clear" : "policy");
        if (clear)
                strcpy(run.target, target_to_string(job->options.target, job->options.app));
        snprintf(run.outcome, sizeof(run.outcome), "%s", outcome);
        return run;
}

static char *left_text(const Json *left) {
        cleanup(strv_done) Strv names = STRV_NULL;
        size_t n = 0;

        json_foreach (verdict, left) {
                if (n++ < LEFT_NAMED_MAX &&
                    strv_add(&names, json_get_string(verdict, "object", "?")) < 0)
                        return NULL;
        }
        if (n > LEFT_NAMED_MAX) {
                char more[64];

                snprintf(more, sizeof(more), "%zu more", n - LEFT_NAMED_MAX);
                if (strv_add(&names, more) < 0)
                        return NULL;
        }
        return names.n > 0 ? strv_join(&names, ", ") : NULL;
}

PolicyResult policy_result(const Job *job) {
        PolicyResult result = {
                .error = job->error < 0 ? diag_text(&job->diag, job->error) : NULL,
                .canceled = job->error == -ECANCELED && !job->result,
                .recorded = job->result,
                .run = job_run(job),
                .n_images = json_size(json_get(job->result, "removed")),
                .n_records = (uint64_t)json_get_int(job->result, "records", 0),
                .left = left_text(json_get(job->result, "left")),
        };

        result.run.n_removed = result.n_images + result.n_records;
        result.no_progress = result.error || result.run.n_remaining > 0 ||
                             (result.run.n_removed == 0 && result.run.engine_bytes == 0);
        return result;
}

void policy_result_done(PolicyResult *result) {
        free(result->left);
}
