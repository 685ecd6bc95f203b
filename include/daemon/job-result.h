/* SPDX-License-Identifier: MIT */
#pragma once

/* What a job came to, as plain values. Elsewhere the daemon reads no member of a job's JSON. */

#include "janitor/job.h"

/* A clear or policy run that is done, as history tells it. */
Run job_run(const Job *job);

typedef struct PolicyResult {
        const char *error; /* why the run failed, borrowed from the job; or NULL */
        bool canceled;     /* before it began */
        bool recorded;     /* `run` is its record */
        bool no_progress; /* it removed nothing, left something or failed: it would be due again at once */
        Run run;
        uint64_t n_images, n_records; /* removed */
        char *left; /* names the objects that the engine did not let go of; NULL: none */
} PolicyResult;

/* Of a policy run that is done. */
PolicyResult policy_result(const Job *job);
void policy_result_done(PolicyResult *result);
static inline void policy_result_donep(PolicyResult *result) {
        policy_result_done(result);
}
