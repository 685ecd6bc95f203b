/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The order in which a worker does its jobs. What the daemon does on its own comes at intervals, callers
 * who only look come as fast as they are answered: so those go last, and those of several users take
 * turns.
 */

#include "janitor/job.h"

/* Lower goes first. */
typedef enum Urgency {
        URGENCY_CLEAR, /* clears and rollbacks; no more than one of them goes before a poll that waits */
        URGENCY_PASS,
        URGENCY_POLL, /* polls and the text file */
        URGENCY_LOOK, /* dry runs, plans, explanations, history; and sweeps, which may wait */
} Urgency;

Urgency job_urgency(const Job *job);

/* Puts a job into its place, and takes it over. */
void queue_add(Job **queue, Job *job);
