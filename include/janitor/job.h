/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The worker thread: one job at a time, with calls that block it alone, so that a clear reads top
 * to bottom. The loop thread submits jobs and takes events; what crosses is owned by one side at a
 * time. All functions here but those said otherwise are the loop thread's.
 */

#include "janitor/clear.h"
#include "janitor/pass.h"

/* A longer result is shortened for replies, which have to stay below what the server lets wait for a
 * connection. */
#define JOB_TOLD_BYTES_MAX (3U * 1024U * 1024U)

typedef enum JobKind {
        JOB_POLL,
        JOB_CLEAR,
        JOB_ROLLBACK,
        JOB_PASS, /* "policy" on the wire */
        JOB_PLAN, /* what policy would do */
        JOB_EXPLAIN,
        JOB_SWEEP,   /* of what an earlier daemon left in trash directories */
        JOB_HISTORY, /* the reader's */
        JOB_TEXTFILE /* the reader's */
} JobKind;

const char *job_kind_to_string(JobKind kind);

typedef struct Job {
        char id[RECEIPT_ID_MAX];
        JobKind kind;
        int64_t started_sec; /* 0 while queued */

        /* in */
        Config *config;       /* its own copy */
        unsigned generation;  /* of the configuration: counts reloads */
        ClearOptions options; /* clear */
        Who who;              /* clear */
        Strv notes;           /* clear: for its receipt, before what it notes itself */
        char *receipt_id;     /* rollback: NULL for the newest; history: NULL for the list */
        Surroundings around;  /* poll, pass, plan, explain */
        char *object;         /* explain */
        int64_t since_sec;    /* history */
        size_t limit;         /* history */
        char *text;           /* textfile: its content */

        /* out, once done */
        int error; /* 0 or -errno */
        Diag diag;
        bool local_failure; /* not the engine's */
        Json *result; /* Receipt, Plan, PolicyPlan, Verdict, or the reply of Rollback or GetHistory;
                          * after a failed clear or pass that had touched something, its record */
        Json *told; /* the result with shorter lists, where it is too long for a reply; else NULL */
        int untold; /* why the result can't be told: -ENOMEM, or -EMSGSIZE: it can't be shortened; or 0 */
        Outcome outcome;    /* clear */
        size_t n_remaining; /* clear, pass */
        bool unwritten;     /* its record is in memory alone */
        Summary summary;    /* poll */
        Json *apps;         /* poll: type App[], where they were looked at; also after an error */
        uint64_t n_swept, swept_bytes; /* sweep */
        Strv swept_left;               /* sweep: what is left, for a person */

        bool overtaken; /* poll: a clear that came later went before */
        struct Job *next;
} Job;

/* Sets `told` or `untold` where a reply has no room for the result. Shortens the reply only; the stored record
 * is complete. */
void job_shorten(Job *job);

/* What callers are told of the result: all of it, or a shortened copy; NULL where there is none, or where
 * job->untold is set. Borrowed from the job. */
static inline const Json *job_told(const Job *job) {
        return job->untold < 0 ? NULL : job->told ?: job->result;
}

Job *job_free(Job *job);
DEFINE_CLEANUP(Job *, job_free);

typedef enum JobEventKind {
        JOB_EVENT_STARTED,
        JOB_EVENT_PROGRESS,
        JOB_EVENT_DONE /* `job` is handed over */
} JobEventKind;

typedef struct JobEvent {
        JobEventKind kind;
        char job_id[RECEIPT_ID_MAX];
        JobKind job_kind;
        char target[APP_NAME_MAX]; /* clear */
        char damage[512];          /* what the store says of a file it had to set aside, or "" */
        StoreState store;          /* the janitor's, of a job that is done */
        char step[32];
        char message[256];
        unsigned pass;
        uint64_t engine_bytes;
        int64_t time_sec;
        Job *job;
        struct JobEvent *next;
} JobEvent;

JobEvent *job_event_free(JobEvent *event);
DEFINE_CLEANUP(JobEvent *, job_event_free);

typedef struct Worker Worker;

/* The janitor does all jobs but the reader's, which must not wait for a clear. */
typedef enum WorkerKind { WORKER_JANITOR, WORKER_READER } WorkerKind;

/* Starts the thread. `store` is borrowed and used by the thread alone until worker_free(); a reader's
 * may be opened for reading only. Signals must be blocked already. */
int worker_new(WorkerKind kind, Store *store, Worker **ret) must_check;
/* Waits for the thread to end; ask it to with worker_stop() first. */
Worker *worker_free(Worker *worker);
DEFINE_CLEANUP(Worker *, worker_free);

/* Readable while events wait. */
int worker_fd(const Worker *worker);
/* The next event, or NULL. */
JobEvent *worker_next_event(Worker *worker);

/*
 * Queues a job and takes it over; janitor/queue.h has the order. A poll, pass or text file is not queued
 * twice: the newer one is freed.
 *
 * A sweep, and the search for caches at the end of a poll, make way for other jobs; the sweep ends with
 * -ECANCELED then. A clear that pauses, for a build or between two steps, lets a poll go on; of such a
 * poll only the end is told, since the clear is still the job in progress.
 */
void worker_submit(Worker *worker, Job *job);

/* Takes a job that has not started back from the queue; NULL if it has, or is not known. */
Job *worker_withdraw(Worker *worker, const char *job_id);

/*
 * The queued or running clear with the same options and the same configuration that a new caller
 * may share, since it will still look at everything after now: true, and its id.
 */
bool worker_find_clear(Worker *worker, const ClearOptions *options, unsigned generation,
                       char ret_id[static RECEIPT_ID_MAX]);

/* Clears and rollbacks waiting. */
size_t worker_queued(Worker *worker);

/* Ends the job in progress at its next safe point, drops the queue (each job is done with
 * -ECANCELED) and lets the thread end after it. */
void worker_stop(Worker *worker);
/* After worker_stop(): the thread has done its last job and posted its last event. */
bool worker_stopped(Worker *worker);

/*
 * Whether the thread makes progress: false while a call to the engine is past its own deadline, and
 * where the thread, outside of such calls, has work and gave no sign of life (base/heartbeat.h) for
 * minutes. To be asked every few seconds.
 */
bool worker_healthy(Worker *worker);
