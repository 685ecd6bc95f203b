/* SPDX-License-Identifier: MIT */

#include <string.h>

#include "base/span.h"
#include "daemon/workers.h"

int workers_submit(Workers *self, Job *job, char ret_id[static RECEIPT_ID_MAX]) {
        bool reads = job->kind == JOB_HISTORY || job->kind == JOB_TEXTFILE;
        int r;

        receipt_id_make(job->id, now_realtime_usec());
        job->generation = self->generation;
        r = config_copy(self->config, &job->config);
        if (r >= 0)
                r = job_queue_add(&self->queue, job);
        if (r < 0) {
                job_free(job);
                return r;
        }
        strcpy(ret_id, job->id); /* the worker's from here on */
        worker_submit(reads ? self->reader : self->janitor, job);
        return 0;
}

bool workers_withdraw(Workers *self, const char *job_id) {
        cleanup(job_free) Job *job = worker_withdraw(self->janitor, job_id);

        if (!job)
                job = worker_withdraw(self->reader, job_id);
        if (!job)
                return false;
        job_queue_remove(&self->queue, job_id);
        return true;
}

void workers_done(Workers *self) {
        worker_free(self->janitor);
        worker_free(self->reader);
        job_queue_done(&self->queue);
}
