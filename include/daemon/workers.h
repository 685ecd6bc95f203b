/* SPDX-License-Identifier: MIT */
#pragma once

/* Submits jobs to the two worker threads. */

#include "daemon/queue.h"

typedef struct Workers {
        Worker *janitor, *reader;
        JobQueue queue;
        const Config *config; /* the configuration in force, borrowed */
        unsigned generation;  /* of the configuration: counts loads */
} Workers;

/* Queues a job for its worker and takes it over, also on -ENOMEM; fills in its id and its copy of
 * the configuration. */
int workers_submit(Workers *self, Job *job, char ret_id[static RECEIPT_ID_MAX]) must_check;
/* Takes back and frees a job that has not started: true; false if it has. An inhibitor may have
 * waited for the job. */
bool workers_withdraw(Workers *self, const char *job_id);
/* The threads must have been told to stop, see worker_stop(). */
void workers_done(Workers *self);
