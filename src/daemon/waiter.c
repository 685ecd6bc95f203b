/* SPDX-License-Identifier: MIT */

#include <stdio.h>
#include <string.h>

#include "base/span.h"
#include "daemon/dispatch.h"
#include "daemon/remedy.h"
#include "daemon/reply.h"
#include "wire/interface.h"

static Waiter *waiter_new(Manager *manager, Connection *connection) {
        Waiter *waiter = calloc(1, sizeof(*waiter));

        if (!waiter)
                return NULL;
        waiter->manager = manager;
        waiter->connection = connection;
        waiter->generation = manager->workers.generation;
        waiter->next = manager->waiters;
        manager->waiters = waiter;
        return waiter;
}

static void waiter_free(Waiter *waiter) {
        for (Waiter **at = &waiter->manager->waiters; *at; at = &(*at)->next)
                if (*at == waiter) {
                        *at = waiter->next;
                        break;
                }
        sd_event_source_disable_unref(waiter->timer);
        free(waiter);
}

void waiters_free(Manager *manager) {
        while (manager->waiters)
                waiter_free(manager->waiters);
}

/* Whether others wait for the same job. */
static bool waits_alone(const Waiter *waiter) {
        for (const Waiter *other = waiter->manager->waiters; other; other = other->next)
                if (other != waiter && strcmp(other->job_id, waiter->job_id) == 0)
                        return false;
        return true;
}

void waiters_on_gone(Manager *manager, Connection *connection) {
        for (Waiter *waiter = manager->waiters, *next; waiter; waiter = next) {
                next = waiter->next;
                if (waiter->connection != connection)
                        continue;
                if (waiter->looks && waits_alone(waiter))
                        manager_withdraw(manager, waiter->job_id);
                waiter_free(waiter);
        }
}

/* The job did not start in time. A job that others wait for as well stays queued for them. */
static int on_wait_over(sd_event_source *source, uint64_t usec, void *userdata) {
        Waiter *waiter = userdata;
        Manager *manager = waiter->manager;
        Connection *connection = waiter->connection;
        cleanup_free char *text = job_queue_busy_text(&manager->workers.queue, now_realtime_sec());

        (void)source;
        (void)usec;
        if (waits_alone(waiter))
                manager_withdraw(manager, waiter->job_id);
        waiter_free(waiter);
        reply_error(connection, ERROR_BUSY, "reason", text ?: "another job is in progress");
        return 0;
}

static bool is_removal(JobKind kind) {
        return kind == JOB_CLEAR || kind == JOB_PASS || kind == JOB_ROLLBACK;
}

void waiter_add_for_job(Manager *manager, Connection *connection, const char *job_id, JobKind kind,
                        bool looks, bool more, uint64_t wait_usec) {
        Waiter *waiter = waiter_new(manager, connection);

        if (!waiter) {
                reply_no_memory(connection);
                return;
        }
        strcpy(waiter->job_id, job_id);
        waiter->kind = kind;
        waiter->looks = looks;
        waiter->more = more;
        if (strcmp(manager->workers.queue.current.id, job_id) == 0)
                return; /* it runs */
        /* A look in progress is nobody's fault and ends soon, as the sweep of the start does. */
        if (manager->workers.queue.current.id[0] == '\0' ||
            !is_removal(manager->workers.queue.current.kind))
                wait_usec += 4 * manager->config->timeout_usec;
        if (sd_event_add_time_relative(manager->event, &waiter->timer, CLOCK_BOOTTIME, wait_usec,
                                       10 * USEC_PER_MSEC, on_wait_over, waiter) < 0) {
                waiter_free(waiter);
                reply_no_memory(connection);
        }
}

const char *waiters_find_plan(const Manager *manager) {
        for (const Waiter *waiter = manager->waiters; waiter; waiter = waiter->next)
                if (waiter->kind == JOB_PLAN && waiter->timer &&
                    waiter->generation == manager->workers.generation)
                        return waiter->job_id;
        return NULL;
}

static Json *event_progress_json(const Manager *manager, const JobEvent *event) {
        return progress_json(&(Progress){
                .job_id = event->job_id,
                .step = event->step,
                .message = event->message,
                .round = event->pass,
                .elapsed_sec = event->time_sec - manager->workers.queue.current.started_sec,
                .engine_bytes = event->engine_bytes,
        });
}

/* The job ended as it was to, and its answer can't be given. What it did can be read later. */
static void reply_untold(Connection *connection, const Job *job, int error) {
        const char *why = error == -ENOMEM ? "out of memory for the answer"
                                           : "the answer is longer than a reply may be";
        bool kept = job->kind == JOB_ROLLBACK || (job->kind == JOB_CLEAR && !job->options.dry_run);
        char reason[256];

        snprintf(reason, sizeof(reason),
                 kept ? "%s; the %s itself is done: wpcachectl history %s" : "%s", why,
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

static void reply_plan(const Manager *manager, Connection *connection, const Job *job) {
        cleanup(json_free) Json *plan = json_copy(job_told(job));
        StatusFacts facts = dispatch_status_facts(manager);

        if (json_replace(plan, "policy", status_policy_json(&facts, json_get(plan, "policy"))) < 0)
                reply_no_memory(connection);
        else
                reply_member(connection, "policy", TAKE_PTR(plan), false);
}

static void reply_result(const Manager *manager, Connection *connection, const Job *job) {
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
                reply_plan(manager, connection, job);
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

/* What monitors hear of a job that is done. */
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

static void tell_monitors(const Manager *manager, const JobEvent *event) {
        cleanup(json_free) Json *parameters = json_new_object();
        const Job *job = event->job;
        int r;

        if (event->kind == JOB_EVENT_PROGRESS) {
                r = json_add_string(parameters, "event", "progress");
                r |= json_add(parameters, "progress", event_progress_json(manager, event));
        } else if (event->kind == JOB_EVENT_DONE &&
                   (job->kind == JOB_ROLLBACK ||
                    (job->kind == JOB_PASS &&
                     (job->result || (job->error < 0 && job->error != -ECANCELED))) ||
                    (job->kind == JOB_CLEAR && !job->options.dry_run))) {
                r = done_json(job, parameters);
        } else {
                return;
        }
        if (r >= 0)
                monitors_reply(&manager->monitors, parameters);
}

void waiters_tell(Manager *manager, const JobEvent *event) {
        if (manager->monitors.first)
                tell_monitors(manager, event);
        for (Waiter *waiter = manager->waiters, *next; waiter; waiter = next) {
                Connection *connection = waiter->connection;

                next = waiter->next;
                if (strcmp(waiter->job_id, event->job_id) != 0)
                        continue;
                if (event->kind == JOB_EVENT_STARTED) {
                        waiter->timer = sd_event_source_disable_unref(waiter->timer);
                } else if (event->kind == JOB_EVENT_PROGRESS && waiter->more) {
                        reply_member(connection, "progress", event_progress_json(manager, event),
                                     true);
                } else if (event->kind == JOB_EVENT_DONE) {
                        waiter_free(waiter);
                        if (event->job->error >= 0)
                                reply_result(manager, connection, event->job);
                        else
                                reply_failure(connection, event->job);
                }
        }
}
