/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the loop thread knows of the jobs it submitted: the current job, and all jobs that remove
 * something. Plain values without clock or I/O; the jobs themselves are with the workers.
 */

#include "janitor/job.h"

/* Clears and rollbacks that may wait at a time; root may have more of them wait. */
#define QUEUE_MAX 8
#define QUEUE_ROOT_MAX 12

/* The job in progress. */
typedef struct CurrentJob {
        char id[RECEIPT_ID_MAX]; /* "": none */
        JobKind kind;
        char target[APP_NAME_MAX]; /* clear */
        int64_t started_sec;
        char step[32];
        char message[256];
} CurrentJob;

typedef struct Removal Removal;

typedef struct JobQueue {
        CurrentJob current;
        Removal *removals; /* jobs that remove, from their submission until they are done */
} JobQueue;

/* Whether a job removes or renames something. */
bool job_removes(const Job *job);

/* A job is about to be submitted. 0 or -ENOMEM. */
int job_queue_add(JobQueue *self, const Job *job) must_check;
/* A job was withdrawn. */
void job_queue_remove(JobQueue *self, const char *job_id);
/* A worker tells that a job started, made progress or is done. */
void job_queue_update(JobQueue *self, const JobEvent *event);
void job_queue_done(JobQueue *self);

/* Whether a job that removes is queued or in progress. The worker's own state would come too late: it
 * may have taken a job from its queue and not have told yet that the job started. */
bool job_queue_removes(const JobQueue *self);
/* Whether the current job removes something. */
bool job_queue_current_removes(const JobQueue *self);
/* Whether a user may not have another clear or rollback wait, where `n_waiting` of them wait already. */
bool job_queue_full(size_t n_waiting, uid_t uid);
/* Why a job has to wait: "a clear of all by root runs since 3min"; malloc'ed, NULL on out of memory. */
char *job_queue_busy_text(const JobQueue *self, int64_t now_sec);
