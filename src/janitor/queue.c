/* SPDX-License-Identifier: MIT */

#include "janitor/queue.h"

Urgency job_urgency(const Job *job) {
        switch (job->kind) {
        case JOB_CLEAR:
                return job->options.dry_run ? URGENCY_LOOK : URGENCY_CLEAR;
        case JOB_ROLLBACK:
                return URGENCY_CLEAR;
        case JOB_PASS:
                return URGENCY_PASS;
        case JOB_POLL:
        case JOB_TEXTFILE:
                return URGENCY_POLL;
        default:
                return URGENCY_LOOK;
        }
}

/* How many jobs of the same user and urgency stand before `job`; in the whole queue if it is not in
 * there yet. */
static size_t n_before(const Job *queue, const Job *job) {
        size_t n = 0;

        for (const Job *other = queue; other && other != job; other = other->next)
                n += job_urgency(other) == job_urgency(job) && other->who.uid == job->who.uid;
        return n;
}

/*
 * The more urgent goes first, but no poll lets a second clear pass. Looks of several users take
 * turns: the second of one user goes behind the first of every other.
 */
static bool goes_behind(const Job *queue, const Job *job, const Job *other) {
        if (job_urgency(job) != job_urgency(other))
                return job_urgency(job) > job_urgency(other) || other->overtaken;
        return job_urgency(job) != URGENCY_LOOK || n_before(queue, other) <= n_before(queue, job);
}

void queue_add(Job **queue, Job *job) {
        Job **place = queue;

        for (Job **at = queue; *at; at = &(*at)->next)
                if (goes_behind(*queue, job, *at))
                        place = &(*at)->next;
        job->next = *place;
        *place = job;
        for (Job *other = job->next; other && job_urgency(job) == URGENCY_CLEAR;
             other = other->next)
                other->overtaken = other->kind == JOB_POLL;
}
