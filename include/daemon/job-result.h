/* SPDX-License-Identifier: MIT */
#pragma once

/* The result of a job as plain values. */

#include "janitor/job.h"

/* The record of a clear or policy run that has ended, as history has it. */
Run job_run(const Job *job);

typedef struct PolicyResult {
        const char *error; /* why the run failed, borrowed from the job; or NULL */
        bool canceled;     /* before it began */
        bool recorded;     /* `run` is its record */
        bool no_progress; /* it removed nothing, left an object or failed: it would be due again at once */
        Run run;
        uint64_t n_images, n_records; /* removed */
        char *left; /* the names of objects that the engine refused to remove; or NULL */
} PolicyResult;

/* The result of a JOB_PASS that has ended. */
PolicyResult policy_result(const Job *job);
void policy_result_done(PolicyResult *result);
static inline void policy_result_donep(PolicyResult *result) {
        policy_result_done(result);
}
