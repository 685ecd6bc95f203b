/* SPDX-License-Identifier: MIT */

#include "daemon/metrics-file.h"
#include "base/log.h"

void metrics_file_write(Workers *workers, const StatusFacts *facts) {
        cleanup(job_free) Job *job = NULL;
        char id[RECEIPT_ID_MAX];
        int r = -ENOMEM;

        if (!facts->config->metrics_textfile)
                return;
        job = calloc(1, sizeof(*job));
        if (job) {
                job->kind = JOB_TEXTFILE;
                job->text = metrics_text(facts);
        }
        if (job && job->text)
                r = workers_submit(workers, TAKE_PTR(job), id);
        if (r < 0)
                log_error_errno(r, "Cannot write the metrics");
}

void metrics_file_written(bool *broken, const Job *job) {
        bool failed = job->error < 0;

        if (job->error == -ECANCELED)
                return;
        if (failed && !*broken)
                log_warning("Cannot write the metrics to %s: %s", job->config->metrics_textfile,
                            diag_text(&job->diag, job->error));
        else if (!failed && *broken)
                log_info("The metrics are written to %s again", job->config->metrics_textfile);
        *broken = failed;
}
