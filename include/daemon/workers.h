/* SPDX-License-Identifier: MIT */
#pragma once

/* The two worker threads as the loop thread submits jobs to them. */

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
/* Takes back and frees a job that has not started: true; false if it has. A withdrawn job may have been
 * what an inhibitor waited for. */
bool workers_withdraw(Workers *self, const char *job_id);
/* The threads must have been told to stop, see worker_stop(). */
void workers_done(Workers *self);
