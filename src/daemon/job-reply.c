/* SPDX-License-Identifier: MIT */

#include <stdio.h>
#include <string.h>

#include "daemon/job-reply.h"
#include "daemon/remedy.h"
#include "daemon/reply.h"
#include "wire/interface.h"

static Json *event_progress_json(const JobEvent *event, const StatusFacts *facts) {
        return progress_json(&(Progress){
                .job_id = event->job_id,
                .step = event->step,
                .message = event->message,
                .round = event->pass,
                .elapsed_sec = event->time_sec - facts->current->started_sec,
                .engine_bytes = event->engine_bytes,
        });
}

/* The job succeeded, but its reply cannot be made. Names the command that shows the result. */
static void reply_untold(Connection *connection, const Job *job, int error) {
        const char *why = error == -ENOMEM ? "out of memory for the answer"
                                           : "the answer is longer than a reply may be";
        char reason[256];

        snprintf(reason, sizeof(reason),
                 job_removes(job) ? "%s; the %s itself is done: wpcachectl history %s" : "%s", why,
                 job_kind_to_string(job->kind), job->id);
        reply_error(connection, ERROR_JOB_FAILED, "reason", reason);
}

static void reply_copy(Connection *connection, const Job *job, const char *member) {
        Json *copy = json_copy(job_told(job));

        if (copy)
                reply_member(connection, member, copy, false);
        else
                reply_untold(connection, job, -ENOMEM);
}

static void reply_plan(Connection *connection, const Job *job, const StatusFacts *facts) {
        cleanup(json_free) Json *plan = json_copy(job_told(job));
        Json *policy = status_policy_json(facts, json_get(plan, "policy"));

        if (json_replace(plan, "policy", policy) < 0)
                reply_no_memory(connection);
        else
                reply_member(connection, "policy", TAKE_PTR(plan), false);
}

static void reply_result(Connection *connection, const Job *job, const StatusFacts *facts) {
        if (job->untold < 0) {
                reply_untold(connection, job, job->untold);
                return;
        }
        switch (job->kind) {
        case JOB_ROLLBACK:
        case JOB_HISTORY:
                connection_reply(connection, job_told(job), false);
                break;
        case JOB_PLAN:
                reply_plan(connection, job, facts);
                break;
        case JOB_EXPLAIN:
                reply_copy(connection, job, "verdict");
                break;
        default:
                reply_copy(connection, job, job->options.dry_run ? "plan" : "receipt");
        }
}

static int add_engine_trouble(const Job *job, Json *parameters) {
        const char *remedy = engine_remedy(job->config->docker_socket, job->error);
        int r = 0;

        if (engine_answered(job->error))
                r |= json_add_bool(parameters, "answered", true);
        if (strcmp(remedy, ENGINE_REMEDY_USUAL) != 0)
                r |= json_add_string(parameters, "remedy", remedy);
        return r < 0 ? -ENOMEM : 0;
}

static void reply_failure(Connection *connection, const Job *job) {
        const char *reason = diag_text(&job->diag, job->error);
        cleanup(json_free) Json *parameters = NULL;
        bool local = job->local_failure || job->kind == JOB_HISTORY;

        if (job->error == -ECANCELED && !job->result) {
                reply_error(connection, ERROR_SHUTTING_DOWN, NULL, NULL);
        } else if (job->error == -ENOENT &&
                   (job->kind == JOB_ROLLBACK || job->kind == JOB_HISTORY)) {
                reply_error2(connection, ERROR_UNKNOWN_RECEIPT, "receipt", job->receipt_id ?: "",
                             "reason", reason);
        } else if (job->kind == JOB_EXPLAIN && (job->error == -ENOENT || job->error == -ENOTUNIQ)) {
                reply_error2(connection, ERROR_UNKNOWN_OBJECT, "object", job->object, "reason",
                             reason);
        } else {
                bool failed = job->result || local;

                parameters = json_new_object();
                if (json_add_string(parameters, "reason", reason) < 0 ||
                    (job_told(job) &&
                     json_add(parameters, "receipt", json_copy(job_told(job))) < 0) ||
                    (!failed && add_engine_trouble(job, parameters) < 0))
                        reply_no_memory(connection);
                else
                        connection_error(connection,
                                         failed ? ERROR_JOB_FAILED : ERROR_ENGINE_UNAVAILABLE,
                                         parameters);
        }
}

/* Fills the event for monitors of a job that is done. */
static int done_json(const Job *job, Json *parameters) {
        const char *event = job->kind == JOB_CLEAR ? "receipt" : job_kind_to_string(job->kind);
        const char *member = job->kind == JOB_CLEAR ? "receipt" : "policyRun";
        int r;

        r = json_add_string(parameters, "event", event);
        if (job->error < 0)
                r |= json_add_string(parameters, "message", diag_text(&job->diag, job->error));
        else if (job->kind == JOB_ROLLBACK)
                r |= json_add_string(parameters, "message", "names put back");
        if (job_told(job) && job->kind != JOB_ROLLBACK)
                r |= json_add(parameters, member, json_copy(job_told(job)));
        return r;
}

void monitors_tell_job(const Monitors *monitors, const JobEvent *event, const StatusFacts *facts) {
        cleanup(json_free) Json *parameters = NULL;
        const Job *job = event->job;
        int r;

        if (!monitors->first)
                return;
        parameters = json_new_object();
        if (event->kind == JOB_EVENT_PROGRESS) {
                r = json_add_string(parameters, "event", "progress");
                r |= json_add(parameters, "progress", event_progress_json(event, facts));
        } else if (event->kind == JOB_EVENT_DONE && job_removes(job) &&
                   (job->kind != JOB_PASS || job->result ||
                    (job->error < 0 && job->error != -ECANCELED))) {
                r = done_json(job, parameters);
        } else {
                return;
        }
        if (r >= 0)
                monitors_reply(monitors, parameters);
}

void waiters_reply(Waiters *waiters, const JobEvent *event, const StatusFacts *facts) {
        if (event->kind == JOB_EVENT_STARTED)
                waiters_started(waiters, event->job_id);
        for (Waiter *waiter = waiters->first, *next; waiter; waiter = next) {
                Connection *connection = waiter->connection;

                next = waiter->next;
                if (strcmp(waiter->job_id, event->job_id) != 0)
                        continue;
                if (event->kind == JOB_EVENT_PROGRESS && waiter->more) {
                        reply_member(connection, "progress", event_progress_json(event, facts),
                                     true);
                } else if (event->kind == JOB_EVENT_DONE) {
                        waiters_remove(waiters, waiter);
                        if (event->job->error >= 0)
                                reply_result(connection, event->job, facts);
                        else
                                reply_failure(connection, event->job);
                }
        }
}
