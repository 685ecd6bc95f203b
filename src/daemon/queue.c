/* SPDX-License-Identifier: MIT */

#include <stdio.h>
#include <string.h>

#include "base/span.h"
#include "base/text.h"
#include "daemon/queue.h"

struct Removal {
        char id[RECEIPT_ID_MAX];
        char who[64]; /* "": the daemon on its own */
        Removal *next;
};

bool job_removes(const Job *job) {
        return job->kind == JOB_PASS || job->kind == JOB_ROLLBACK ||
               (job->kind == JOB_CLEAR && !job->options.dry_run);
}

int job_queue_add(JobQueue *self, const Job *job) {
        Removal *removal;

        if (!job_removes(job))
                return 0;
        removal = calloc(1, sizeof(*removal));
        if (!removal)
                return -ENOMEM;
        strcpy(removal->id, job->id);
        if (job->who.user)
                snprintf(removal->who, sizeof(removal->who), "%s", job->who.user);
        else if (job->kind != JOB_PASS)
                snprintf(removal->who, sizeof(removal->who), "uid %u", job->who.uid);
        removal->next = self->removals;
        self->removals = removal;
        return 0;
}

static Removal **removal_find(Removal **at, const char *job_id) {
        while (*at && strcmp((*at)->id, job_id) != 0)
                at = &(*at)->next;
        return at;
}

void job_queue_remove(JobQueue *self, const char *job_id) {
        Removal **at = removal_find(&self->removals, job_id), *removal = *at;

        if (removal) {
                *at = removal->next;
                free(removal);
        }
}

void job_queue_update(JobQueue *self, const JobEvent *event) {
        CurrentJob *current = &self->current;

        switch (event->kind) {
        case JOB_EVENT_STARTED:
                strcpy(current->id, event->job_id);
                current->kind = event->job_kind;
                strcpy(current->target, event->target);
                current->started_sec = event->time_sec;
                break;
        case JOB_EVENT_PROGRESS:
                strcpy(current->step, event->step);
                strcpy(current->message, event->message);
                break;
        case JOB_EVENT_DONE:
                /* A poll may end in a pause of a clear, which stays the current job. */
                if (strcmp(current->id, event->job_id) == 0)
                        *current = (CurrentJob){ 0 };
                job_queue_remove(self, event->job_id);
                break;
        }
}

void job_queue_done(JobQueue *self) {
        while (self->removals)
                job_queue_remove(self, self->removals->id);
}

bool job_queue_removes(const JobQueue *self) {
        return self->removals;
}

static const Removal *current_removal(const JobQueue *self) {
        Removal *removals = self->removals;

        return *removal_find(&removals, self->current.id);
}

bool job_queue_current_removes(const JobQueue *self) {
        return current_removal(self);
}

bool job_queue_full(size_t n_waiting, uid_t uid) {
        return n_waiting >= (uid == 0 ? QUEUE_ROOT_MAX : QUEUE_MAX);
}

static const char *job_words(JobKind kind, bool removes) {
        switch (kind) {
        case JOB_CLEAR:
                return removes ? "a clear of " : "a dry run of a clear of ";
        case JOB_ROLLBACK:
                return "a rollback";
        case JOB_PASS:
                return "a policy pass";
        case JOB_PLAN:
                return "a plan";
        case JOB_EXPLAIN:
                return "an explanation";
        case JOB_SWEEP:
                return "a sweep of left-over caches";
        default:
                return "a look at the engine";
        }
}

char *job_queue_busy_text(const JobQueue *self, int64_t now_sec) {
        const CurrentJob *current = &self->current;
        const Removal *removal = current_removal(self);
        uint64_t usec = (uint64_t)MAX(now_sec - current->started_sec, 0) * USEC_PER_SEC;
        char span[SPAN_TEXT_MAX];

        if (!current->id[0])
                return strdup("another job is in progress");
        return text_format("%s%s%s%s runs since %s", job_words(current->kind, removal),
                           current->kind == JOB_CLEAR ? current->target : "",
                           removal && removal->who[0] ? " by " : "", removal ? removal->who : "",
                           span_format(usec, span));
}
